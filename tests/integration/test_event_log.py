"""The log on a real PostgreSQL: numbers without gap or double, whoever appends how."""

import asyncio
import dataclasses
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.errors import ChannelFull, Conflict, DatabaseUnavailable, InvalidEvent
from realtime_ui.core.messages import Event, row_tag
from realtime_ui.core.position import Position
from realtime_ui.persistence.append_requests import Entry, Stored
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog, Published
from realtime_ui.persistence.times import to_ms
from tests.ageing import go_back
from tests.app import ROOT

TENANT = uuid.UUID(int=1)
PROJECT = ChannelName.parse("project:x")


def entry(
    channel: ChannelName | str = PROJECT, *, id: str | None = None, tenant: uuid.UUID = TENANT, **payload: object
) -> Entry:
    """An event on its way to a channel."""
    name = channel if isinstance(channel, ChannelName) else ChannelName.parse(channel)
    return Entry(Event.create("project.updated", payload, tenant, id=id, emitted_by="tests"), name)


def seqs(stored: list[Stored]) -> list[int]:
    """Their numbers."""
    return [item.message.seq for item in stored]


async def all_seqs(log: EventLog, channel: ChannelName, tenant: uuid.UUID = TENANT) -> list[int]:
    """Every number on a channel."""
    return [message.seq for message in await log.read(tenant, channel, limit=100_000)]


async def test_a_channel_counts_from_one_without_gaps(log: EventLog) -> None:
    """Each channel by itself, each tenant by itself."""
    assert seqs(await log.append([entry(), entry("project:y"), entry()])) == [1, 1, 2]
    assert seqs(await log.append([entry(tenant=uuid.UUID(int=2))])) == [1]
    assert seqs(await log.append([entry()])) == [3]


async def test_what_is_read_is_what_was_stored(log: EventLog) -> None:
    """Payload, type, id, epoch and time."""
    payload: dict[str, Any] = {"text": "äöü €", "list": [1, 2.5, None, True], "deep": {"a": {"b": []}}}
    stored = (await log.append([entry(id="my-id", **payload)]))[0].message
    read = (await log.read(TENANT, PROJECT, limit=10))[0]
    assert read == stored
    assert (read.id, read.data) == ("my-id", payload)


async def test_the_same_id_with_the_same_content_is_stored_once(log: EventLog) -> None:
    """And answers the same seq; the order of keys is no difference."""
    first = await log.append([entry(id="a", one=1, two=2)])
    again = await log.append([entry(id="a", two=2, one=1)])
    assert [item.duplicate for item in (*first, *again)] == [False, True]
    assert first[0].message.seq == again[0].message.seq == 1
    assert first[0].message.timestamp == again[0].message.timestamp
    assert await all_seqs(log, PROJECT) == [1]


async def test_the_same_id_with_other_content_is_a_conflict(log: EventLog) -> None:
    """And nothing of the caller's list is stored, on no channel."""
    await log.append([entry(id="a", n=1)])
    with pytest.raises(Conflict, match="'a'") as caught:
        await log.append([entry("project:y"), entry(id="a", n=2), entry()])
    assert caught.value.field == "id"
    assert await all_seqs(log, PROJECT) == [1]
    assert await all_seqs(log, ChannelName.parse("project:y")) == []


async def test_one_callers_conflict_does_not_touch_the_others_of_its_group(log: EventLog) -> None:
    """They are committed together, and numbered without a gap."""
    await log.append([entry(id="a", n=1)])
    outcomes = await asyncio.gather(
        log.append([entry(n=10)]), log.append([entry(id="a", n=2)]), log.append([entry(n=11)]), return_exceptions=True
    )
    assert isinstance(outcomes[1], Conflict)
    assert await all_seqs(log, PROJECT) == [1, 2, 3]


