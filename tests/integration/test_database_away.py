"""A worker while its database restarts, stands still, or has no room: bounded answers, and on by itself."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import pytest
from socketio import AsyncServer

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.persistence import group_writer
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.conftest import no_sink
from tests.postgres import OwnPostgres
from tests.waiting import until

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")
EVENT = ("project.updated", {"projectId": "x"}, TENANT)
DEADLINE_S = 60


@pytest.fixture
async def worker(own_postgres: OwnPostgres) -> AsyncIterator[Runtime]:
    """A worker on a database that the test may take away."""
    settings = Settings(database_url=own_postgres.url, secret_key="a secret for tests", _env_file=None)
    async with Runtime(settings, AsyncServer(async_mode="asgi", async_handlers=False), no_sink) as runtime:
        yield runtime


@contextmanager
def frozen(server: OwnPostgres) -> Iterator[None]:
    """Every process of a PostgreSQL stopped, as when its disk or machine hangs."""
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


async def test_a_restart_of_the_database_is_ridden_out(
    worker: Runtime, own_postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever emits meanwhile waits a moment and hears of nothing."""
    for name in ("RIDE_OUT_S", "ANSWER_WITHIN_S"):
        monkeypatch.setattr(group_writer, name, DEADLINE_S)  # a busy machine starts a database slowly
    await worker.bus.emit(*EVENT, id="before")
    assert worker.log.connections_lost == 0
    await asyncio.to_thread(own_postgres.stop)
    waiting = asyncio.create_task(worker.bus.emit(*EVENT, id="meanwhile"))
    await asyncio.to_thread(own_postgres.start)
    async with asyncio.timeout(DEADLINE_S):
        receipt = await waiting
    assert [(place.seq, receipt.duplicate) for place in receipt.placements] == [(2, False)]
    await until(lambda: worker.log.connections_lost)  # by which the hub knows that another server may answer


async def test_while_the_database_stands_still_every_answer_is_bounded_and_then_all_goes_on(
    worker: Runtime, own_postgres: OwnPostgres
) -> None:
    """Emits, reads and keys alike; what was in flight is stored once, whoever sends it again."""
    await worker.bus.emit(*EVENT, id="before")
    with frozen(own_postgres):
        async with asyncio.timeout(DEADLINE_S):
            answers = await asyncio.gather(
                worker.bus.emit(*EVENT, id="meanwhile"),
                worker.bus.emit(*EVENT, id="and another"),
                worker.log.read(TENANT, CHANNEL, limit=10),
                worker.gate.by_token("somebody"),
                return_exceptions=True,
            )
        assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 4
        assert worker.health.snapshot().degraded == ("database",)
    async with asyncio.timeout(DEADLINE_S):
        while worker.health.snapshot().degraded:
            await asyncio.sleep(0.1)
        for again in ("meanwhile", "and another"):
            await worker.bus.emit(*EVENT, id=again)
    stored = await worker.log.read(TENANT, CHANNEL, limit=10)
    assert [message.seq for message in stored] == [1, 2, 3]
    assert {message.id for message in stored} == {"before", "meanwhile", "and another"}


async def test_ephemeral_events_need_no_database(worker: Runtime, own_postgres: OwnPostgres) -> None:
    """They are shown while it is away."""
    shown: list[str] = []
    key = (TENANT, ChannelName.parse("session:s"))
    await worker.hub.attach(key, lambda frame: shown.extend(each.id for each in frame.ephemeral))
    await asyncio.to_thread(own_postgres.stop)
    await worker.bus.emit("session.message.delta", {"sessionId": "s", "messageId": "m", "index": 0}, TENANT, id="c")
    assert shown == ["c"]
    await asyncio.to_thread(own_postgres.start)
