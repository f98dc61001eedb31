"""One run: the app, the watchers and the generator; faults; and then the verdict."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from playwright.async_api import async_playwright

from realtime_ui.client import EventClient
from tests.chaos.browser import BrowserWatcher
from tests.chaos.faults import STEADY, Scene
from tests.chaos.generator import CHANNELS, Generator
from tests.chaos.havoc import Havoc, Struck
from tests.chaos.report import Report
from tests.chaos.stage import Stage
from tests.chaos.verdict import Finding, Log, Tally, caught_up_at, check_list, check_log, read_log
from tests.chaos.watcher import Shown, Watcher
from tests.proxy import Proxy
from tests.services import service

LINES = ("line 1", "line 2", "line 3")
SLOW = "slow"
QUEUE_BYTES = "100000"  # so little that slow readers pass it within seconds
PAUSE_S = 0.25
PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes.

    Args:
        seed: of all dice.
        seconds: for how long faults begin.
        longest_s: no fault holds longer, unless its kind must.
        pause_s: the shortest and the longest pause between two faults.
        watchers: how many raw clients.
        browsers: how many Chromiums.
        rate: events a second.
        settle_s: how long it may take, after the last fault, until all is whole.
        provider: `flaky`, inside one worker; or another one, which two workers share over its own server.
    """

    seed: int
    seconds: float
    longest_s: float
    pause_s: tuple[float, float]
    watchers: int = 50
    browsers: int = 3
    rate: float = 100
    settle_s: float = 60
    provider: str = "flaky"


async def run(plan: Plan) -> Report:
    """Do it; the report tells what was found, good or bad."""
    async with AsyncExitStack() as owned:
        if plan.provider == "flaky":
            wire, settings = None, {"REALTIME_PROVIDER": "flaky", "FLAKY_SEED": str(plan.seed)}
        else:
            wire = await owned.enter_async_context(service(plan.provider))
            settings = {**wire.environment, "WORKERS": "2"}
        stage = await owned.enter_async_context(Stage(**settings, SOCKET_QUEUE_BYTES=QUEUE_BYTES))
        lines = {name: await owned.enter_async_context(Proxy(stage.port)) for name in LINES}
        watchers = _watchers(plan, stage, lines)
        tasks = [asyncio.create_task(watcher.run(), name=watcher.name) for watcher in watchers]
        owned.push_async_callback(_end, tasks)
        playwright = await owned.enter_async_context(async_playwright())
        browsers = []
        for number in range(plan.browsers):
            proxy = await owned.enter_async_context(Proxy(stage.port))
            browser = BrowserWatcher(f"browser {number + 1}", CHANNELS[number], proxy)
            browsers.append(await owned.enter_async_context(browser.opened(playwright, stage.port, stage.cookie)))

        generator = Generator(stage.url, stage.key, rate=plan.rate, dice=random.Random(f"{plan.seed}/generator"))
        sending = asyncio.create_task(generator.run(), name="generator")
        owned.push_async_callback(_end, [sending])
        havoc = Havoc(
            Scene(stage, lines, browsers, wire),
            plan.seed,
            seconds=plan.seconds,
            longest_s=plan.longest_s,
            pause_s=plan.pause_s,
        )
        began = time.monotonic()
        await havoc.run()
        healed = time.monotonic()
        for watcher in watchers:
            watcher.hurry()
        generator.stop()
        await asyncio.wait_for(sending, PATIENCE_S)
        async with EventClient(stage.url, stage.key, patience_s=PATIENCE_S) as client:
            log = await read_log(client, CHANNELS)
        everybody: list[Watcher | BrowserWatcher] = [*watchers, *browsers]
        whole = await _until_whole(everybody, log, plan.settle_s)
        settled = time.monotonic() - healed

        tally = Tally(findings=check_log(log, generator.sent))
        await _check_watchers(watchers, browsers, log, tally)
        if not whole:
            tally.findings.append(Finding(f"It took longer than {plan.settle_s:.0f} s until every list was whole."))
        lists = [shown for watcher in everybody for shown in watcher.lists]
        return Report(
            seed=plan.seed,
            seconds=healed - began,
            struck=havoc.struck,
            sent=generator.sent,
            stored=sum(channel.head for channel in log.values()),
            tally=tally,
            raw_watchers=len(watchers),
            browsers=len(browsers),
            reconnects=sum(watcher.connections - 1 for watcher in watchers),
            times_behind=sum(watcher.times_behind for watcher in watchers),
            starts=stage.starts,
            settled_s=settled,
            silences=_silences(watchers),
            recoveries=_recoveries(havoc.struck, lists, log),
            last_words=stage.said(),
        )


