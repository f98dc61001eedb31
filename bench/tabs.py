"""Many tabs in one process: WebSockets that speak Engine.IO and Socket.IO by hand, so that they cost little.

Prints `ready` when all are connected, hydrated and subscribed. At a line `count` on standard input it prints what came
so far, as JSON; at any other line it ends and prints that for the last time: deliveries, bytes, CPU time (s), a
histogram of the latencies, how many came to each tab, and whether all were in order.
"""

import asyncio
import json
import sys
import time
import uuid
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import websockets

from bench.histogram import histogram

BEAT = '42/feed,["beat"'
HYDRATE = {
    "event": {
        "name": "reflex___state____state.hydrate_and_load",
        "payload": {"hashes": []},
        "router_data": {"pathname": "/", "asPath": "/"},
    }
}


@dataclass
class Tab:
    """One tab's count."""

    frames: int = 0
    rows: int = 0
    size: int = 0
    last: int = 0
    ordered: bool = True
    latencies: list[float] = field(default_factory=list)


async def tab(url: str, cookie: str, kind: str, ready: asyncio.Event, mine: Tab) -> None:
    """Connect, subscribe, count until cancelled."""
    headers = {"Cookie": cookie} if cookie else {}
    address = f"{url}/_event/?token={uuid.uuid4()}&EIO=4&transport=websocket"
    async with websockets.connect(address, additional_headers=headers, compression=None, max_size=None) as socket:
        await socket.recv()
        await socket.send(f"40/_event,{json.dumps(HYDRATE)}")
        async for packet in socket:
            assert isinstance(packet, str)
            now = time.time()
            if packet == "2":
                await socket.send("3")
            elif packet.startswith(BEAT):
                await socket.send(packet)  # which is its own answer
            elif packet.startswith("40/_event"):
                if kind in ("ours", "bare"):
                    await socket.send("40/feed,")
                else:
                    ready.set()
            elif packet.startswith("40/feed"):
                wish = {"channel": "project:bench", "last": None, "epoch": "", "rewind": 0}
                await socket.send(f"42/feed,1{json.dumps(['sub', wish])}")
            elif packet.startswith("43/feed"):
                assert '"ok":true' in packet.replace(" ", ""), packet
                ready.set()
            elif packet.startswith("44"):
                raise SystemExit(f"refused: {packet}")
            elif packet.startswith("42/feed") or (kind == "idiom" and '"items' in packet):
                count(mine, packet, now, kind)


@lru_cache(maxsize=10_000)
def parse(packet: str) -> Any:
    """What a packet says; all tabs get the same frames, so each is parsed once."""
    return json.loads(packet[packet.index("[") :])[1]


def count(mine: Tab, packet: str, now: float, kind: str) -> None:
    """Take a frame into account."""
    body = parse(packet)
    rows: list[Any]
    if kind == "idiom":
        lists = [value for state in body["delta"].values() for name, value in state.items() if name.startswith("items")]
        rows = [item for items in lists for item in items if item["seq"] > mine.last]
    else:
        rows = body["rows"]
    if not rows:
        return
    mine.frames += 1
    mine.size += len(packet)
    for row in rows:
        mine.ordered &= mine.last in (0, row["seq"] - 1)
        mine.last = row["seq"]
        mine.rows += 1
        mine.latencies.append(now - row["data"]["at"])


async def main(url: str, cookie: str, kind: str, number: int) -> None:
    """Open the tabs, wait for a line, print the sum."""
    tabs = [Tab() for _ in range(number)]
    tasks = []
    for mine in tabs:
        ready = asyncio.Event()
        task = asyncio.create_task(tab(url, cookie, kind, ready, mine))
        tasks.append(task)
        done, _ = await asyncio.wait(
            {task, asyncio.create_task(ready.wait())}, timeout=20, return_when=asyncio.FIRST_COMPLETED
        )
        assert done, "a tab did not connect"
        if task.done():
            task.result()
    print("ready", flush=True)
    await answer(tabs, tasks)


async def answer(tabs: list[Tab], tasks: list["asyncio.Task[None]"]) -> None:
    """Say what came whenever that is asked; end with the tasks at the last question."""
    while (await asyncio.to_thread(sys.stdin.readline)).strip() == "count":
        print(json.dumps(told(tabs)), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(told(tabs)), flush=True)


def told(tabs: list[Tab]) -> dict[str, Any]:
    """What came to all of them."""
    return {
        "deliveries": sum(mine.rows for mine in tabs),
        "bytes": sum(mine.size for mine in tabs),
        "ordered": all(mine.ordered for mine in tabs),
        "each": sorted({mine.rows for mine in tabs}),
        "cpu_s": time.process_time(),
        "latencies": histogram(value for mine in tabs for value in mine.latencies),
    }


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
