"""Many people in one process who all enter one channel within some seconds, and the lists that they are shown.

Reads lines of cookies from standard input until an empty one, opens a WebSocket for each, evenly over the time,
and prints what came, as JSON: how long after the last join the last list was right (s), whether all were in the
end, and the bytes of presence that a tab got, in the mean and at most.
"""

import asyncio
import json
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import websockets

CHANNEL = "project:storm"
WAIT_S = 15.0
SHOWN = 200


@dataclass
class Member:
    """One person's tab and the list that it holds."""

    list: set[str] = field(default_factory=set)
    count: int = 0
    number: int = -1
    whole: bool = True
    size: int = 0
    entered: float = 0.0
    changed: float = 0.0


@lru_cache(maxsize=10_000)
def parse(packet: str) -> Any:
    """What a packet says; all tabs get the same diffs, so each is parsed once."""
    return json.loads(packet[packet.index("[") :])


async def join(url: str, cookie: str, mine: Member) -> None:
    """Connect, enter, keep the list until cancelled."""
    address = f"{url}/_event/?token={uuid.uuid4()}&EIO=4&transport=websocket"
    async with websockets.connect(
        address, additional_headers={"Cookie": cookie}, compression=None, max_size=None, open_timeout=60
    ) as socket:
        await socket.recv()
        await socket.send("40/feed,")
        async for packet in socket:
            assert isinstance(packet, str)
            if packet == "2":
                await socket.send("3")
            elif packet.startswith("40/feed"):
                await socket.send(f"42/feed,1{json.dumps(['presence_enter', {'channel': CHANNEL}])}")
            elif packet.startswith("43/feed"):
                [answer] = parse(packet)
                assert answer["ok"], answer
                mine.list = {each["person"] for each in answer["members"]}
                mine.number, mine.count = answer["n"], answer["count"]
                mine.size += len(packet)
                mine.entered = mine.changed = time.monotonic()
            elif packet.startswith('42/feed,["presence"'):
                take(mine, parse(packet)[1], len(packet))
            elif packet.startswith("44"):
                raise SystemExit(f"refused: {packet}")


def take(mine: Member, diff: Any, size: int) -> None:
    """Bring the list up to date."""
    mine.size += size
    if diff["n"] <= mine.number:
        return
    mine.whole &= diff["n"] == mine.number + 1
    mine.number, mine.count = diff["n"], diff["count"]
    mine.list -= set(diff["leaves"])
    mine.list |= {each["person"] for each in diff["joins"]}
    mine.changed = time.monotonic()


async def main(url: str, seconds: float) -> None:
    """Join, wait for quiet, print the sum."""
    cookies = [line.strip() for line in iter(sys.stdin.readline, "\n")]
    members = [Member() for _ in cookies]
    tasks = []
    begun = time.monotonic()
    for index, (cookie, mine) in enumerate(zip(cookies, members, strict=True)):
        await asyncio.sleep(max(0.0, begun + index * seconds / len(cookies) - time.monotonic()))
        tasks.append(asyncio.create_task(join(url, cookie, mine)))
    shown = min(SHOWN, len(cookies))

    def right() -> bool:
        return all(mine.count == len(cookies) and len(mine.list) == shown for mine in members)

    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while not right():
                await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    last = max(mine.entered for mine in members)
    result = {
        "joined_within": last - begun,
        "settled": max(mine.changed for mine in members) - last,
        "right": right()
        and all(mine.whole for mine in members)
        and len({frozenset(each.list) for each in members}) == 1,
        "bytes_mean": sum(mine.size for mine in members) / len(members),
        "bytes_most": max(mine.size for mine in members),
    }
    print(json.dumps(result), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
