"""The log goes back within its epoch, as it does when a standby is promoted that lacked the newest rows.

Whoever follows a channel (a tab, an SSE stream, an `EventClient`) is told, and shows what the log has.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from realtime_ui.client import EventClient
from tests.ageing import go_back
from tests.app import App
from tests.chaos.watcher import Watcher
from tests.follower import Follower
from tests.integration.test_feed import channel, emit, update
from tests.sse import Listener, listen
from tests.tab import open_tab
from tests.waiting import until

SWEEPS_S = 5
"""Longer than two sweeps: who has not noticed by then does not notice at all while nothing else happens."""


@dataclass
class Followers:
    """All that follow one channel."""

    tab: Watcher
    stream: Listener
    client: Follower

    @property
    def rows_of_the_stream(self) -> list[tuple[int, str]]:
        """What a program has that took the SSE stream's events."""
        follower = Follower()
        for message in self.stream.data:
            follower.take(message)
        return follower.rows

    @property
    def rows_of_the_tab(self) -> list[tuple[int, str]]:
        """What the tab shows."""
        [shown] = self.tab.lists
        return list(zip(shown.seqs, shown.ids, strict=True))

    def show(self, log: list[tuple[int, str]]) -> bool:
        """Whether all of them show just that."""
        return [self.rows_of_the_tab, self.rows_of_the_stream, self.client.rows] == [log] * 3


@asynccontextmanager
async def following(app: App, name: str) -> AsyncIterator[Followers]:
    """All of them, from the first row on."""
    port = httpx.URL(app.url).port
    assert port is not None
    tab = Watcher("tab", port, "", app.cookie("max@northwind.test"), [name], rewind=500, dice=random.Random(1))
    running = asyncio.create_task(tab.run())
    try:
        async with (
            listen(app.url, {"Authorization": f"Bearer {app.key}"}, name, rewind=500) as stream,
            Follower.of(app.url, app.key, name) as client,
        ):
            yield Followers(tab, stream, client)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("others", [0, 3, 5, 9])
async def test_a_log_that_goes_back_is_shown_as_it_is(app: App, others: int) -> None:
    """By all that follow it; nothing takes the lost numbers, or fewer, as many or more events than were lost."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(20)))
    before = await log_of(app, name)
    async with following(app, name) as all_of_them:
        await until(lambda: all_of_them.show(before))
        await go_back(app.database_url, name, 15)
        for n in range(others):
            await emit(app, update(identity, 100 + n))
        log = await log_of(app, name)
        assert log[:15] == before[:15]
        assert len(log) == 15 + others
        await until(lambda: all_of_them.show(log))
        told = (len(all_of_them.tab.resets), len(all_of_them.client.resets))
        assert told == (1, 1)
        assert [each["type"] for each in all_of_them.stream.data].count("reset") == 1
        await emit(app, update(identity, 200))
        log = await log_of(app, name)
        await until(lambda: all_of_them.show(log))
        await asyncio.sleep(SWEEPS_S)
        assert (len(all_of_them.tab.resets), len(all_of_them.client.resets)) == told


@pytest.mark.parametrize("others", [2, 5, 9])
async def test_who_was_away_is_told_when_they_come_back(app: App, others: int) -> None:
    """Though nobody followed the channel meanwhile: below the old head, at it, and beyond it."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(20)))
    headers = {"Authorization": f"Bearer {app.key}"}
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        page = await tab.sub(name)
    async with listen(app.url, headers, name, rewind=1) as stream:
        await stream.until(lambda: stream.seqs(name) == [20])
        cursor = stream.cursor
    await go_back(app.database_url, name, 15)
    await emit(app, *(update(identity, 100 + n) for n in range(others)))
    log = await log_of(app, name)
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.sub(name, last=20, epoch=page["epoch"], tag=page["tag"])
        assert answer["reset"]
        assert [(row["seq"], row["id"]) for row in answer["rows"]] == log
    async with listen(app.url, headers, name, last_event_id=cursor, rewind=500) as stream:
        await stream.until(lambda: len(stream.data) == 1 + len(log))
        assert stream.data[0]["type"] == "reset"
        assert [(each["seq"], each["id"]) for each in stream.data[1:]] == log


async def test_a_tab_that_claims_what_never_was_resets_nobody_else(app: App) -> None:
    """Only what the hub itself handed out counts against the log."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(5)))
    cookie = app.cookie("max@northwind.test")
    async with open_tab(app.url, cookie) as honest, open_tab(app.url, cookie) as liar:
        before = await honest.sub(name)
        for claim in ({"last": 500, "tag": ""}, {"last": 5, "tag": "0" * 16}):
            answer = await liar.sub(name, epoch=before["epoch"], **claim)
            assert (answer["reset"], answer["epoch"]) == (True, before["epoch"])
        await emit(app, update(identity, 6))
        await honest.until(lambda: honest.seqs(name) == [6])
        assert {frame["epoch"] for frame in honest.frames} == {before["epoch"]}


async def log_of(app: App, name: str) -> list[tuple[int, str]]:
    """What the log has."""
    async with EventClient(app.url, app.key) as client:
        page = await client.history(name, after=0, limit=500)
    return [(message["seq"], message["id"]) for message in page["messages"]]
