"""Heartbeats and connections' rows on the running app, as tabs and the database see them."""

import asyncio
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from realtime_ui.client import EventClient
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.endings import Ending
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.connection_stats import FLUSH_S
from realtime_ui.persistence.connection_stats import LEASE_S
from realtime_ui.runtime import Runtime
from tests.app import App, until_it_answers
from tests.tab import Tab, open_tab
from tests.unit.hub.test_connection_stats import PERSON
from tests.waiting import until

SLACK_S = 60.0
ADA, MAX, EVE = "ada@northwind.test", "max@northwind.test", "eve@contoso.test"


def query(app: App, text: str, **values: Any) -> list[Any]:
    """What the app's database says."""
    engine = sa.create_engine(app.database_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.execute(sa.text(text), values)
        return list(result.all()) if result.returns_rows else []


def set_heartbeat(app: App, kind: str, interval_ms: int, timeout_ms: int) -> None:
    """Change the table by hand."""
    query(
        app,
        "UPDATE realtime_heartbeat_config SET heartbeat_interval_ms = :i, timeout_ms = :t WHERE channel_type = :k",
        i=interval_ms,
        t=timeout_ms,
        k=kind,
    )


def channel(kind: str = "project") -> str:
    """A channel that nobody has used."""
    return f"{kind}:{uuid.uuid4().hex[:12]}"


async def row_of(app: App, name: str, condition: Callable[[Any], bool], *, seconds: float = 60) -> Any:
    """The row of a channel that one tab watches, once it is as it should be."""
    deadline = time.monotonic() + seconds
    while True:
        rows = await asyncio.to_thread(
            query, app, "SELECT * FROM realtime_connection_stats WHERE channel_name = :n", n=name
        )
        if rows and condition(rows[0]):
            assert len(rows) == 1
            return rows[0]
        assert time.monotonic() < deadline, f"not so within {seconds} s: {rows}"
        await asyncio.sleep(0.2)


async def connections(tab: Tab, name: str) -> list[dict[str, Any]]:
    """What the monitor says now of a channel's connections."""
    answer = await tab.call("monitor", {"page": "connections", "look": True})
    assert answer["ok"], answer
    return [row for row in answer["rows"] if row["channel"] == name]


async def test_a_beat_comes_at_once_and_then_at_the_interval_and_is_no_message(app: App) -> None:
    """It says `type`, `interval`, `timeout` and `timestamp`; no frame comes of it."""
    name, begun = channel(), time.time()
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        await tab.sub(name)
        await tab.until(lambda: tab.beats)
        assert tab.beats[0]["type"] == "project"
        assert (tab.beats[0]["interval"], tab.beats[0]["timeout"]) == (30_000, 90_000)
        assert begun * 1000 - 1 <= tab.beats[0]["timestamp"] <= time.time() * 1000 + 1
        assert tab.frames == []


async def test_an_interval_changed_while_tabs_are_open_takes_effect(app: App) -> None:
    """By hand, in the table; for that type alone."""
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        await tab.sub(channel("session"))
        await tab.sub(channel("project"))
        await tab.until(lambda: {beat["type"] for beat in tab.beats} == {"session", "project"})
        set_heartbeat(app, "session", 1_000, 5_000)
        try:
            await until(lambda: len([1 for beat in tab.beats if beat["interval"] == 1_000]) >= 3)
            assert {beat["type"] for beat in tab.beats if beat["interval"] == 1_000} == {"session"}
        finally:
            set_heartbeat(app, "session", 30_000, 90_000)


async def test_a_tab_that_does_not_answer_is_hung_up_and_one_that_does_is_not(app: App) -> None:
    """Although its WebSocket answers every ping; it is told why."""
    name = channel("organization")
    said: list[Any] = []
    set_heartbeat(app, "organization", 1_000, 2_000)
    try:
        async with open_tab(app.url, app.cookie(MAX)) as silent, open_tab(app.url, app.cookie(MAX)) as good:
            silent.answers_beats = False
            silent.client.on("closed", said.append, namespace="/feed")
            for tab in (silent, good):
                await tab.sub(name)
            await until(lambda: not silent.client.connected)
            assert good.client.connected
            assert said == [Ending.SILENT.packet()]
            async with asyncio.timeout(SLACK_S):
                while [row["state"] for row in await connections(good, name) if row["closed"] is None] != ["alive"]:
                    await asyncio.sleep(0.2)
    finally:
        set_heartbeat(app, "organization", 60_000, 180_000)


async def test_a_row_tells_of_its_connection_from_the_first_flush_to_the_last(app: App) -> None:
    """Open, its last beat, its messages, who and what it is; then ended, with its last beat kept."""
    name = channel()
    event: tuple[str, dict[str, object]] = ("project.updated", {"projectId": name.removeprefix("project:")})
    await asyncio.to_thread(app.emit, *[event] * 3)
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        await tab.sub(name, rewind=50)
        await asyncio.to_thread(app.emit, *[event] * 4)
        row = await row_of(app, name, lambda row: row.message_count == 7 and row.last_heartbeat_at is not None)
        assert row.disconnected_at is None
        assert row.channel_id is not None
        assert row.connection_id == tab.client.get_sid("/feed")
        assert row.client_info["transport"] == "websocket"
        assert (row.client_info["provider"], row.client_info["tab"]) == ("memory", row.connection_id)
        assert row.client_info["address"] == "127.0.0.0/24"
        assert len(row.latencies_ms) >= 1
        await tab.call("unsub", {"channel": name})
        ended = await row_of(app, name, lambda row: row.disconnected_at is not None)
        assert (ended.last_heartbeat_at, ended.message_count) == (row.last_heartbeat_at, 7)
        await tab.sub(name, last=7, epoch="")
        await row_of(app, name, lambda row: row.disconnected_at is None)
    await row_of(app, name, lambda row: row.disconnected_at is not None)


async def test_the_rows_of_a_killed_worker_are_closed_when_its_lease_has_run_out(app: App) -> None:
    """By the worker that took its place; as of the dead one's last sign."""
    name = channel()
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        await tab.sub(name)
        before = await row_of(app, name, lambda row: row.last_heartbeat_at is not None)
        [worker] = psutil.Process(app.process.pid).children()
        worker.send_signal(signal.SIGKILL)
        killed = time.time()
        await until_it_answers(app.url)
        row = await row_of(
            app, name, lambda row: row.disconnected_at is not None, seconds=LEASE_S + 2 * FLUSH_S + SLACK_S
        )
        assert killed - LEASE_S <= row.disconnected_at.timestamp() <= killed + 1
        assert (row.worker, row.last_heartbeat_at) == (before.worker, before.last_heartbeat_at)


async def test_a_restart_leaves_no_row_open(app: App) -> None:
    """The worker that ends in order closes them itself."""
    name = channel()
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        await tab.sub(name)
        await row_of(app, name, lambda row: row.disconnected_at is None)
        begun = time.time()
        await asyncio.to_thread(app.process.end)
        try:
            row = await row_of(app, name, lambda row: row.disconnected_at is not None)
            assert begun - 1 <= row.disconnected_at.timestamp() <= time.time() + 1
            assert query(app, "SELECT count(*) FROM realtime_workers") == [(0,)]
        finally:
            await asyncio.to_thread(app.process.start)


@pytest.mark.parametrize("number", [1, 300])
async def test_however_many_connect_a_flush_is_one_statement(runtime: Runtime, number: int) -> None:
    """Counted where SQLAlchemy hands statements to the driver."""
    statements: list[tuple[float, str]] = []

    @sa.event.listens_for(runtime.database._engine.sync_engine, "before_cursor_execute")
    def heard(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "realtime_keep_stats" in statement or "realtime_connection_stats" in statement:
            statements.append((time.monotonic(), statement))

    info = ClientInfo("", "", "program", "websocket", "")
    begun = time.monotonic()
    entries = [
        runtime.stats.open(
            f"tab-{each}", (PERSON.tenant, ChannelName.parse(f"project:{each}")), info, PERSON, lambda: None
        )
        for each in range(number)
    ]
    while time.monotonic() < begun + 2 * FLUSH_S + 0.5 or not statements:
        for entry in entries:
            entry.beat(1)
        await asyncio.sleep(0.5)
    assert 1 <= len(statements) <= (time.monotonic() - begun) / FLUSH_S + 1
    async with runtime.database.single() as connection:
        count = await connection.execute(sa.text("SELECT count(*) FROM realtime_connection_stats"))
    assert count.scalar() == number


async def test_the_monitor_shows_admins_their_tenant_and_members_themselves(app: App) -> None:
    """Nothing of another tenant."""
    name = channel()
    async with (
        open_tab(app.url, app.cookie(ADA)) as ada,
        open_tab(app.url, app.cookie(MAX)) as max_,
        open_tab(app.url, app.cookie(EVE)) as eve,
    ):
        for tab in (ada, max_, eve):
            await tab.sub(name)
        seen = {
            who: sorted(row["name"] for row in await connections(tab, name))
            for who, tab in (("ada", ada), ("max", max_), ("eve", eve))
        }
        assert seen == {"ada": ["ada", "max"], "max": ["max"], "eve": ["eve"]}


async def test_what_the_monitor_shows_follows_by_itself(app: App) -> None:
    """Changes come as such, at most about one a second, and stop when nobody looks."""
    name = channel()
    heard: list[dict[str, Any]] = []
    async with open_tab(app.url, app.cookie(ADA)) as ada, open_tab(app.url, app.cookie(MAX)) as max_:
        ada.client.on("connections", heard.append, namespace="/feed")
        await connections(ada, name)
        begun = time.monotonic()
        await max_.sub(name)

        def last() -> dict[str, Any] | None:
            rows = [row for said in heard for row in said["rows"] if row["channel"] == name]
            return rows[-1] if rows else None

        await until(lambda: (row := last()) is not None and row["state"] == "alive" and row["beat"])
        await max_.client.disconnect()
        await until(lambda: (row := last()) is not None and row["state"] == "gone")
        assert len(heard) <= (time.monotonic() - begun) * 2 + 2
        await ada.call("monitor", {"page": "connections", "look": False})
        heard.clear()
        async with open_tab(app.url, app.cookie(MAX)) as again:
            await again.sub(name)
            await asyncio.sleep(3)
        assert heard == []


async def test_an_admin_closes_a_connection_of_their_tenant(app: App) -> None:
    """Nobody else does; and the page hears why."""
    name = channel()
    said: list[Any] = []
    async with (
        open_tab(app.url, app.cookie(ADA)) as ada,
        open_tab(app.url, app.cookie(MAX)) as max_,
        open_tab(app.url, app.cookie(EVE)) as eve,
    ):
        max_.client.on("closed", said.append, namespace="/feed")
        await max_.sub(name)
        target = {"connection": max_.client.get_sid("/feed")}
        assert (await max_.call("close_connection", target))["error"]["status"] == 403
        assert (await eve.call("close_connection", target))["error"]["status"] == 404
        assert (await ada.call("close_connection", {"connection": 7}))["error"]["field"] == "connection"
        assert await ada.call("close_connection", target) == {"ok": True}
        await until(lambda: "/feed" not in max_.client.namespaces)
        assert said == [Ending.CLOSED_BY_ADMIN.packet()]
        await row_of(app, name, lambda row: row.disconnected_at is not None)
        assert (await ada.call("close_connection", target))["error"]["status"] == 404


async def test_a_connection_of_another_worker_is_closed_with_that_ones_next_flush(app: App) -> None:
    """Said through the table."""
    name = channel()
    async with open_tab(app.url, app.cookie(MAX)) as max_:
        await max_.sub(name)
        await row_of(app, name, lambda row: row.disconnected_at is None)
        query(app, "UPDATE realtime_connection_stats SET closing = true WHERE channel_name = :n", n=name)
        await until(lambda: "/feed" not in max_.client.namespaces, seconds=FLUSH_S + SLACK_S)


async def test_an_operator_sets_heartbeats_and_nobody_else(app: App) -> None:
    """Neither a member nor another tenant's admin; what makes no sense is refused with its field, in words."""
    wish = {"type": "user", "interval_ms": 2_000, "timeout_ms": 3_000}
    senseless: tuple[Any, ...] = (None, {"type": "planet"}, {"type": []}, {"type": "user", "interval_ms": "1"})
    async with (
        open_tab(app.url, app.cookie(ADA)) as ada,
        open_tab(app.url, app.cookie(MAX)) as max_,
        open_tab(app.url, app.cookie(EVE)) as eve,
    ):
        before = query(app, "SELECT * FROM realtime_heartbeat_config ORDER BY id")
        for stranger in (max_, eve):
            refused = await stranger.call("set_heartbeat", {**wish, "timeout_ms": 4_000})
            assert refused["error"]["status"] == 403
            shown = await stranger.call("monitor", {"page": "connections", "look": True})
            assert (shown["operator"], "config" in shown) == (False, False)
        assert query(app, "SELECT * FROM realtime_heartbeat_config ORDER BY id") == before
        refusal = (await ada.call("set_heartbeat", wish))["error"]
        assert (refusal["field"], refusal["status"]) == ("timeout_ms", 422)
        assert "4 s or more" in refusal["remedy"]
        for nonsense in senseless:
            assert not (await ada.call("set_heartbeat", nonsense))["ok"]
        saved = {"interval_ms": 2_000, "timeout_ms": 4_000}
        assert await ada.call("set_heartbeat", {**wish, **saved}) == {"ok": True, "saved": saved}
        answer = await ada.call("monitor", {"page": "connections", "look": True})
        assert answer["config"]["user"] == saved
        assert query(app, "SELECT timeout_ms FROM realtime_heartbeat_config WHERE channel_type = 'user'") == [(4_000,)]
        assert (await ada.call("set_heartbeat", {"type": "user", "interval_ms": 30_000, "timeout_ms": 90_000}))["ok"]


async def test_how_the_workers_are_is_for_operators(app: App) -> None:
    """Counts of the worker, and no name of anybody; other tenants' admins are none of them."""
    look = {"page": "health", "look": True}
    async with (
        open_tab(app.url, app.cookie(ADA)) as ada,
        open_tab(app.url, app.cookie(EVE)) as eve,
        open_tab(app.url, app.cookie(MAX)) as max_,
    ):
        for stranger in (eve, max_):
            assert (await stranger.call("monitor", look))["error"]["status"] == 403
        assert not (await ada.call("monitor", {"page": "elsewhere", "look": True}))["ok"]
        answer = await ada.call("monitor", look)
        [worker] = [worker for worker in answer["workers"] if worker["here"]]
        assert worker["sockets"] >= 2
        assert (worker["database_up"], worker["provider"], worker["provider_status"]) == (True, "memory", "connected")
        assert "max" not in str(answer["workers"])


async def test_an_answer_that_is_none_is_refused(app: App) -> None:
    """And one to no beat at all does no harm."""
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        senseless: tuple[Any, ...] = (None, 7, {"type": []}, {"type": "planet", "timestamp": 1}, {"type": "project"})
        for nonsense in senseless:
            assert not (await tab.call("beat", nonsense))["ok"]
        assert (await tab.call("beat", {"type": "project", "timestamp": 1}))["ok"]


async def test_a_stream_has_a_row_like_a_tab_and_goes_on_in_it_when_it_is_resumed(app: App) -> None:
    """What the connection took of its heartbeats, and how many messages it had, before and after."""
    name = channel()
    event: tuple[str, dict[str, object]] = ("project.updated", {"projectId": name.removeprefix("project:")})
    await asyncio.to_thread(app.emit, *[event] * 3)
    async with EventClient(app.url, app.key) as client:
        stream = client.stream(name, rewind=50)
        async with aclosing(stream.follow()) as messages:
            assert [(await anext(messages))["seq"] for _ in range(3)] == [1, 2, 3]
            await asyncio.to_thread(app.emit, *[event] * 2)
            assert [(await anext(messages))["seq"] for _ in range(2)] == [4, 5]
            row = await row_of(app, name, lambda row: row.message_count == 5 and row.last_heartbeat_at is not None)
            assert (row.disconnected_at, row.client_info["transport"]) == (None, "sse")
            assert row.client_info["key"]
        ended = await row_of(app, name, lambda row: row.disconnected_at is not None)
        assert ended.message_count == 5
        await asyncio.to_thread(app.emit, event)
        async with aclosing(client.stream(name, cursor=stream.cursor).follow()) as resumed:
            assert (await anext(resumed))["seq"] == 6
            again = await row_of(app, name, lambda row: row.disconnected_at is None and row.message_count == 6)
            assert (again.id, again.connected_at) == (row.id, row.connected_at)
    await row_of(app, name, lambda row: row.disconnected_at is not None)
