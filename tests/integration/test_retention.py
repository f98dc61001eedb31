"""Retention on a real PostgreSQL: a prefix, never more, and nothing that it knew of the fields is lost."""

import asyncio
import logging
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.messages import Event, Head
from realtime_ui.persistence.append_requests import Entry
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog, Published
from realtime_ui.persistence.fields import FieldRepository
from realtime_ui.persistence.retention import BATCH, INTERVAL_S, PAUSE_S, Retention
from tests.ageing import age
from tests.clock import ManualClock

TENANT = uuid.UUID(int=1)
PROJECT = ChannelName.parse("project:x")
KEY = (TENANT, PROJECT)


class NoWait(ManualClock):
    """Does not wait, and remembers for how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Remember."""
        self.slept.append(seconds)


def retention(database: Database, days: float | None = 30, **types: float | None) -> Retention:
    """Retention of some days, by type where it is said."""
    kept = {kind: types.get(kind, days) for kind in ChannelType}
    return Retention(database, kept, NoWait())


async def fill(log: EventLog, count: int, channel: ChannelName = PROJECT, **payload: Any) -> None:
    """Append some events."""
    events = [Event.create("project.updated", payload, TENANT, emitted_by="tests") for _ in range(count)]
    await log.append([Entry(event, channel) for event in events])


async def kept(log: EventLog, channel: ChannelName = PROJECT) -> list[int]:
    """The seqs that the log has."""
    return [message.seq for message in await log.read(TENANT, channel, limit=10_000)]


async def fields(database: Database, channel: ChannelName) -> dict[str, tuple[Any, int]]:
    """The channel's current fields and what set them."""
    found = (await FieldRepository(database).read(TENANT, channel)).values
    return {name: (each.value, each.seq) for name, each in found.items()}


async def head(log: EventLog, channel: ChannelName = PROJECT) -> Head:
    """Where the channel stands."""
    found = await log.head(TENANT, channel)
    assert found is not None
    return found


async def test_what_is_too_old_goes_and_the_head_says_what_is_left(log: EventLog, database: Database) -> None:
    """The numbers go on where they were."""
    await fill(log, 10)
    await age(database, "project:x", 1, 6, days=31)
    assert await retention(database).prune() == 6
    assert await kept(log) == [7, 8, 9, 10]
    assert ((await head(log)).first, (await head(log)).last) == (7, 10)
    await fill(log, 1)
    assert await kept(log) == [7, 8, 9, 10, 11]
    assert await retention(database).prune() == 0


async def test_a_younger_message_ends_what_goes(log: EventLog, database: Database) -> None:
    """What the log keeps has no hole, also where clocks were set back."""
    await fill(log, 6)
    await age(database, "project:x", 1, 3, days=31)
    await age(database, "project:x", 5, 6, days=31)
    assert await retention(database).prune() == 3
    assert await kept(log) == [4, 5, 6]


async def test_all_of_a_channel_may_go(log: EventLog, database: Database) -> None:
    """Its next message follows on the last one."""
    await fill(log, 3)
    await age(database, "project:x", 1, 3, days=31)
    assert await retention(database).prune() == 3
    assert ((await head(log)).first, (await head(log)).last) == (4, 3)
    await fill(log, 1)
    assert await kept(log) == [4]


async def test_each_type_is_kept_as_long_as_it_is_said(log: EventLog, database: Database) -> None:
    """And some for ever."""
    names = [ChannelName.parse(f"{kind}:x") for kind in ("project", "session", "system")]
    for name in names:
        await fill(log, 2, name)
        await age(database, str(name), 1, 2, days=10)
    assert await retention(database, 30, session=None, system=7).prune() == 2
    assert [len(await kept(log, name)) for name in names] == [2, 2, 0]
    assert await retention(database, None).prune() == 0


async def test_batches_are_small_with_a_pause_after_each(log: EventLog, database: Database) -> None:
    """So that an append never waits long."""
    await fill(log, 2 * BATCH + 203)
    await age(database, "project:x", 1, 2 * BATCH + 200, days=31)
    clock = NoWait()
    assert await Retention(database, {ChannelType.PROJECT: 30}, clock).prune() == 2 * BATCH + 200
    assert clock.slept == [PAUSE_S, PAUSE_S]
    assert (await head(log)).first == 2 * BATCH + 201


async def test_several_workers_prune_at_once(log: EventLog, database: Database) -> None:
    """Each message goes once, and not one too many."""
    await fill(log, 3 * BATCH)
    await age(database, "project:x", 1, 3 * BATCH - 1, days=31)
    counts = await asyncio.gather(*(retention(database).prune() for _ in range(3)))
    assert sum(counts) == 3 * BATCH - 1
    assert await kept(log) == [3 * BATCH]


async def test_head_and_messages_agree_at_every_moment(log: EventLog, database: Database) -> None:
    """While some append and others prune: what anybody sees is first … last, whole."""
    look = sa.text("""
        SELECT h.first_seq, h.last_seq, count(e.seq), min(e.seq), max(e.seq)
        FROM realtime_channel_heads h LEFT JOIN realtime_events_log e ON e.channel_id = h.channel_id
        GROUP BY h.channel_id
    """)
    prune = sa.text("SELECT sum(realtime_prune(channel_id, now(), 7)) FROM realtime_channel_heads")
    await fill(log, 50)
    done, pruned, seen = asyncio.Event(), 0, set()

    async def append() -> None:
        for _ in range(60):
            await asyncio.gather(fill(log, 3), fill(log, 2))
        done.set()

    async def shrink() -> int:
        count = 0
        while not done.is_set():
            async with database.transaction() as connection:
                count += (await connection.execute(prune)).scalar_one()
        return count

    tasks = [asyncio.create_task(shrink()) for _ in range(2)]
    writer = asyncio.create_task(append())
    while not done.is_set():
        async with database.single() as connection:
            first, last, count, lowest, highest = (await connection.execute(look)).one()
        assert count == last - first + 1
        assert (lowest, highest) == ((first, last) if count else (None, None))
        seen.add(first)
    await writer
    pruned = sum(await asyncio.gather(*tasks))
    assert (await head(log)).last == 350
    assert len(await kept(log)) == 350 - pruned
    assert len(seen) > 3, "nothing was pruned meanwhile"


