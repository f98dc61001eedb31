"""Many Server-Sent Events clients in one process, which read HTTP by hand, so that they cost little.

Prints `ready` when all are open, and then what came when it is asked, as JSON, like `bench.tabs`.
"""

import asyncio
import json
import sys
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from bench.tabs import Tab, answer


@lru_cache(maxsize=10_000)
def parse(data: bytes) -> Any:
    """What an event says; all get the same ones, so each is parsed once."""
    return json.loads(data)


async def listener(url: str, key: str, ready: asyncio.Event, mine: Tab) -> None:
    """Open a stream, count until cancelled."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1_000_000)
    head = f"GET /api/stream?channel=project:bench HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {key}"
    writer.write(f"{head}\r\n\r\n".encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise SystemExit(f"refused: {status!r}")
    async for line in reader:
        if line.startswith(b"id: "):
            ready.set()
            mine.size += len(line)
        elif line.startswith(b"data: {") and b'"heartbeat"' not in line:
            message = parse(line[6:])
            mine.size += len(line)
            mine.frames += 1
            mine.rows += 1
            mine.ordered &= mine.last in (0, message["seq"] - 1)
            mine.last = message["seq"]
            mine.latencies.append(time.time() - message["data"]["at"])


async def main(url: str, key: str, number: int) -> None:
    """Open the streams, wait for a line, print the sum."""
    mine = [Tab() for _ in range(number)]
    tasks = []
    for each in mine:
        ready = asyncio.Event()
        tasks.append(asyncio.create_task(listener(url, key, ready, each)))
        await asyncio.wait_for(ready.wait(), 20)
    print("ready", flush=True)
    await answer(mine, tasks)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
