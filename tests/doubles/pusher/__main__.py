"""`python -m tests.doubles.pusher --port P`: the server as a process, until it is told to end.

Its faults (`PusherServer.FAULTS`) are called over HTTP, such as `POST /control/refuse` with `{"refused": true}`.
"""

import argparse
import asyncio
import signal

from tests.doubles.pusher.server import PusherServer


async def _serve(port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with PusherServer(port=port) as server:
        print(f"listening on {server.port}, key {server.key}", flush=True)  # noqa: T201 -- for whoever started it
        await ended.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.pusher", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