async def test_a_prune_that_is_rolled_back_leaves_all_as_it_was(log: EventLog, database: Database) -> None:
    """Messages, head and fields are one transaction's."""
    await fill(log, 3, changes={"status": "open"})
    async with database.transaction() as connection:
        await connection.execute(sa.text("SELECT realtime_prune(channel_id, now(), 2) FROM realtime_channel_heads"))
        await connection.rollback()
    assert await kept(log) == [1, 2, 3]
    assert (await head(log)).first == 1
    async with database.single() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM realtime_channel_fields"))).scalar() == 0


async def test_what_nobody_published_is_looked_for_among_the_kept_only(log: EventLog, database: Database) -> None:
    """The runs beyond the mark stay known."""
    await fill(log, 8)
    stored = await log.read(*KEY, limit=8)

    def runs(*pairs: tuple[int, int]) -> list[Published]:
        return [Published(first, last, stored[last - 1].epoch, stored[last - 1].id) for first, last in pairs]

    await log.mark_published({KEY: runs((2, 3), (6, 6))})
    await age(database, "project:x", 1, 4, days=31)
    await retention(database).prune()
    assert await log.unpublished(age_s=0) == [(KEY, (5, 5)), (KEY, (7, 8))]
    await log.mark_published({KEY: runs((5, 5), (7, 8))})
    assert await log.unpublished(age_s=0) == []


CHANGES = st.one_of(
    st.dictionaries(st.sampled_from("abcd"), st.one_of(st.integers(), st.none(), st.text("xy")), max_size=3),
    st.sampled_from(["none", None, [1]]),
)


@given(st.lists(CHANGES, min_size=1, max_size=12), st.lists(st.integers(1, 5), max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_fields_outlast_the_messages_that_set_them(
    log: EventLog, database: Database, changes: list[Any], batches: list[int]
) -> None:
    """However the log is cut, they are as all of its messages left them."""
    channel = ChannelName.parse(f"project:{uuid.uuid4()}")
    for each in changes:
        await fill(log, 1, channel, changes=each)
    expected: dict[str, tuple[Any, int]] = {}
    for seq, each in enumerate(changes, start=1):
        if isinstance(each, dict):
            expected |= {name: (value, seq) for name, value in each.items()}
    prune = sa.text("""
        SELECT realtime_prune(id, now() + interval '1 hour', :batch) FROM realtime_channels WHERE channel_name = :name
    """)
    assert await fields(database, channel) == expected
    for batch in batches:
        async with database.single() as connection:
            await connection.execute(prune, {"batch": batch, "name": str(channel)})
        assert await fields(database, channel) == expected
    assert await kept(log, channel) == list(range(min(sum(batches), len(changes)) + 1, len(changes) + 1))


async def test_a_field_with_an_endless_name_does_not_keep_its_channel(log: EventLog, database: Database) -> None:
    """It is let go with its message; the others stay."""
    await fill(log, 1, changes={"".join(chr(300 + n) for n in range(5_000)): 1, "status": "open"})
    await age(database, "project:x", 1, 1, days=31)
    assert await retention(database).prune() == 1
    assert await fields(database, PROJECT) == {"status": ("open", 1)}


async def test_a_database_that_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """At the next interval, for as long as it takes."""
    caplog.set_level(logging.DEBUG)
    database, clock = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", pool=1), ManualClock()
    part = Retention(database, {ChannelType.PROJECT: 30}, clock)
    await part.start()
    for times in (1, 2):
        async with asyncio.timeout(60):
            while caplog.text.count("pruned later") < times:
                await asyncio.sleep(0.01)
        await clock.advance(INTERVAL_S)
    await part.stop()
    await database.close()


async def test_a_running_part_prunes_by_itself(log: EventLog, database: Database) -> None:
    """At its start, and after each interval."""
    clock = ManualClock()
    part = Retention(database, {ChannelType.PROJECT: 30}, clock)
    await fill(log, 4)
    await part.start()
    for first in (3, 5):
        await age(database, "project:x", 1, first - 1, days=31)
        async with asyncio.timeout(60):
            while (await head(log)).first < first:
                await clock.advance(INTERVAL_S)
                await asyncio.sleep(0.01)
    await part.stop()


async def test_new_epochs_are_each_channels_own(log: EventLog) -> None:
    """Messages and numbers stay, and count in the new one."""
    other = ChannelName.parse("project:y")
    await fill(log, 2)
    await fill(log, 1, other)
    before = [await head(log), await head(log, other)]
    assert await log.new_epochs() == 2
    after = [await head(log), await head(log, other)]
    assert len({each.epoch for each in (*before, *after)}) == 4
    assert [(each.first, each.last) for each in before] == [(each.first, each.last) for each in after]
    await fill(log, 1)
    assert {message.epoch for message in await log.read(TENANT, PROJECT, limit=9)} == {after[0].epoch}
    assert await kept(log) == [1, 2, 3]