@pytest.mark.parametrize(
    ("payload", "emitter"),
    [('{"number": 1e999999}', "tests"), ("{}", "\0"), ("{}", "\ud800")],
    ids=["a number too large", "NUL", "half of a surrogate pair"],
)
async def test_an_event_that_postgresql_refuses_harms_nobody_else(log: EventLog, payload: str, emitter: str) -> None:
    """Its group fails, is split by caller, and only that caller is refused."""
    poison = Event("id", "project.updated", {}, payload, TENANT, emitter)
    outcomes = await asyncio.gather(
        *(log.append([entry(n=n)]) for n in range(5)),
        log.append([Entry(poison, PROJECT)]),
        *(log.append([entry(n=n)]) for n in range(5)),
        return_exceptions=True,
    )
    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"list": 10, "InvalidEvent": 1}
    assert isinstance(outcomes[5], InvalidEvent)
    assert await all_seqs(log, PROJECT) == list(range(1, 11))


async def test_appends_from_many_tasks_leave_no_gap_and_no_double(log: EventLog) -> None:
    """Every caller gets numbers of its own, and those of one call follow each other."""
    answers = await asyncio.gather(*(log.append([entry(n=n), entry(n=n), entry(n=n)]) for n in range(300)))
    for answer in answers:
        assert seqs(answer) == list(range(seqs(answer)[0], seqs(answer)[0] + 3))
    assert sorted(seq for answer in answers for seq in seqs(answer)) == list(range(1, 901))


APPEND_FROM_ANOTHER_PROCESS = """
import asyncio, random, sys, uuid
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.messages import Event, row_tag
from realtime_ui.core.position import Position
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog, Published
from realtime_ui.persistence.times import to_ms
from realtime_ui.persistence.append_requests import Entry

async def main(url, seed):
    dice = random.Random(seed)
    channels = [ChannelName.parse(f"project:p{n}") for n in range(6)]
    database = Database(url, pool=3)
    log = EventLog(database, database, SystemClock())
    await log.start()
    async def one(n):
        # Crossing channels in random order, and ids that both processes use.
        chosen = dice.sample(channels, 3)
        event = Event.create("project.updated", {"n": n}, uuid.UUID(int=1), id=f"id-{n}", emitted_by="tests")
        return await log.append([Entry(event, channel) for channel in chosen])
    for start in range(0, 400, 40):
        await asyncio.gather(*(one(n) for n in range(start, start + 40)))
    await log.stop()
    await database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_two_processes_with_crossing_channels_and_equal_ids_do_not_deadlock(
    log: EventLog, database_url: str
) -> None:
    """Both end, each (channel, id) stands once, and each channel counts without a gap."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", APPEND_FROM_ANOTHER_PROCESS, database_url, str(seed)),
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        for seed in (1, 2)
    ]
    async with asyncio.timeout(60):
        for process in processes:
            _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
            assert b"rolled back" not in errors
    total = 0
    for number in range(6):
        messages = await log.read(TENANT, ChannelName.parse(f"project:p{number}"), limit=10_000)
        assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
        assert max(Counter(message.id for message in messages).values()) == 1
        total += len(messages)
    assert total > 400 * 3


async def test_a_visible_seq_means_that_all_below_it_are_visible(log: EventLog, database_url: str) -> None:
    """A reader never sees a hole, however fast others write."""
    other_database = Database(database_url, pool=3)
    other = EventLog(other_database, other_database, SystemClock())
    await other.start()
    dice = random.Random(7)

    async def write(log: EventLog) -> None:
        for _ in range(60):
            await log.append([entry(n=dice.random()) for _ in range(dice.randint(1, 5))])

    writers = [asyncio.create_task(write(each)) for each in (log, other, log, other)]
    while not all(writer.done() for writer in writers):
        found = await all_seqs(log, PROJECT)
        assert found == list(range(1, len(found) + 1))
    await asyncio.gather(*writers)
    await other.stop()
    await other_database.close()


