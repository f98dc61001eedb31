"""The current fields: kept behind the log, bounded, and never of another epoch."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.messages import Event
from realtime_ui.persistence.append_requests import Entry
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from realtime_ui.persistence.field_folder import BATCH, FOLD_AFTER, SWEEP_S, FieldFolder
from realtime_ui.persistence.fields import MAX_BYTES, MAX_FIELDS, TAIL, FieldRepository, Fields
from realtime_ui.persistence.leases import Lease
from tests.bulk import fill_log
from tests.clock import ManualClock

TENANT = uuid.UUID(int=1)
PROJECT = ChannelName.parse("project:x")
KEY = (TENANT, PROJECT)
NAMED = (TENANT, str(PROJECT))


async def append(log: EventLog, *changes: Any, channel: ChannelName = PROJECT) -> None:
    """Append an event for each of some `changes`."""
    events = [Event.create("project.updated", {"changes": each}, TENANT, emitted_by="tests") for each in changes]
    await log.append([Entry(event, channel) for event in events])


async def execute(database: Database, statement: str, **values: Any) -> Any:
    """Run a statement; its first value, if it gives one."""
    async with database.single() as connection:
        result = await connection.execute(sa.text(statement), values)
        return result.scalar() if result.returns_rows else None


def plain(fields: Fields) -> dict[str, Any]:
    """Names and values alone."""
    return {name: each.value for name, each in fields.values.items()}


@pytest.fixture
def fields(database: Database) -> FieldRepository:
    """The fields of the test's database."""
    return FieldRepository(database)


class Stage:
    """A running folder on a clock that the test moves."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self.fields = FieldRepository(database)
        self.lease = Lease(database, "current fields", uuid.uuid4().hex, SystemClock())
        self.folder = FieldFolder(self.fields, self.lease, self.clock)
        self._database = database

    async def reach(self, seq: int, channel: str = "project:x") -> None:
        """Let time pass until the table has been folded up to `seq`."""
        folded = """
            SELECT f.seq FROM realtime_field_folds f JOIN realtime_channels c ON c.id = f.channel_id
            WHERE c.channel_name = :name
        """
        async with asyncio.timeout(60):
            while (await execute(self._database, folded, name=channel) or 0) < seq:
                await self.clock.advance(SWEEP_S)
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """A folder in the worker that holds the lease."""
    stage = Stage(database)
    await stage.lease.start()
    await stage.folder.start()
    yield stage
    await stage.folder.stop()
    await stage.lease.stop()


async def test_a_short_log_is_read_without_ever_being_folded(log: EventLog, fields: FieldRepository) -> None:
    """The newest value stands; events without an object of changes say nothing."""
    await append(log, {"status": "open", "owner": "Ada"}, "none", None, {"status": "done", "tags": [1]})
    found = await fields.read(*KEY)
    assert {name: (each.value, each.seq) for name, each in found.values.items()} == {
        "status": ("done", 4),
        "owner": ("Ada", 1),
        "tags": ([1], 4),
    }
    assert (found.seq, found.head, found.more) == (4, 4, False)


async def test_a_channel_without_an_event_has_no_field(log: EventLog, fields: FieldRepository) -> None:
    """Neither has one whose events set none."""
    assert await fields.read(*KEY) == Fields("", 0, 0, {}, more=False)
    await append(log, None)
    found = await fields.read(*KEY)
    assert (found.values, found.seq, found.head) == ({}, 1, 1)


async def test_a_read_of_a_long_log_says_how_far_it_came(database: Database, fields: FieldRepository) -> None:
    """It reads the same few rows whatever the log's length, and each fold brings it further."""
    await fill_log(database, *NAMED, 10 * TAIL)
    found = await fields.read(*KEY)
    assert (found.seq, found.head, plain(found)) == (TAIL, 10 * TAIL, {"step": TAIL, "mark": TAIL})
    folded = await fields.fold(*KEY, batch=5 * TAIL)
    assert folded is not None
    assert (folded.seq, folded.head) == (5 * TAIL, 10 * TAIL)
    assert (await fields.read(*KEY)).seq == 6 * TAIL
    await fields.fold(*KEY, batch=5 * TAIL)
    found = await fields.read(*KEY)
    assert (found.seq, plain(found)) == (10 * TAIL, {"step": 10 * TAIL, "mark": 10 * TAIL})


