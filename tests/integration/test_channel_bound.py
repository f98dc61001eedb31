"""How many channels a tenant may have: whoever needs one more is refused, and nobody else."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.errors import TooManyChannels
from realtime_ui.persistence.channels import EVERY_TYPE, ChannelRepository
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from tests.integration.test_event_log import TENANT, entry, seqs

OTHER = uuid.UUID(int=2)
MOST = 3


@pytest.fixture
async def bounded(database_url: str) -> AsyncIterator[Database]:
    """A database of which each tenant may have three channels."""
    database = Database(database_url, pool=5, channels_per_tenant=MOST)
    yield database
    await database.close()


@pytest.fixture
async def log(bounded: Database) -> AsyncIterator[EventLog]:
    """A log on it."""
    log = EventLog(bounded, bounded, SystemClock())
    await log.start()
    yield log
    await log.stop()


async def counts(database: Database) -> tuple[dict[uuid.UUID, int], dict[uuid.UUID, int]]:
    """The channels of each tenant, as they are kept and as they are."""
    kept = sa.text("SELECT tenant_id, channels AS n FROM realtime_tenant_channels WHERE channels > 0")
    real = sa.text("SELECT tenant_id, count(*) AS n FROM realtime_channels GROUP BY tenant_id")
    async with database.single() as connection:
        found = [(await connection.execute(query)).all() for query in (kept, real)]
    first, second = ({row.tenant_id: row.n for row in rows} for rows in found)
    return first, second


async def test_one_more_channel_is_refused_and_says_how_many_there_may_be(log: EventLog, bounded: Database) -> None:
    """With all of its caller's list; existing channels and other tenants go on."""
    await log.append([entry(f"project:{n}") for n in range(MOST)])
    good = [log.append([entry("project:0")]), log.append([entry("project:new", tenant=OTHER)])]
    bad = [log.append([entry("project:new")]), log.append([entry("project:1"), entry("session:1"), entry("project:2")])]
    answers = await asyncio.gather(good[0], *bad, good[1], return_exceptions=True)
    assert [isinstance(each, TooManyChannels) for each in answers] == [False, True, True, False]
    error = answers[1]
    assert isinstance(error, TooManyChannels)
    assert (error.status, error.field, error.retryable) == (409, "channel", False)
    assert "3, as many as it may have" in error.detail
    assert seqs(await log.append([entry("project:0"), entry("project:1"), entry("project:2")])) == [3, 2, 2]
    kept, real = await counts(bounded)
    assert kept == real == {TENANT: MOST, OTHER: 1}


async def test_of_several_new_ones_the_first_are_made(log: EventLog, bounded: Database) -> None:
    """As many as there is room for, in the order in which they were asked for."""
    await log.append([entry("project:0")])
    calls = [log.append([entry(f"project:{name}")]) for name in ("d", "c", "b", "a")]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, TooManyChannels) for each in answers] == [False, False, True, True]
    assert (await counts(bounded))[1] == {TENANT: MOST}


async def test_a_title_makes_no_channel_beyond_the_bound(log: EventLog, bounded: Database) -> None:
    """Nor does opening one for others; what exists can be named."""
    channels = ChannelRepository(bounded)
    names = [ChannelName.parse(f"project:{n}") for n in range(MOST + 1)]
    await channels.set_title(TENANT, names[0], "Apollo")
    await channels.set_inbound(TENANT, names[1], EVERY_TYPE)
    await log.append([entry(names[2])])
    for change in (channels.set_title(TENANT, names[3], "Gemini"), channels.set_inbound(TENANT, names[3], EVERY_TYPE)):
        with pytest.raises(TooManyChannels):
            await change
    await channels.set_title(TENANT, names[2], "Mercury")
    await channels.set_inbound(TENANT, names[0], EVERY_TYPE)
    assert [await channels.described(TENANT, name) for name in names] == [
        ("Apollo", EVERY_TYPE),
        (None, EVERY_TYPE),
        ("Mercury", None),
        (None, None),
    ]
    kept, real = await counts(bounded)
    assert kept == real == {TENANT: MOST}


async def test_workers_together_make_no_channel_too_many(database_url: str, bounded: Database) -> None:
    """Appending and naming at the same time, several tenants in each other's groups; and the count stays right."""
    databases = [Database(database_url, pool=3, channels_per_tenant=10) for _ in range(3)]
    logs = [EventLog(each, each, SystemClock()) for each in databases]
    for each in logs:
        await each.start()
    try:
        calls = [
            logs[(n + worker) % 3].append([entry(f"project:{n}", tenant=TENANT if n % 2 else OTHER)])
            for n in range(40)
            for worker in range(2)
        ]
        names = [ChannelName.parse(f"project:{n}") for n in range(40)]
        titles = [ChannelRepository(databases[0]).set_title(TENANT, name, "Named") for name in names[1::2]]
        answers = await asyncio.gather(*calls, *titles, return_exceptions=True)
    finally:
        for each in logs:
            await each.stop()
        for database in databases:
            await database.close()
    wrong = [each for each in answers if isinstance(each, BaseException) and not isinstance(each, TooManyChannels)]
    assert not wrong
    kept, real = await counts(bounded)
    assert kept == real == {TENANT: 10, OTHER: 10}


async def test_channels_that_somebody_deletes_make_room(log: EventLog, bounded: Database) -> None:
    """The count follows, whoever inserts or deletes them."""
    channels = ChannelRepository(bounded)
    for n in range(MOST):
        await channels.set_title(TENANT, ChannelName.parse(f"project:{n}"), "x")
    async with bounded.single() as connection:
        await connection.execute(sa.text("DELETE FROM realtime_channel_search"))
        await connection.execute(sa.text("DELETE FROM realtime_channels WHERE channel_name <> 'project:0'"))
    assert (await counts(bounded))[0] == {TENANT: 1}
    await log.append([entry("project:again")])