async def test_pages_go_up_from_after_and_down_from_before(log: EventLog) -> None:
    """Both oldest first."""
    await log.append([entry(n=n) for n in range(10)])

    async def page(**bounds: int) -> list[int]:
        return [message.seq for message in await log.read(TENANT, PROJECT, limit=3, **bounds)]

    assert await page() == [1, 2, 3]
    assert await page(after=4) == [5, 6, 7]
    assert await page(before=5) == [2, 3, 4]
    assert await page(after=2, before=5) == [3, 4]
    assert await page(after=10) == []


def runs(stored: Sequence[Stored], *pairs: tuple[int, int]) -> list[Published]:
    """Runs of messages as a worker marks them, by their first and last seqs."""
    return [
        Published(first, last, stored[last - 1].message.epoch, stored[last - 1].message.id) for first, last in pairs
    ]


async def test_a_page_ends_at_its_bound_in_bytes_and_the_next_goes_on(log: EventLog) -> None:
    """It is cut in the database, in both directions, and keeps at least one row."""
    await log.append([entry(text="x" * (1_000 - len('{"text": ""}'))) for _ in range(5)])

    async def page(max_bytes: int, **where: int) -> list[int]:
        return [each.seq for each in await log.read(TENANT, PROJECT, limit=100, max_bytes=max_bytes, **where)]

    assert [await page(bound) for bound in (5_000, 3_000, 2_999)] == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2]]
    assert await page(3_000, after=3) == [4, 5]
    assert [await page(3_000, before=6), await page(2_999, before=6)] == [[3, 4, 5], [4, 5]]
    assert await page(3_000, before=3) == [1, 2]
    assert [await page(1), await page(1, after=1), await page(1, before=6)] == [[1], [2], [5]]


async def test_several_workers_mark_what_each_published(log: EventLog) -> None:
    """Runs that interleave meet; what lies between them was published by nobody."""
    key = (TENANT, PROJECT)
    stored = await log.append([entry() for _ in range(8)])
    await log.mark_published({key: runs(stored, (2, 2), (4, 5))})
    assert await log.unpublished(age_s=0) == [(key, (1, 1)), (key, (3, 3)), (key, (6, 8))]
    assert await log.unpublished(age_s=0, but=[key]) == []
    await log.mark_published({key: runs(stored, (1, 1), (3, 3), (7, 7))})
    assert await log.unpublished(age_s=0) == [(key, (6, 6)), (key, (8, 8))]
    await log.mark_published({key: runs(stored, (6, 8))})
    assert await log.unpublished(age_s=0) == []


@given(st.lists(st.lists(st.integers(1, 30), max_size=8), max_size=8))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_marks_in_any_order_leave_just_what_nobody_published(log: EventLog, marks: list[list[int]]) -> None:
    """Whoever published, however often, in whichever order."""
    channel = ChannelName.parse(f"project:{uuid.uuid4()}")
    key = (TENANT, channel)
    stored = await log.append([entry(str(channel)) for _ in range(30)])
    for seqs_of_one in marks:
        await log.mark_published({key: runs(stored, *((seq, seq) for seq in seqs_of_one))})
    left = [range(first, last + 1) for found, (first, last) in await log.unpublished(age_s=0) if found == key]
    published = {seq for each in marks for seq in each}
    assert [seq for run in left for seq in run] == [seq for seq in range(1, 31) if seq not in published]
    await log.mark_published({key: runs(stored, (1, 30))})


async def test_what_a_failover_lost_marks_nothing_of_what_took_its_numbers(log: EventLog, database_url: str) -> None:
    """A worker published it, and stores its marks when the other events are there."""
    key = (TENANT, PROJECT)
    lost = await log.append([entry() for _ in range(5)])
    await go_back(database_url, str(PROJECT), 3)
    await log.append([entry() for _ in range(2)])
    await log.mark_published({key: runs(lost, (1, 3), (4, 5))})
    assert await log.unpublished(age_s=0) == [(key, (4, 5))]


