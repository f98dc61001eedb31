"""Lets faults loose: a lane for the server, one for networks and one for the wire, each one fault after another."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.faults import NETWORK_FAULTS, SERVER_FAULTS, WIRE_FAULTS, Fault, Scene


@dataclass(slots=True)
class Struck:
    """A fault that happened: on which line, and when it began and was healed (s since the epoch)."""

    fault: Fault
    line: str
    began: float
    ended: float = float("inf")


class Havoc:
    """Every kind of fault once, in random order, and then at random until the time is over.

    Args:
        scene: what is struck.
        seed: the same seed, the same order, lengths and pauses.
        seconds: for how long faults begin; every kind happens once, however short that is.
        longest_s: no fault holds longer, unless its kind must.
        pause_s: the shortest and the longest pause between two faults of a lane.
    """

    def __init__(
        self,
        scene: Scene,
        seed: int,
        *,
        seconds: float,
        longest_s: float,
        pause_s: tuple[float, float],
    ) -> None:
        self.struck: list[Struck] = []
        self._scene = scene
        self._seed = seed
        self._seconds = seconds
        self._longest_s = longest_s
        self._pause_s = pause_s

    async def run(self) -> None:
        """Strike until the time is over; then all is healed."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._lane(SERVER_FAULTS, random.Random(f"{self._seed}/server")))
            lanes.create_task(self._lane(NETWORK_FAULTS, random.Random(f"{self._seed}/network")))
            if self._scene.wire is not None:
                lanes.create_task(self._lane(WIRE_FAULTS, random.Random(f"{self._seed}/wire")))

    async def _lane(self, faults: Sequence[Fault], dice: random.Random) -> None:
        until = time.monotonic() + self._seconds
        first = dice.sample(faults, len(faults))
        while first or time.monotonic() < until:
            fault = first.pop() if first else dice.choices(faults, [each.weight for each in faults])[0]
            await asyncio.sleep(dice.uniform(*self._pause_s))
            longest = max(fault.shortest_s, min(fault.longest_s, self._longest_s))
            holds = dice.uniform(fault.shortest_s, longest) if fault.longest_s else 0
            async with fault.strike(self._scene, dice) as line:
                struck = Struck(fault, line, time.time())
                self.struck.append(struck)
                await asyncio.sleep(holds)
            struck.ended = time.time()