async def test_what_was_pruned_before_it_was_folded_counts(
    log: EventLog, database: Database, fields: FieldRepository
) -> None:
    """However far the fold had come."""
    await append(log, {"a": 1}, {"b": 2}, {"a": 3, "c": 3}, {"d": 4})
    await fields.fold(*KEY, batch=1)
    prune = "SELECT realtime_prune(channel_id, now() + interval '1 hour', 3) FROM realtime_channel_heads"
    assert await execute(database, prune) == 3
    assert plain(await fields.read(*KEY)) == {"a": 3, "b": 2, "c": 3, "d": 4}
    folded = await fields.fold(*KEY, batch=10)
    assert folded is not None
    assert folded.seq == 4
    assert plain(await fields.read(*KEY)) == {"a": 3, "b": 2, "c": 3, "d": 4}


async def test_another_epoch_is_folded_anew(log: EventLog, database: Database, fields: FieldRepository) -> None:
    """Nothing of the one before is shown: the log went back and other events took the numbers."""
    await append(log, {"status": "open"}, {"lost": True}, {"status": "lost"})
    await fields.fold(*KEY, batch=10)
    await execute(database, "DELETE FROM realtime_events_log WHERE seq > 1")
    await execute(database, "UPDATE realtime_channel_heads SET last_seq = 1, epoch = gen_random_uuid()")
    await append(log, {"owner": "Ada"}, {"owner": "Grace"}, {"owner": "Lin"})
    for _ in range(2):
        found = await fields.read(*KEY)
        assert (plain(found), found.seq) == ({"status": "open", "owner": "Lin"}, 4)
        await fields.fold(*KEY, batch=10)


async def test_a_head_below_what_was_folded_is_folded_anew(
    log: EventLog, database: Database, fields: FieldRepository
) -> None:
    """Although nobody said that another epoch began."""
    await append(log, {"status": "open"}, {"lost": True})
    await fields.fold(*KEY, batch=10)
    await execute(database, "DELETE FROM realtime_events_log WHERE seq > 1")
    await execute(database, "UPDATE realtime_channel_heads SET last_seq = 1")
    for _ in range(2):
        assert plain(await fields.read(*KEY)) == {"status": "open"}
        await fields.fold(*KEY, batch=10)