async def test_a_log_that_went_back_begins_one_new_epoch(log: EventLog, database_url: str) -> None:
    """However many notice, each with the row that it knows, and whether or not its number was taken again."""
    stored = await log.append([entry() for _ in range(5)])
    rows = [item.message for item in stored]
    known = [Position(row.epoch, row.seq, row.tag) for row in rows]
    assert [await log.begin_epoch(TENANT, PROJECT, each) for each in known] == [False] * 5
    await go_back(database_url, str(PROJECT), 3)
    assert not await log.begin_epoch(TENANT, PROJECT, known[2])
    [other] = await log.append([entry(id=rows[3].id)])  # the same event, sent again
    assert (other.message.seq, other.duplicate, other.message.epoch) == (4, False, rows[0].epoch)
    assert sum(await asyncio.gather(*(log.begin_epoch(TENANT, PROJECT, each) for each in known * 3))) == 1
    head = await log.head(TENANT, PROJECT)
    assert head is not None
    assert (head.last, head.epoch == rows[0].epoch) == (4, False)
    assert not await log.begin_epoch(TENANT, PROJECT, known[4])
    assert not await log.begin_epoch(TENANT, ChannelName.parse("project:unknown"), known[4])


async def test_the_rows_that_differ_are_found_by_their_tags(log: EventLog, database_url: str) -> None:
    """Of many channels at once, the first of each; what the log does not have any more differs from nothing."""
    keys = [(TENANT, ChannelName.parse(f"project:{name}")) for name in "abc"]
    rows = {key: [each.message for each in await log.append([entry(key[1]) for _ in range(6)])] for key in keys}
    asked = {key: (2, [row.tag for row in rows[key][1:]]) for key in keys}
    assert await log.differing(asked) == {}
    for key, last in zip(keys, (4, 1, 3), strict=True):
        await go_back(database_url, str(key[1]), last)
    await log.append([*(entry(keys[0][1]) for _ in range(2)), *(entry(keys[1][1]) for _ in range(9))])
    assert await log.differing(asked) == {keys[0]: 5, keys[1]: 2}
    assert await log.differing({}) == {}


async def test_a_position_that_nobody_can_compare_begins_no_epoch(log: EventLog, database: Database) -> None:
    """Its row is no longer kept, or its tag was never known."""
    rows = [item.message for item in await log.append([entry() for _ in range(5)])]
    epoch = rows[0].epoch
    assert not await log.begin_epoch(TENANT, PROJECT, Position(epoch, 3, ""))
    async with database.single() as connection:
        await connection.execute(sa.text("SELECT realtime_prune(channel_id, now(), 3) FROM realtime_channel_heads"))
    assert [message.seq for message in await log.read(TENANT, PROJECT, limit=9)] == [4, 5]
    assert not await log.begin_epoch(TENANT, PROJECT, Position(epoch, 3, "0" * 16))
    assert await log.begin_epoch(TENANT, PROJECT, Position(epoch, 5, "0" * 16))