def _watchers(plan: Plan, stage: Stage, lines: Mapping[str, Proxy]) -> list[Watcher]:
    """Half of them on the steady line, one in eight reading slowly, the others on lines that are cut and hung."""
    dice = random.Random(f"{plan.seed}/watchers")
    watchers = []
    for number in range(plan.watchers):
        slow = number % 8 == 7
        line = SLOW if slow else STEADY if number % 2 == 0 else LINES[number // 2 % len(LINES)]
        watchers.append(
            Watcher(
                f"watcher {number + 1}",
                lines[line].port if line in lines else stage.port,
                line,
                stage.cookie,
                CHANNELS if slow else dice.sample(CHANNELS, dice.randint(2, 4)),
                rewind=dice.choice((0, 50, 500)),
                dice=random.Random(f"{plan.seed}/watcher/{number}"),
                slow=slow,
            )
        )
    return watchers


async def _until_whole(watchers: Sequence[Watcher | BrowserWatcher], log: Log, seconds: float) -> bool:
    """Wait until each watcher's newest list of each channel has reached the head; False if that takes too long."""
    deadline = time.monotonic() + seconds
    while not all(_reaches_head(shown, log) for watcher in watchers for shown in _current(watcher)):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(PAUSE_S)
    return True


def _current(watcher: Watcher | BrowserWatcher) -> Sequence[Shown]:
    return watcher.lists[-1:] if isinstance(watcher, BrowserWatcher) else watcher.lists


def _reaches_head(shown: Shown, log: Log) -> bool:
    last = shown.seqs[-1] if shown.seqs else shown.after or 0
    return last >= log[shown.channel].head


async def _check_watchers(
    watchers: Sequence[Watcher], browsers: Sequence[BrowserWatcher], log: Log, tally: Tally
) -> None:
    for watcher in watchers:
        for shown in watcher.lists:
            check_list(shown, log[shown.channel], tally)
        tally.findings += [Finding(f"{watcher.name} was refused: {refusal}") for refusal in watcher.refusals]
        if watcher.resets:
            tally.findings.append(
                Finding(f"{watcher.name} was told {len(watcher.resets)} times that the log counts anew")
            )
    for browser in browsers:
        for shown in browser.lists:
            check_list(shown, log[shown.channel], tally, to_the_end=shown is browser.lists[-1])
        if len(browser.lists) != 1:
            tally.findings.append(Finding(f"{browser.name} showed {len(browser.lists)} lists one after another"))
        seqs, head = await browser.seqs_on_the_page(), log[browser.channel].head
        if seqs != list(range(head - len(seqs) + 1, head + 1)) or (head and not seqs):
            tally.findings.append(Finding(f"{browser.name} has {seqs} on its page, where the log ends with {head}"))


def _silences(watchers: Sequence[Watcher]) -> dict[str, float]:
    silences: dict[str, float] = defaultdict(float)
    for watcher in watchers:
        silences[watcher.line] = max(silences[watcher.line], watcher.longest_silence_s)
    return silences


def _recoveries(struck: Sequence[Struck], lists: Sequence[Shown], log: Log) -> dict[str, list[float]]:
    recoveries: dict[str, list[float]] = defaultdict(list)
    for each in struck:
        moments = [
            moment
            for shown in lists
            if shown.line == each.line and (moment := caught_up_at(shown, log[shown.channel], each.ended)) is not None
        ]
        if moments:
            recoveries[each.fault.name].append(max(moments) - each.ended)
    return recoveries


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks, again where an HTTP call swallowed the cancellation."""
    while alive := [task for task in tasks if not task.done()]:
        for task in alive:
            task.cancel()
        await asyncio.wait(alive, timeout=0.2)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error
