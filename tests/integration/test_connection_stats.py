"""Connections' rows, leases and samples on a real PostgreSQL."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.heartbeat import DEFAULTS, HeartbeatConfig
from realtime_ui.core.messages import Event
from realtime_ui.persistence.append_requests import Entry
from realtime_ui.persistence.connection_stats import LEASE_S, ConnectionStatsRepository, StatRow
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from realtime_ui.persistence.health_samples import HealthSampleRepository, TrafficSample, WorkerSample
from realtime_ui.persistence.heartbeat_config import HeartbeatConfigRepository

TENANT = uuid.UUID(int=1)
NOW = 0
PERSON = uuid.UUID(int=2)


@pytest.fixture(autouse=True)
def now() -> None:
    """Each test has a now of its own, in ms."""
    global NOW
    NOW = round(datetime.now(UTC).timestamp() * 1000)


def row(number: int = 1, **changes: Any) -> StatRow:
    """A connection on `project:x`, open for 10 s."""
    values: dict[str, Any] = {
        "id": uuid.UUID(int=number),
        "tenant": TENANT,
        "channel": "project:x",
        "connection": f"tab-{number}",
        "info": {"person": str(PERSON), "transport": "websocket"},
        "opened_at": NOW - 10_000,
        "closed_at": None,
        "last_beat_at": NOW - 1_000,
        "messages": 3,
        "latencies_ms": (5, 7),
    }
    return StatRow(**values | changes)


@pytest.fixture
def table(database: Database) -> ConnectionStatsRepository:
    """The repository."""
    return ConnectionStatsRepository(database)


async def read(database: Database, query: str) -> list[Any]:
    """What a query gives."""
    async with database.single() as connection:
        result = await connection.execute(sa.text(query))
        return list(result.all()) if result.returns_rows else []


async def stats(database: Database) -> dict[str, Any]:
    """The rows by connection."""
    return {each.connection_id: each for each in await read(database, "SELECT * FROM realtime_connection_stats")}


async def expire(database: Database, worker: str) -> None:
    """Let a lease run out: the worker gave its last sign a minute ago."""
    await read(
        database,
        f"UPDATE realtime_workers SET seen_at = now() - interval '60 seconds' WHERE id = '{worker}'",
    )


async def test_a_flush_writes_rows_once_and_then_what_changed(
    table: ConnectionStatsRepository, database: Database
) -> None:
    """To write the same again changes nothing."""
    for _ in range(2):
        assert (await table.keep("w1", NOW, {}, [row(1), row(2, messages=0)])).closing == ()
    await table.keep("w1", NOW, {}, [row(1, messages=9, closed_at=NOW)])
    found = await stats(database)
    assert {name: each.message_count for name, each in found.items()} == {"tab-1": 9, "tab-2": 0}
    assert found["tab-1"].disconnected_at == datetime.fromtimestamp(NOW / 1000, UTC)
    assert found["tab-1"].last_heartbeat_at == datetime.fromtimestamp((NOW - 1_000) / 1000, UTC)
    assert found["tab-1"].latencies_ms == [5, 7]
    assert found["tab-2"].disconnected_at is None
    assert found["tab-2"].client_info == {"person": str(PERSON), "transport": "websocket"}


async def test_a_flush_is_answered_with_the_number_of_the_one_before(
    table: ConnectionStatsRepository, database: Database
) -> None:
    """By which a worker knows a database that went back; it then closes its rows, and opens those that are open."""
    befores = [(await table.keep("w1", NOW, {"flush": number}, [row(1), row(2)])).before for number in (1, 2, 3)]
    assert befores == [None, 1, 2]
    await table.close_all("w1")
    assert (await table.keep("w1", NOW, {"flush": 4}, [row(1)])).before == 3
    found = await stats(database)
    assert [found[name].disconnected_at is None for name in ("tab-1", "tab-2")] == [True, False]


async def test_a_channel_is_named_by_its_row_as_soon_as_there_is_one(
    table: ConnectionStatsRepository, database: Database, log: EventLog
) -> None:
    """A tab can watch a channel before its first event."""
    await table.keep("w1", NOW, {}, [row()])
    assert (await stats(database))["tab-1"].channel_id is None
    event = Event.create("project.updated", {}, TENANT, emitted_by="tests")
    await log.append([Entry(event, ChannelName.parse("project:x"))])
    await table.keep("w1", NOW, {}, [row(messages=4)])
    [[identity]] = await read(database, "SELECT id FROM realtime_channels")
    assert (await stats(database))["tab-1"].channel_id == identity


async def test_the_rows_of_a_worker_that_died_are_closed_by_another(
    table: ConnectionStatsRepository, database: Database
) -> None:
    """As of its last sign, and they keep their last beat; rows that had ended stay as they are."""
    await table.keep("dead", NOW, {}, [row(1), row(2, closed_at=NOW - 5_000)])
    await table.keep("alive", NOW, {}, [row(3)])
    assert (await stats(database))["tab-1"].disconnected_at is None
    await expire(database, "dead")
    assert (await table.keep("alive", NOW, {}, [])).lease
    found = await stats(database)
    assert found["tab-1"].disconnected_at == found["tab-1"].opened_at  # the later of the two
    assert found["tab-1"].last_heartbeat_at is not None
    assert found["tab-2"].disconnected_at == datetime.fromtimestamp((NOW - 5_000) / 1000, UTC)
    assert found["tab-3"].disconnected_at is None
    assert [each.id for each in await table.workers()] == ["alive"]


async def test_a_worker_hears_that_it_was_taken_for_dead(table: ConnectionStatsRepository, database: Database) -> None:
    """And what it writes then holds again."""
    await table.keep("slow", NOW, {}, [row()])
    await expire(database, "slow")
    await table.keep("other", NOW, {}, [])
    assert not (await table.keep("slow", NOW, {}, [])).lease
    assert (await table.keep("slow", NOW, {}, [row()])).lease
    assert (await stats(database))["tab-1"].disconnected_at is None


async def test_a_connection_resumed_on_another_worker_is_that_workers(
    table: ConnectionStatsRepository, database: Database
) -> None:
    """The count goes on, and what the first one says too late changes nothing."""
    await table.keep("w1", NOW, {}, [row(messages=10)])
    for messages in (2, 2, 5):
        await table.keep("w2", NOW, {}, [row(messages=messages, opened_at=NOW)])
    await table.keep("w1", NOW, {}, [row(messages=11, closed_at=NOW + 1)])
    found = (await stats(database))["tab-1"]
    assert (found.message_count, found.worker, found.disconnected_at) == (15, "w2", None)
    assert found.connected_at == datetime.fromtimestamp((NOW - 10_000) / 1000, UTC)
    await expire(database, "w1")
    await table.keep("w2", NOW, {}, [])
    assert (await stats(database))["tab-1"].disconnected_at is None


async def test_whom_an_admin_wants_closed_its_worker_hears_of(table: ConnectionStatsRepository) -> None:
    """Only that worker, only in that tenant, and no more once it is closed."""
    await table.keep("w1", NOW, {}, [row()])
    assert not await table.ask_to_close(uuid.UUID(int=9), "tab-1")
    assert await table.ask_to_close(TENANT, "tab-1")
    assert (await table.keep("w2", NOW, {}, [])).closing == ()
    assert (await table.keep("w1", NOW, {}, [])).closing == ("tab-1",)
    assert (await table.keep("w1", NOW, {}, [row(closed_at=NOW)])).closing == ()
    assert not await table.ask_to_close(TENANT, "tab-1")


async def test_what_is_seen_is_the_tenants_and_bounded_with_the_true_count(table: ConnectionStatsRepository) -> None:
    """Open ones first, newest first; those that ended just now after them; a person's own where asked."""
    rows = [row(number, opened_at=NOW - number * 1000) for number in range(1, 8)]
    rows += [
        row(10, closed_at=NOW),
        row(11, closed_at=NOW - 120_000),
        row(12, tenant=uuid.UUID(int=9)),
        row(13, info={"person": "another"}, opened_at=NOW - 60_000),
    ]
    await table.keep("w1", NOW, {}, rows)
    seen, total = await table.seen(TENANT, person=None, gone_s=60, limit=5)
    assert ([each.connection for each in seen], total) == ([f"tab-{number}" for number in range(1, 6)], 8)
    seen, total = await table.seen(TENANT, person=PERSON, gone_s=60, limit=50)
    assert ([each.connection for each in seen][-1], len(seen), total) == ("tab-10", 8, 7)
    assert await table.seen(uuid.UUID(int=8), person=None, gone_s=60, limit=5) == ([], 0)