@given(st.integers(0, 2**53 // 10**6), st.integers(0, 999), st.sampled_from([0, 499, 500, 501, 999]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_rows_tag_is_the_same_in_the_database(database: Database, seconds: int, ms: int, us: int) -> None:
    """Also where its time is half-way between two milliseconds."""
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, milliseconds=ms, microseconds=us)
    async with database.single() as connection:
        query = sa.text("SELECT realtime_row_tag('an-id', :time), cast(:time AS timestamptz)")
        tag, read = (await connection.execute(query, {"time": time})).one()
    assert tag == row_tag("an-id", to_ms(read))


async def test_no_number_is_given_out_that_javascript_cannot_count(log: EventLog, database: Database) -> None:
    """Its caller hears so, and those in the same group do not."""
    await log.append([entry(), entry("project:y")])
    async with database.single() as connection:
        await connection.execute(
            sa.text(
                "UPDATE realtime_channel_heads SET last_seq = 9007199254740990 WHERE channel_id IN"
                " (SELECT id FROM realtime_channels WHERE channel_name = 'project:x')"
            )
        )
    assert seqs(await log.append([entry()])) == [2**53 - 1]
    full, other = await asyncio.gather(log.append([entry()]), log.append([entry("project:y")]), return_exceptions=True)
    assert isinstance(full, ChannelFull)
    assert not isinstance(other, BaseException)
    assert seqs(other) == [2]


async def test_what_was_committed_a_moment_ago_is_no_orphan(log: EventLog) -> None:
    """Its worker has not had the time to publish it."""
    await log.append([entry()])
    assert await log.unpublished(age_s=60) == []


async def test_a_lock_that_somebody_holds_is_a_fault_of_the_database_not_of_the_event(
    database: Database, database_url: str
) -> None:
    """The caller hears that trying again may help, and is not left waiting."""
    writer = Database(database_url, pool=1, lock_timeout_s=0.2)
    log = EventLog(database, writer, SystemClock())
    await log.start()
    await log.append([entry(id="a")])
    async with database.transaction() as other:
        await other.exec_driver_sql("SELECT 1 FROM realtime_channel_heads FOR UPDATE")
        with pytest.raises(DatabaseUnavailable):
            await log.append([entry(id="b")])
    assert seqs(await log.append([entry(id="b")])) == [2]
    await log.stop()
    await writer.close()


async def test_a_stopped_log_answers_those_who_wait(log: EventLog) -> None:
    """They may send again elsewhere, under the same id."""
    await log.stop()
    with pytest.raises(Exception, match="stopping") as caught:
        await log.append([entry()])
    assert getattr(caught.value, "retryable", False)
    await log.start()


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    """And the error can be retried."""
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", pool=2)
    log = EventLog(database, database, SystemClock())
    await log.start()
    with pytest.raises(DatabaseUnavailable) as caught:
        await log.append([entry()])
    assert caught.value.retryable
    await log.stop()
    await database.close()


def poisoned(kind: str) -> Entry:
    """An entry that no entrance lets through, as another program's mistake may make one."""
    made = entry(id=f"poisoned-{kind}").event
    wrong: dict[str, Entry] = {
        "channel": Entry(made, ChannelName("ticket", "x")),  # type: ignore[arg-type]
        "json": Entry(dataclasses.replace(made, payload_json="no json"), PROJECT),
        "deep": Entry(dataclasses.replace(made, payload_json="[" * 100_000 + "]" * 100_000), PROJECT),
        "surrogate": Entry(dataclasses.replace(made, payload_json='"\ud800"'), PROJECT),
        "nul": Entry(dataclasses.replace(made, type="a\0b"), PROJECT),
        "tenant": Entry(dataclasses.replace(made, tenant="nobody"), PROJECT),  # type: ignore[arg-type]
        "unknown": Entry(dataclasses.replace(made, payload_json=object()), PROJECT),  # type: ignore[arg-type]
        "null": Entry(dataclasses.replace(made, type=None), PROJECT),  # type: ignore[arg-type]
    }
    return wrong[kind]


@pytest.mark.parametrize("kind", ["channel", "json", "deep", "surrogate", "nul", "tenant", "unknown", "null"])
async def test_a_poisoned_entry_fails_alone(log: EventLog, kind: str) -> None:
    """All other callers of its group are stored, in one order without gaps; nothing else of its own list is."""
    good = [log.append([entry(id=f"good-{number}")]) for number in range(20)]
    bad = log.append([entry(id="beside"), poisoned(kind)])
    group = [*good[:13], bad, *good[13:]]
    answers = await asyncio.gather(*group, return_exceptions=True)
    refused = answers.pop(13)
    assert isinstance(refused, (InvalidEvent, TypeError)), refused
    assert all(isinstance(each, list) for each in answers), answers
    assert sorted(seq for each in answers if isinstance(each, list) for seq in seqs(each)) == list(range(1, 21))
    assert await all_seqs(log, PROJECT) == list(range(1, 21))
