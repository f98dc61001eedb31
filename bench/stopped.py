"""Tabs that subscribe, each to a channel of its own, and then never read again.

Prints `ready` when all have; ends when standard input does.
"""

import asyncio
import json
import socket
import sys
import uuid
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import websockets


async def main(url: str, cookie: str, number: int) -> None:
    """Connect, subscribe, stop reading."""
    place = urlsplit(url)
    async with AsyncExitStack() as stack:
        for each in range(number):
            small = socket.socket()
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
            small.setblocking(False)
            await asyncio.get_running_loop().sock_connect(small, (place.hostname, place.port))
            line = await stack.enter_async_context(
                websockets.connect(
                    f"{url}/_event/?token={uuid.uuid4()}&EIO=4&transport=websocket",
                    sock=small,
                    additional_headers={"Cookie": cookie},
                    compression=None,
                    max_queue=1,
                    ping_interval=None,
                    close_timeout=0.1,
                )
            )
            await line.recv()
            await line.send("40/feed,")
            await line.recv()
            wish = {"channel": f"project:stopped-{each}", "last": None, "epoch": "", "rewind": 0}
            await line.send(f"42/feed,1{json.dumps(['sub', wish])}")
            await line.recv()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
