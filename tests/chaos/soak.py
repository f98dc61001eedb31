"""`make soak`: tabs open, close, vanish and reload under traffic; afterwards everything is back where it was.

SOAK_SECONDS (1800) and SOAK_TABS (200) are read from the environment.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.generator import Generator
from tests.chaos.levels import Gauge, Levels
from tests.chaos.soak_tabs import Counts, one_tab_after_another
from tests.chaos.stage import Stage

LOOK_S = 0.5
SHORTEST_WARM_UP_S = 60  # until allocators have what the traffic needs


@dataclass(frozen=True, slots=True)
class Plan:
    """How a soak goes.

    Args:
        seed: of all dice.
        seconds: how long tabs come and go.
        warm_up_s: the same before, so that pools, caches and code are in place at the first look.
        tabs: how many at a time.
        longest_open_s: how long a tab stays open at most.
        rate: events a second.
        state_s: how long Reflex keeps the state of a closed tab (an hour where nobody says otherwise).
        settle_s: how long it may take until all is back, beyond that.
        look_every_s: how often levels are told meanwhile.
    """

    seed: int
    seconds: float
    warm_up_s: float
    tabs: int
    longest_open_s: float
    rate: float
    state_s: int
    settle_s: float
    look_every_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a soak found: what the tabs did, levels before, meanwhile and after, and what must not be."""

    counts: Counts
    events: int
    before: Levels
    meanwhile: list[Levels]
    after: Levels
    findings: list[str]

    def __str__(self) -> str:
        """The report as the terminal shows it."""
        ends = ", ".join(f"{number:,} {how}" for how, number in self.counts.ends.items())
        lines = [
            f"tabs: {self.counts.opened:,} opened ({ends}), {self.counts.rows:,} rows shown,"
            f" {self.counts.put_off:,} subscriptions put off; {self.events:,} events",
            f"before:  {self.before}",
            f"highest: {Levels.highest([self.before, *self.meanwhile])}",
            f"after:   {self.after}",
        ]
        if self.findings:
            lines += ["NOT SO AS PROMISED:", *self.findings]
        return "\n".join(lines)


async def soak(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Warm up, look, soak, look again.

    Args:
        plan: how.
        tell: called with a line now and then.
    """
    async with Stage(REFLEX_REDIS_TOKEN_EXPIRATION=str(plan.state_s)) as stage:
        gauge = await Gauge.of(stage)
        await _traffic(stage, plan, "warm-up", plan.warm_up_s)
        before = await _rested(gauge, plan)
        meanwhile: list[Levels] = []
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_look_now_and_then(gauge, plan.look_every_s, meanwhile, tell))
            counts, events = await _traffic(stage, plan, "soak", plan.seconds)
            looking.cancel()
        after = await _until_back(gauge, before, plan)
        findings = [*counts.troubles, *after.over(before)]
        if stage.starts != 1:
            findings.append(f"the app was started {stage.starts} times")
        return Report(counts, events, before, meanwhile, after, findings)


async def _traffic(stage: Stage, plan: Plan, part: str, seconds: float) -> tuple[Counts, int]:
    """Tabs come and go under traffic for a while; then all are closed. What they did, and how many events."""
    generator = Generator(stage.url, stage.key, rate=plan.rate, part=part, dice=random.Random(f"{plan.seed}/{part}"))
    counts, stopping = Counts(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(generator.run())
        for number in range(plan.tabs):
            dice = random.Random(f"{plan.seed}/{part}/{number}")
            tab = one_tab_after_another(
                stage.port, stage.cookie, dice, counts, stopping, longest_open_s=plan.longest_open_s
            )
            group.create_task(tab)
        await asyncio.sleep(seconds)
        stopping.set()
        generator.stop()
    counts.troubles += generator.sent.refusals
    return counts, len(generator.sent.seqs)


async def _look_now_and_then(
    gauge: Gauge, every_s: float, meanwhile: list[Levels], tell: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(every_s)
        meanwhile.append(await gauge.look())
        tell(f"{time.monotonic() - begun:6.0f} s: {meanwhile[-1]}")


async def _rested(gauge: Gauge, plan: Plan) -> Levels:
    """The levels with every tab closed, once they have stood still for as long as closed tabs' states live."""
    deadline = time.monotonic() + plan.state_s + plan.settle_s
    levels = await gauge.look()
    still_since = time.monotonic()
    while (now := time.monotonic()) < deadline and now - still_since <= plan.state_s + 1:
        await asyncio.sleep(LOOK_S)
        before, levels = levels, await gauge.look()
        if levels.counts != before.counts:
            still_since = time.monotonic()
    return levels


async def _until_back(gauge: Gauge, before: Levels, plan: Plan) -> Levels:
    """The levels, once none is above where it was, or the time for that is over."""
    deadline = time.monotonic() + plan.state_s + plan.settle_s
    while (levels := await gauge.look()).over(before) and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_S)
    return levels


def main() -> int:
    """Soak, print the report; 1 when something did not come back."""
    seconds = float(os.environ.get("SOAK_SECONDS") or 1800)
    tabs = int(os.environ.get("SOAK_TABS") or 200)
    warm_up_s = max(SHORTEST_WARM_UP_S, seconds / 10)

    def tell(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    tell(f"Soak: {tabs} tabs for {seconds:.0f} s, after a warm-up of {warm_up_s:.0f} s")
    plan = Plan(
        seed=random.randrange(1_000_000),
        seconds=seconds,
        warm_up_s=warm_up_s,
        tabs=tabs,
        longest_open_s=20,
        rate=50,
        state_s=30,
        settle_s=60,
        look_every_s=30,
    )
    report = asyncio.run(soak(plan, tell))
    tell(str(report))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
