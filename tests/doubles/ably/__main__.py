"""`python -m tests.doubles.ably --port P`: the server as a process, until it is told to end.

Its faults (`AblyServer.FAULTS`) are called over HTTP, such as `POST /control/outage` with `{"seconds": 3}`; `GET
/control/state` tells how many connections there are, who is attached, and what was refused or dropped by rate.
"""

import argparse
import asyncio
import signal

from tests.doubles.ably.server import AblyServer


async def _serve(port: int, key: str) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with AblyServer(port=port, key=key) as server:
        print(f"listening on {server.port}, key {server.key}", flush=True)  # noqa: T201 -- for whoever started it
        await ended.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.ably", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key", default="app.key:secret", help="APP.KEY:SECRET that is let in")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.port, arguments.key))


if __name__ == "__main__":
    main()
