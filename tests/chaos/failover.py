"""A database that fails over: a standby takes the primary's place, with all there was or without the newest rows.

Raw tabs and an `EventClient` follow while events come all the time; what is measured is how long each part takes
from the moment when the new primary accepts writes.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from realtime_ui.client import EventClient
from realtime_ui.persistence.migrate import upgrade
from tests.app import App
from tests.chaos.faults import STEADY
from tests.chaos.generator import CHANNELS, Generator
from tests.chaos.verdict import Finding, Log, Tally, check_list, check_log, read_log
from tests.chaos.watcher import Feed, Watcher
from tests.follower import Follower
from tests.replicas import Replicas
from tests.services import service

PAUSE_S = 0.05
PATIENCE_S = 120
SWEEPS_S = 6
EMAIL = "ada@northwind.test"


class Kind(StrEnum):
    """How a standby takes the primary's place."""

    SWITCH_OVER = "switch-over, nothing lost"
    FAIL_OVER = "failover, newest rows lost"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes.

    Args:
        rounds: what happens, one after another.
        seed: of all dice.
        watchers: how many raw tabs.
        rate: events a second.
        held_up_s: for how long nothing reaches the standby before a failover.
    """

    rounds: Sequence[Kind]
    seed: int
    watchers: int = 20
    rate: float = 50
    held_up_s: float = 3


@dataclass(slots=True)
class Round:
    """What happened; times in s since the new primary accepted writes.

    `lost` are answered events that the log then lacks; `emits` is when the next emit was answered, `told` when the
    last tab and the `EventClient` had been told that the log of a channel went back.
    """

    kind: Kind
    lost: int = 0
    emits: float = 0.0
    told: float = 0.0


@dataclass
class Report:
    """A run: its rounds, and what must not be."""

    plan: Plan
    rounds: list[Round] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    events: int = 0

    def __str__(self) -> str:
        """As the terminal shows it."""
        lines = [f"{'':30}{'answered and lost':>18}{'emits work after':>18}{'all told after':>16}"]
        for each in self.rounds:
            told = f"{each.told:14.1f} s" if each.kind is Kind.FAIL_OVER else f"{'nobody':>16}"
            lines.append(f"{each.kind:30}{each.lost:18}{each.emits:16.1f} s{told}")
        lines.append(f"{self.events:,} events in the log; {self.plan.watchers} raw clients, seed {self.plan.seed}")
        return "\n".join([*lines, *(["", "NOT SO AS PROMISED:", *self.findings] if self.findings else [])])


async def run(plan: Plan, provider: str, *, port: int | None = None) -> Report:
    """Run an app on a PostgreSQL with a standby, and switch them as planned.

    Args:
        plan: how.
        provider: `memory`, or one that two workers share over its own server.
        port: an app's that has ended, so that the pages need no other build; a free one when None.
    """
    report = Report(plan)
    async with Replicas.running() as replicas:
        await asyncio.to_thread(upgrade, replicas.url)
        if provider == "memory":
            await _run_on(replicas, report, port, {})
        else:
            async with service(provider) as wire:
                await _run_on(replicas, report, port, {**wire.environment, "WORKERS": "2"})
    return report


async def _run_on(replicas: Replicas, report: Report, port: int | None, settings: dict[str, str]) -> None:
    starting = App.start(replicas.url, port=port, LOG_LEVEL="warning", **settings)
    app = await asyncio.to_thread(starting.__enter__)
    try:
        cookie = await asyncio.to_thread(app.cookie, EMAIL)  # not here: the database is reached through this loop
        await _Run(app, cookie, replicas, report).run()
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


class _Run:
    """One run on an app.

    Args:
        app: the app, on the replicas.
        cookie: of a person's session.
        replicas: the database.
        report: what is filled.
    """

    def __init__(self, app: App, cookie: str, replicas: Replicas, report: Report) -> None:
        plan = report.plan
        dice = random.Random(plan.seed)
        port = httpx.URL(app.url).port
        assert port is not None
        self._app = app
        self._replicas = replicas
        self._report = report
        self._watchers = [
            Watcher(
                f"watcher {number + 1}",
                port,
                STEADY,
                cookie,
                dice.sample(CHANNELS, 4),
                rewind=50,
                dice=random.Random(f"{plan.seed}/watcher/{number}"),
            )
            for number in range(plan.watchers)
        ]
        self._generator = Generator(app.url, app.key, rate=plan.rate, dice=random.Random(f"{plan.seed}/generator"))
        self._lost: set[str] = set()

    async def run(self) -> None:
        """Do it."""
        tasks = [asyncio.create_task(watcher.run(), name=watcher.name) for watcher in self._watchers]
        sending = asyncio.create_task(self._generator.run(), name="generator")
        try:
            async with Follower.of(self._app.url, self._app.key, CHANNELS[0]) as follower:
                await _until(lambda: all(feed.epoch for feed in self._feeds), "every channel to have events")
                for kind in self._report.plan.rounds:
                    await asyncio.sleep(self._report.plan.held_up_s)
                    await self._round(kind, follower)
                self._generator.stop()
                await asyncio.wait_for(sending, PATIENCE_S)
                await self._judge(follower)
        finally:
            self._generator.stop()
            for task in (*tasks, sending):
                task.cancel()
            await asyncio.gather(*tasks, sending, return_exceptions=True)

    @property
    def _feeds(self) -> list[Feed]:
        return [feed for watcher in self._watchers for feed in watcher.feeds.values()]

    async def _round(self, kind: Kind, follower: Follower) -> None:
        sent, resets, followed = self._generator.sent, self._resets(), len(follower.resets)
        answered = set(sent.seqs)
        epochs = [(feed, feed.epoch) for feed in self._feeds]
        if kind is Kind.FAIL_OVER:
            await asyncio.sleep(1)  # until the standby has all of these
            self._replicas.hold_up()
            await asyncio.sleep(self._report.plan.held_up_s)
            await self._replicas.fail_over()
        else:
            await self._replicas.switch_over()
        accepted = time.time()
        took = Round(kind)
        async with EventClient(self._app.url, self._app.key, patience_s=PATIENCE_S) as client:
            await client.emit("project.updated", {"projectId": "probe"})
            took.emits = time.time() - accepted
            doubtful = set(sent.seqs) - answered  # with answers that were on their way when the primary was lost
            log = await read_log(client, CHANNELS)
        there = {identity for channel in log.values() for identity in channel.ids}
        lost = doubtful - there
        took.lost = len(lost)
        self._lost |= lost
        gone_back = {sent.channels[identity] for identity in lost}
        if kind is Kind.FAIL_OVER:
            await _until(
                lambda: (
                    all(feed.epoch != epoch for feed, epoch in epochs if feed.shown.channel in gone_back)
                    and (len(follower.resets) > followed or CHANNELS[0] not in gone_back)
                ),
                "everybody to be told",
            )
            took.told = max(self._resets()[len(resets) :] + follower.resets[followed:], default=accepted) - accepted
        else:
            await asyncio.sleep(SWEEPS_S)
            if len(self._resets()) > len(resets) or len(follower.resets) > followed:
                self._report.findings.append("Somebody was reset by a switch-over that lost nothing")
        self._report.rounds.append(took)
        await self._replicas.add_standby()

    def _resets(self) -> list[float]:
        return sorted(when for watcher in self._watchers for when in watcher.resets)

    async def _judge(self, follower: Follower) -> None:
        """Every list is the log, and the log is what was answered, but for what the failovers lost."""
        async with EventClient(self._app.url, self._app.key, patience_s=PATIENCE_S) as client:
            log: Log = await read_log(client, CHANNELS)
        followed = list(enumerate(log[CHANNELS[0]].ids, 1))
        await _until(
            lambda: (
                all((feed.last or 0) >= log[feed.shown.channel].head for feed in self._feeds)
                and follower.rows[-1:] == followed[-1:]
            ),
            "every list to reach the head",
        )
        sent, tally = self._generator.sent, Tally()
        for identity in self._lost:
            sent.seqs.pop(identity, None)
        tally.findings += check_log(log, sent)
        for watcher in self._watchers:
            for shown in watcher.lists:
                check_list(shown, log[shown.channel], tally)
        if follower.rows != followed[-len(follower.rows) :]:
            tally.findings.append(Finding(f"The EventClient has {follower.rows}, the log {followed}"))
        refusals = [f"An event was refused: {refusal}" for refusal in sent.refusals]
        refused = [f"{each.name} was refused: {refusal}" for each in self._watchers for refusal in each.refusals]
        self._report.findings += [*refusals, *refused, *(finding.words for finding in tally.findings)]
        self._report.events = sum(channel.head for channel in log.values())


async def _until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(PAUSE_S)
    except TimeoutError as error:
        raise AssertionError(f"waited {PATIENCE_S} s for {what}") from error


if __name__ == "__main__":
    for name in ("memory", "redis"):
        found = asyncio.run(run(Plan([Kind.FAIL_OVER, Kind.SWITCH_OVER] * 5, random.randrange(1_000_000)), name))
        sys.stdout.write(f"{name}\n{found}\n\n")
