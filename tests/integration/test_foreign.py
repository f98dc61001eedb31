"""What others publish, with a real database and several workers on one wire."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
from socketio import AsyncServer

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.events.wire import wire_channel
from realtime_ui.persistence.channels import EVERY_TYPE
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.leases import LEASE_S, Lease
from realtime_ui.providers import factory
from realtime_ui.providers.base import Capability, WireMessage
from realtime_ui.providers.memory import MemoryNetwork, MemoryProvider
from realtime_ui.providers.pusher_names import to_pusher
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.doubles.ably import AblyServer
from tests.doubles.pusher import PusherServer
from tests.integration.test_bus import Seen
from tests.waiting import until

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")
KEY = (TENANT, CHANNEL)

Workers = tuple[MemoryProvider, list[Runtime]]


class WithoutIds(MemoryProvider):
    """A wire on which each subscriber sees another id, as on Pusher."""

    capabilities = Capability.PRESENCE


@pytest.fixture(params=[MemoryProvider, WithoutIds], ids=["shared ids", "no ids"])
async def workers(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Workers]:
    """Two workers on one wire, and a foreign client of it."""
    network = MemoryNetwork()
    kind: type[MemoryProvider] = request.param
    monkeypatch.setitem(factory._BUILT_IN, "memory", lambda settings: kind(network))
    async with AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(Runtime(settings, AsyncServer(async_mode="asgi"), no_sink))
            for _ in range(2)
        ]
        page = kind(network)
        await page.connect("page")
        stack.push_async_callback(page.disconnect)
        yield page, both


async def test_it_is_recorded_once_and_shown_by_every_worker(workers: Workers) -> None:
    """Whichever hears it first."""
    page, (one, other) = workers
    seen = Seen(), Seen()
    await one.hub.attach(KEY, seen[0])
    await other.hub.attach(KEY, seen[1])
    for number in range(20):
        name = "greeting" if number % 2 else "project.updated"
        await page.publish(wire_channel(*KEY), WireMessage(f"theirs-{number}", name, {"n": number}, 1, "page"))
    await until(lambda: all(each.seqs == list(range(1, 21)) for each in seen))
    messages = await one.log.read(TENANT, CHANNEL, limit=100)
    assert [(each.data.get("n", each.data.get("data"))) for each in messages] == [
        {"n": number} if number % 2 else number for number in range(20)
    ]


@asynccontextmanager
async def on_ably() -> AsyncIterator[tuple[dict[str, object], Callable[[int], None]]]:
    """Ably: the settings of a worker on it, and how a page publishes a numbered message."""
    async with AblyServer() as server:

        def publish(number: int) -> None:
            told = {"name": "project.updated", "data": f'{{"n": {number}}}', "encoding": "json"}
            server.channel(wire_channel(*KEY)).publish([told], f"theirs-{number}", "")

        endpoint = f"127.0.0.1:{server.port}/"
        yield {"ably_api_key": server.key, "ably_endpoint": endpoint, "ably_tls": False}, publish


@asynccontextmanager
async def on_pusher() -> AsyncIterator[tuple[dict[str, object], Callable[[int], None]]]:
    """Pusher, alike."""
    async with PusherServer() as server:

        def publish(number: int) -> None:
            server.channels.tell(to_pusher(wire_channel(*KEY)), "project.updated", {"n": number})

        app = {"pusher_app_id": server.app_id, "pusher_key": server.key, "pusher_secret": server.secret}
        yield {**app, "pusher_host": f"127.0.0.1:{server.port}", "pusher_tls": False}, publish


@pytest.mark.parametrize(("name", "wire"), [("ably", on_ably), ("pusher", on_pusher)], ids=["ably", "pusher"])
async def test_two_workers_record_what_a_page_publishes_at_the_service_once(
    name: str,
    wire: Callable[[], AbstractAsyncContextManager[tuple[dict[str, object], Callable[[int], None]]]],
    settings: Settings,
) -> None:
    """Though both hear it."""
    async with AsyncExitStack() as stack:
        more, publish = await stack.enter_async_context(wire())
        there = settings.model_copy(update={"realtime_provider": name, **more})
        both = [
            await stack.enter_async_context(Runtime(there, AsyncServer(async_mode="asgi"), no_sink)) for _ in range(2)
        ]
        seen = Seen(), Seen()
        for worker, each in zip(both, seen, strict=True):
            await worker.hub.attach(KEY, each)
        await until(lambda: all(worker.hub._watched[KEY].attached for worker in both))
        for number in range(20):
            publish(number)
        await until(lambda: all(each.seqs == list(range(1, 21)) for each in seen))
        await asyncio.sleep(0.5)  # in which none comes twice
        messages = await both[0].log.read(TENANT, CHANNEL, limit=100)
        assert [each.data for each in messages] == [{"n": number} for number in range(20)]


async def test_an_inbound_channel_is_recorded_when_nobody_watches_and_others_are_not(workers: Workers) -> None:
    """As soon as it is set, and no longer when it is taken away."""
    page, (one, other) = workers
    name = wire_channel(*KEY)

    def listeners() -> int:
        return len(page._network.subscribers[name])

    await one.channels.set_inbound(TENANT, CHANNEL, EVERY_TYPE)
    assert await one.channels.inbound() == {KEY: EVERY_TYPE}
    await until(lambda: listeners() == 2)
    await page.publish(name, WireMessage("theirs", "project.updated", {"n": 1}, 1, "page"))
    async with asyncio.timeout(60):
        while not await one.log.read(TENANT, CHANNEL, limit=10):
            await asyncio.sleep(0.02)
    await other.channels.set_inbound(TENANT, CHANNEL, None)
    await until(lambda: listeners() == 0)


async def test_a_lease_has_one_holder_at_a_time(database: Database) -> None:
    """Who gives it back leaves it at once; who dies, when it has run out."""
    clock = ManualClock()
    one, other = (Lease(database, "test", name, clock) for name in ("one", "other"))
    await one.start()
    await other.start()
    assert (one.held, other.held) == (True, False)
    await one.stop()
    await clock.advance(3.1)
    await until(lambda: other.held)
    clock.stand_still(LEASE_S)
    assert not other.held  # it could not renew and does not go on believing
    await other.stop()


async def test_a_lease_that_nobody_renews_runs_out_by_the_databases_own_clock(database: Database) -> None:
    """A worker that died keeps nobody waiting for longer."""
    dead, heir = Lease(database, "test", "dead", ManualClock()), Lease(database, "test", "heir", SystemClock())
    await dead.start()
    async with database.single() as connection:
        await connection.exec_driver_sql("UPDATE realtime_leases SET expires_at = now() - interval '1 ms'")
    await heir.start()
    assert heir.held
    await heir.stop()
    await dead.stop()