async def test_a_channel_has_a_bounded_number_of_fields(log: EventLog, fields: FieldRepository) -> None:
    """Those that were set last; the answer says that there are more, folded or not."""
    await append(log, {"oldest": 0}, *({f"f{n}-{m}": 0 for m in range(100)} for n in range(MAX_FIELDS // 100)))
    for _ in range(2):
        found = await fields.read(*KEY)
        assert (len(found.values), found.more) == (MAX_FIELDS, True)
        assert "oldest" not in found.values
        await fields.fold(*KEY, batch=100)


async def test_pruned_fields_are_bounded_too(log: EventLog, database: Database, fields: FieldRepository) -> None:
    """So no prune, and no read, grows with all that ever was."""
    await append(log, *({f"f{n}-{m}": 0 for m in range(100)} for n in range(MAX_FIELDS // 100 + 2)))
    await execute(
        database, "SELECT realtime_prune(channel_id, now() + interval '1 hour', 99) FROM realtime_channel_heads"
    )
    assert await execute(database, "SELECT count(*) FROM realtime_channel_fields") == MAX_FIELDS
    assert len((await fields.read(*KEY)).values) == MAX_FIELDS


async def test_a_large_value_is_cut_and_its_size_said(log: EventLog, fields: FieldRepository) -> None:
    """The others are as they were; one with an endless name is left out."""
    await append(log, {"text": "x" * 50_000, "small": {"a": [1, None]}, "".join(chr(300 + n) for n in range(5_000)): 1})
    for _ in range(2):
        values = (await fields.read(*KEY)).values
        assert values["text"].row() == ['"' + "x" * 999, 1, 50_002]
        assert values["small"].row() == [{"a": [1, None]}, 1]
        assert len(values) == 2
        await fields.fold(*KEY, batch=100)


async def test_an_answer_is_bounded_in_bytes(log: EventLog, fields: FieldRepository) -> None:
    """It says that there are more."""
    await append(log, *({f"{n}-{m}": "x" * 4_000 for m in range(15)} for n in range(8)))
    found = await fields.read(*KEY)
    assert found.more
    assert MAX_BYTES - 5_000 < sum(len(name) + len(each.value) for name, each in found.values.items()) <= MAX_BYTES
    assert next(iter(found.values)).startswith("7-")


async def test_two_workers_do_not_fold_a_channel_at_once(
    log: EventLog, database: Database, fields: FieldRepository
) -> None:
    """The second one leaves it to the first."""
    await append(log, {"a": 1}, {"a": 2})
    await fields.fold(*KEY, batch=1)
    async with database.transaction() as connection:
        await connection.execute(sa.text("SELECT realtime_fold_fields(channel_id, 1) FROM realtime_channel_heads"))
        assert await fields.fold(*KEY, batch=1) is None


async def test_what_a_worker_appends_is_folded_behind_it(database: Database, stage: Stage) -> None:
    """Once there are some events more, and in one go."""
    log = EventLog(database, database, SystemClock(), stage.folder.appended)
    await log.start()
    await append(log, *({"n": n} for n in range(FOLD_AFTER - 1)))
    await stage.clock.advance(1)
    assert await execute(database, "SELECT count(*) FROM realtime_field_folds") == 0
    await append(log, {"n": "last"})
    async with asyncio.timeout(60):
        while not await execute(database, "SELECT max(seq) FROM realtime_field_folds"):
            await stage.clock.advance(0.1)
            await asyncio.sleep(0.01)
    assert await execute(database, "SELECT max(seq) FROM realtime_field_folds") == FOLD_AFTER
    await log.stop()


async def test_a_log_that_is_older_than_the_table_is_found_and_folded(database: Database, stage: Stage) -> None:
    """By the worker with the lease, without anybody asking; short logs are left alone."""
    await fill_log(database, *NAMED, 2 * BATCH + 10)
    await fill_log(database, TENANT, "project:short", FOLD_AFTER)
    await stage.reach(2 * BATCH)
    found = await stage.fields.read(*KEY)
    assert (found.seq, plain(found)) == (2 * BATCH + 10, {"step": 2 * BATCH + 10, "mark": 2 * BATCH})
    assert await execute(database, "SELECT count(*) FROM realtime_field_folds") == 1


async def test_the_sweep_looks_at_a_few_channels_at_a_time(database: Database, fields: FieldRepository) -> None:
    """And comes by all of them."""
    for n in range(5):
        await fill_log(database, TENANT, f"project:{n}", 3 if n % 2 else 30)
    after, found, looks = uuid.UUID(int=0), set(), 0
    while True:
        keys, last = await fields.behind(after, limit=2, lag=10)
        found |= {str(name) for _, name in keys}
        looks += 1
        if last is None:
            break
        after = last
    assert (found, looks) == ({"project:0", "project:2", "project:4"}, 3)


async def test_the_folder_waits_for_a_database_that_is_away(database: Database) -> None:
    """And forgets nothing meanwhile."""
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", pool=1)
    await fill_log(database, *NAMED, 3 * FOLD_AFTER)
    stage = Stage(away)
    await stage.folder.start()
    stage.folder.request(KEY)
    await stage.clock.advance(60)
    stage.folder._fields = FieldRepository(database)
    async with asyncio.timeout(60):
        while await execute(database, "SELECT max(seq) FROM realtime_field_folds") != 3 * FOLD_AFTER:
            await stage.clock.advance(31)
            await asyncio.sleep(0.01)
    await stage.folder.stop()
    await away.close()


async def test_events_with_thousands_of_fields_are_folded_in_smaller_batches(
    database_url: str, database: Database, log: EventLog
) -> None:
    """A batch that takes longer than a statement may would otherwise be tried for ever."""
    hasty = Database(database_url, pool=2, statement_timeout_s=0.25)
    await append(log, *({f"{m}-{k}": 0 for k in range(4_000)} for m in range(20)))
    stage = Stage(database)
    stage.folder._fields = FieldRepository(hasty)
    await stage.folder.start()
    stage.folder.request(KEY)
    await stage.reach(20)
    assert len((await stage.fields.read(*KEY)).values) == MAX_FIELDS
    await stage.folder.stop()
    await hasty.close()