async def test_rows_of_ended_connections_go_when_they_are_old_enough(
    table: ConnectionStatsRepository, database: Database
) -> None:
    """Open ones never."""
    day = 86_400_000
    await table.keep(
        "w1",
        NOW,
        {},
        [
            row(1, opened_at=NOW - 30 * day),
            row(2, opened_at=NOW - 9 * day, closed_at=NOW - 8 * day),
            row(3, opened_at=NOW - 9 * day, closed_at=NOW - 6 * day),
        ],
    )
    assert await table.prune(7 * 86_400) == 1
    assert set(await stats(database)) == {"tab-1", "tab-3"}


async def test_workers_say_how_they_are_until_their_lease_ends(
    table: ConnectionStatsRepository, database: Database
) -> None:
    """One that leaves is gone at once."""
    for worker in ("w1", "w2", "w3"):
        await table.keep(worker, NOW, {"sockets": 4}, [])
    await table.leave("w1")
    await expire(database, "w2")
    [only] = await table.workers()
    assert (only.id, only.state, only.started_at) == ("w3", {"sockets": 4}, NOW)
    assert LEASE_S == 15


async def test_samples_of_all_workers_make_the_last_hour(database: Database) -> None:
    """Sums of counts, the worst lag; a tenant sees its own traffic alone; old ones go."""
    samples = HealthSampleRepository(database)
    minute = NOW // 60_000 * 60_000 - 120_000
    own = WorkerSample(sockets=5, streams=1, stale=0, hub_lag_ms=3, refused=2, dropped=0)
    traffic = [
        TrafficSample(TENANT, "project", 4, 40, 10, 20, 1),
        TrafficSample(uuid.UUID(int=9), "project", 9, 99, 1, 1, 0),
    ]
    for _ in range(2):  # the same minute again is the same sample
        await samples.add("w1", minute, own, traffic)
    await samples.add("w2", minute, own, [TrafficSample(TENANT, "project", 12, 10, 2, 50, 0)])
    await samples.add("w1", minute - 3 * 86_400_000, own, traffic)
    assert await samples.last_hour() == [
        {"minute": minute, "sockets": 10, "streams": 2, "stale": 0, "hub_lag_ms": 3, "refused": 4, "dropped": 0}
    ]
    assert await samples.traffic_of_last_hour(TENANT) == [
        {
            "minute": minute,
            "channel_type": "project",
            "connections": 16,
            "messages": 50,
            "missed": 1,
            "p50": 4,
            "p95": 50,
        }
    ]
    await samples.prune()
    assert await read(database, "SELECT count(*) FROM realtime_health_samples") == [(2,)]
    assert await read(database, "SELECT count(*) FROM realtime_traffic_samples") == [(3,)]


async def test_the_configuration_is_the_tables(database: Database) -> None:
    """A row that makes no sense, or is missing, counts as the default."""
    config = HeartbeatConfigRepository(database)
    assert await config.read() == DEFAULTS
    await config.write(ChannelType.SESSION, HeartbeatConfig(1_000, 5_000))
    await read(database, "DELETE FROM realtime_heartbeat_config WHERE channel_type = 'user'")
    await read(
        database, "UPDATE realtime_heartbeat_config SET heartbeat_interval_ms = 0 WHERE channel_type = 'project'"
    )
    assert await config.read() == {**DEFAULTS, ChannelType.SESSION: HeartbeatConfig(1_000, 5_000)}
    await config.write(ChannelType.USER, HeartbeatConfig(2_000, 4_000))
    assert (await config.read())[ChannelType.USER] == HeartbeatConfig(2_000, 4_000)
