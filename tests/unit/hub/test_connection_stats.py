"""Entries and flushes, with a table that can be away and a clock moved by hand."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.principals import ApiKey, Person, Role, Scope
from realtime_ui.hub import connection_stats as module
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.connection_stats import FLUSH_S, RECENT, ConnectionStats, Entry
from realtime_ui.persistence.connection_stats import Kept, StatRow
from realtime_ui.persistence.event_log import ChannelKey
from tests.clock import ManualClock

TENANT = uuid.UUID(int=1)
PERSON = Person(uuid.UUID(int=2), TENANT, "Northwind", "Max", "max@northwind.test", Role.MEMBER, uuid.UUID(int=3))
INFO = ClientInfo("Chrome 120", "Linux", "desktop", "websocket", "192.0.2.0/24")
KEY: ChannelKey = (TENANT, ChannelName.parse("project:x"))


class Table:
    """Remembers flushes; can be away."""

    def __init__(self) -> None:
        self.flushes: list[list[StatRow]] = []
        self.rows: dict[uuid.UUID, StatRow] = {}
        self.away = False
        self.lease = True
        self.closing: tuple[str, ...] = ()
        self.left = 0
        self.flush: int | None = None
        self.closed = 0

    async def keep(self, worker: str, started_at: int, state: Mapping[str, Any], rows: Sequence[StatRow]) -> Kept:
        """A flush."""
        if self.away:
            raise DatabaseUnavailable("away")
        assert len({row.id for row in rows}) == len(rows)
        self.flushes.append(list(rows))
        self.rows |= {row.id: row for row in rows}
        before, self.flush = self.flush, state["flush"]
        return Kept(self.lease, self.closing, before)

    async def close_all(self, worker: str) -> None:
        """Every row is closed."""
        self.closed += 1

    async def leave(self, worker: str) -> None:
        """The end of the lease."""
        self.left += 1

    async def prune(self, kept_s: float = 0) -> int:
        """Nothing is old."""
        return 0


class Stage:
    """Stats on such a table."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.table = Table()
        self.delivered = 0
        self.cut: list[str] = []
        self.stats = ConnectionStats(
            self.table,  # type: ignore[arg-type]
            self.table,  # type: ignore[arg-type]
            lambda key: self.delivered,
            worker="w1",
            provider="memory",
            kept_days=7,
            clock=self.clock,
        )

    async def __aenter__(self) -> "Stage":
        await self.stats.start(dict)
        await self.clock.advance(0)
        self.table.flushes.clear()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stats.stop()

    def open(self, connection: str = "a", key: ChannelKey = KEY) -> Entry:
        """Open an entry."""
        return self.stats.open(connection, key, INFO, PERSON, lambda: self.cut.append(connection))


async def test_a_flush_is_one_statement_whatever_the_number_of_connections() -> None:
    """One every 3 s, and it holds only what changed."""
    async with Stage() as stage:
        entries = [stage.open(f"tab-{number}") for number in range(500)]
        await stage.clock.advance(FLUSH_S)
        assert [len(rows) for rows in stage.table.flushes] == [500]
        entries[7].beat(4)
        entries[8].close()
        await stage.clock.advance(3 * FLUSH_S)
        assert [len(rows) for rows in stage.table.flushes] == [500, 2, 0, 0]


async def test_messages_are_the_difference_of_the_channels_counter() -> None:
    """From the opening to the close, and no longer; pages count too."""
    async with Stage() as stage:
        stage.delivered = 100
        entry = stage.open()
        entry.count(50)
        stage.delivered = 130
        assert entry.messages == 80
        entry.close()
        stage.delivered = 999
        await stage.clock.advance(FLUSH_S)
        [row] = stage.table.rows.values()
        assert row.messages == 80
        assert row.closed_at is not None


async def test_a_row_says_whose_connection_it_is_and_how_it_comes() -> None:
    """Browser, system, device, transport, provider, tab, person, worker, and as much of the address as is kept."""
    async with Stage() as stage:
        entry = stage.open("sid-1")
        assert entry.info == {
            "browser": "Chrome 120",
            "system": "Linux",
            "device": "desktop",
            "transport": "websocket",
            "address": "192.0.2.0/24",
            "provider": "memory",
            "tab": "sid-1",
            "worker": "w1",
            "name": "Max",
            "person": str(PERSON.id),
        }
        key = ApiKey(uuid.UUID(int=9), TENANT, "ticker", frozenset({Scope.READ}))
        stream = stage.stats.open("s", KEY, INFO, key, lambda: None)
        assert (stream.info["key"], stream.info["name"], "person" in stream.info) == (str(key.id), "ticker", False)


async def test_a_closed_row_keeps_its_last_beat() -> None:
    """And its latencies, of which the latest are kept."""
    async with Stage() as stage:
        entry = stage.open()
        for latency in range(RECENT + 5):
            entry.beat(latency)
        entry.close()
        await stage.clock.advance(FLUSH_S)
        [row] = stage.table.rows.values()
        assert row.last_beat_at == entry.last_beat_at is not None
        assert row.latencies_ms == tuple(range(5, RECENT + 5))


async def test_while_the_database_is_away_nothing_is_lost() -> None:
    """All of it is written when it is back."""
    async with Stage() as stage:
        stage.table.away = True
        ended = stage.open("ended")
        stage.open("open").beat(3)
        await stage.clock.advance(FLUSH_S)
        ended.close()
        await stage.clock.advance(60)
        assert stage.table.rows == {}
        stage.table.away = False
        await stage.clock.advance(FLUSH_S)
        assert {row.connection: row.closed_at is None for row in stage.table.rows.values()} == {
            "ended": False,
            "open": True,
        }


async def test_what_waits_for_the_database_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(module, "MAX_ENDED", 10)
    async with Stage() as stage:
        stage.table.away = True
        for number in range(25):
            stage.open(f"tab-{number}").close()
        stage.table.away = False
        await stage.clock.advance(FLUSH_S)
        assert [row.connection for row in stage.table.rows.values()] == [f"tab-{n}" for n in range(15, 25)]


async def test_a_connection_that_comes_back_goes_on_in_its_row() -> None:
    """It is no second row, in the same flush or later, and its count goes on while nothing was written between."""
    async with Stage() as stage:
        first = stage.open()
        stage.delivered = 5
        first.close()
        again = stage.open()
        stage.delivered = 7
        assert (again.id, again.opened_at, again.messages) == (first.id, first.opened_at, 7)
        await stage.clock.advance(FLUSH_S)
        [row] = stage.table.rows.values()
        assert (row.messages, row.closed_at) == (7, None)


async def test_a_late_close_of_the_one_before_does_not_end_the_one_that_came_after() -> None:
    """A resumed stream may begin before its first half has ended."""
    async with Stage() as stage:
        first = stage.open()
        again = stage.open()
        first.close()
        assert list(stage.stats.entries) == [again]
        assert again.closed_at is None


async def test_a_worker_that_was_taken_for_dead_writes_its_open_connections_anew() -> None:
    """Another one has closed their rows meanwhile."""
    async with Stage() as stage:
        stage.open()
        await stage.clock.advance(FLUSH_S)
        stage.table.lease = False
        await stage.clock.advance(FLUSH_S)
        stage.table.lease = True
        await stage.clock.advance(2 * FLUSH_S)
        assert [len(rows) for rows in stage.table.flushes] == [1, 0, 1, 0]


async def test_a_database_that_went_back_is_told_all_anew() -> None:
    """It lacks rows of what was opened meanwhile, and has open ones of what was closed."""
    async with Stage() as stage:
        stage.open()
        await stage.clock.advance(3 * FLUSH_S)
        assert stage.table.flush is not None
        stage.table.flush -= 2
        await stage.clock.advance(2 * FLUSH_S)
        assert ([len(rows) for rows in stage.table.flushes], stage.table.closed) == ([1, 0, 0, 0, 1], 1)


async def test_a_flush_that_was_written_though_its_answer_was_lost_is_no_surprise() -> None:
    """Nothing is written anew."""
    async with Stage() as stage:
        stage.open()
        await stage.clock.advance(FLUSH_S)
        stage.table.away = True
        await stage.clock.advance(FLUSH_S)
        assert stage.table.flush is not None
        stage.table.away, stage.table.flush = False, stage.table.flush + 1
        await stage.clock.advance(2 * FLUSH_S)
        assert ([len(rows) for rows in stage.table.flushes], stage.table.closed) == ([1, 0, 0], 0)


async def test_whom_an_admin_wants_closed_is_cut_once() -> None:
    """Wherever that was said; here as well, and only in the tenant."""
    async with Stage() as stage:
        stage.open("a")
        stage.open("a", (TENANT, ChannelName.parse("project:y")))
        stage.table.closing = ("a", "unknown")
        await stage.clock.advance(FLUSH_S)
        assert stage.cut == ["a"]
        assert stage.stats.cut(TENANT, "a")
        assert not stage.stats.cut(uuid.UUID(int=7), "a")
        assert not stage.stats.cut(TENANT, "b")
        assert stage.cut == ["a", "a"]


async def test_the_end_closes_every_row_and_gives_the_lease_back() -> None:
    """So that nothing is left for others to find out."""
    stage = Stage()
    async with stage:
        stage.open()
        await stage.clock.advance(FLUSH_S)
    [row] = stage.table.rows.values()
    assert row.closed_at is not None
    assert stage.table.left == 1


async def test_the_end_does_not_wait_for_a_database_that_is_away() -> None:
    """Another worker closes the rows when the lease runs out."""
    stage = Stage()
    async with stage:
        stage.open()
        stage.table.away = True
    assert stage.table.left == 0
