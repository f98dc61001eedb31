"""Pages at the provider: `/api/realtime/token`, with the vendors' own clients on servers of their protocols."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from socketio import AsyncServer

from realtime_ui.access.accounts import Accounts
from realtime_ui.access.gate import COOKIE
from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.policy import Action, reach
from realtime_ui.api.app import create_api
from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Message
from realtime_ui.core.principals import TENANT_SCOPES, ApiKey, Person, Role, Scope
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.persistence.channels import EVERY_TYPE
from realtime_ui.providers.pusher_names import to_pusher
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests import vendor
from tests.app import free_port
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.doubles.ably import AblyServer
from tests.doubles.pusher import PusherServer
from tests.integration.test_api import make_key, problem
from tests.people import have_person, tenants
from tests.waiting import until

PASSWORD = "a long enough password"
ADDRESS = "/api/realtime/token"


@dataclass
class Stage:
    """A worker that is served, and a client of it."""

    runtime: Runtime
    http: httpx.AsyncClient
    url: str

    async def cookie(self, role: Role = Role.MEMBER, tenant: str = "Northwind") -> tuple[str, Person]:
        """Somebody new who is signed in."""
        email = f"{uuid.uuid4().hex[:8]}@northwind.test"
        await have_person(self.runtime.database, tenant, email, "Max", role)
        token = await self.runtime.gate.sign_in(email, PASSWORD, email)
        person = await self.runtime.gate.by_token(token)
        assert person is not None
        return f"{COOKIE}={token}", person

    async def open_inbound(self, tenant: uuid.UUID, channel: ChannelName, *types: str) -> None:
        """Let others publish on a channel, and wait until the worker hears it and accepts these types."""
        await self.runtime.channels.set_inbound(tenant, channel, types or EVERY_TYPE)
        async with asyncio.timeout(60):
            while not (found := self.runtime.hub._watched.get((tenant, channel))) or not found.attached:
                await asyncio.sleep(0.02)
        await until(lambda: all(self.runtime._inbound.accepts(tenant, channel, each) for each in types))


@asynccontextmanager
async def served(settings: Settings, **more: object) -> AsyncIterator[Stage]:
    """A worker with the API on a port of its own."""
    port = free_port()
    settings = settings.model_copy(update=more)
    async with Runtime(settings, AsyncServer(async_mode="asgi"), no_sink) as runtime:
        config = uvicorn.Config(create_api(), port=port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        url = f"http://127.0.0.1:{port}"
        try:
            async with httpx.AsyncClient(base_url=url) as http:
                while not server.started:
                    await asyncio.sleep(0.01)
                yield Stage(runtime, http, url)
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def on_pusher(settings: Settings) -> AsyncIterator[tuple[Stage, PusherServer]]:
    """A worker on Pusher."""
    async with (
        PusherServer() as server,
        served(
            settings,
            realtime_provider="pusher",
            pusher_app_id=server.app_id,
            pusher_key=server.key,
            pusher_secret=server.secret,
            pusher_host=f"127.0.0.1:{server.port}",
            pusher_tls=False,
        ) as stage,
    ):
        yield stage, server


@pytest.fixture
async def on_ably(settings: Settings) -> AsyncIterator[tuple[Stage, AblyServer]]:
    """A worker on Ably."""
    async with (
        AblyServer() as server,
        served(
            settings,
            realtime_provider="ably",
            ably_api_key=server.key,
            ably_endpoint=f"127.0.0.1:{server.port}/",
            ably_tls=False,
        ) as stage,
    ):
        yield stage, server


def test_what_each_may_reach() -> None:
    """The policy's answer for all channels at once."""
    person = Person(uuid.UUID(int=7), uuid.UUID(int=1), "N", "Max", "max@n.test", Role.MEMBER, uuid.UUID(int=9))
    admin = Person(uuid.UUID(int=7), uuid.UUID(int=1), "N", "Ada", "ada@n.test", Role.ADMIN, uuid.UUID(int=9))
    reader = ApiKey(uuid.UUID(int=8), uuid.UUID(int=1), "r", frozenset({Scope.READ, Scope.TOKEN}))
    everything = ("project:*", "session:*", "organization:*", "user:*", "system:*")
    mine = ("project:*", "session:*", "organization:*", f"user:{person.id}")
    assert (reach(person, Action.READ), reach(person, Action.POST)) == (mine, mine)
    assert (reach(admin, Action.READ), reach(admin, Action.POST)) == (everything, everything)
    assert (reach(reader, Action.READ), reach(reader, Action.EMIT)) == (everything, ())
    assert Scope.TOKEN not in TENANT_SCOPES


async def test_a_react_page_with_ablys_hooks_needs_nothing_but_the_address(on_ably: tuple[Stage, AblyServer]) -> None:
    """Its own tenant's channels and nothing else; what it publishes is recorded and shown; its feed is ours."""
    stage, server = on_ably
    cookie, person = await stage.cookie()
    channel = ChannelName.parse("project:abc123")
    await stage.open_inbound(person.tenant, channel)
    page = asyncio.create_task(
        vendor.run("react_page.jsx", str(server.port), f"{stage.url}{ADDRESS}", cookie, str(person.tenant))
    )
    number = 0
    while not page.done():
        number += 1
        await stage.runtime.bus.emit("project.updated", {"projectId": "abc123", "number": number}, person.tenant)
        await asyncio.sleep(0.1)
    said = await page
    assert said["clientId"] == f"{person.tenant}:{person.label}"
    assert any(text.startswith('project.updated: {"projectId":"abc123"') for text in said["shown"])
    assert 'project.noted: {"text":"from page"}' in said["shown"]
    assert said["refused"] == {"another tenant": 40160, "another user": 40160, "system": 40160, "post there": 40160}
    async with asyncio.timeout(60):
        while True:
            rows = await stage.runtime.log.read(person.tenant, channel, limit=100_000)
            if [each.type for each in rows].count("foreign.message") == 2:
                break
            await asyncio.sleep(0.05)
    noted, hello = (each for each in rows if each.type == "foreign.message")
    assert noted.data == {"name": "project.noted", "data": {"text": "from page"}}, "which a member may not emit here"
    assert hello.data == {"name": "Hello", "data": "plain"}
    assert {each.row()["emitted_by"]["kind"] for each in (noted, hello)} == {"person"}
    assert {each.emitted_by for each in (noted, hello)} == {person.stamp}


async def test_a_page_with_pusher_js_hears_its_own_tenants_channels(on_pusher: tuple[Stage, PusherServer]) -> None:
    """And no other; what it sends is recorded once."""
    stage, server = on_pusher
    _, person = await stage.cookie()
    pages = await make_key(stage.runtime, Scope.TOKEN, Scope.READ)
    own = to_pusher(f"{person.tenant}:project:abc123")
    other = to_pusher(f"{uuid.uuid4()}:project:abc123")
    channel = ChannelName.parse("project:abc123")
    key = (person.tenant, channel)
    await stage.open_inbound(*key, "project.noted")
    arguments = (str(server.port), server.key, f"{stage.url}{ADDRESS}", pages["Authorization"], own, other)
    page = asyncio.create_task(vendor.run("pusher_checks.mjs", "granted", *arguments))
    noted = False
    while not page.done() and not noted:  # it stays until it hears the next event, so what it sent is never cut off
        await asyncio.sleep(0.05)
        noted = any(each.type == "project.noted" for each in await stage.runtime.log.read(*key, limit=10))
    await stage.runtime.bus.emit("project.updated", {"projectId": "abc123"}, person.tenant)
    assert (await page)["projectId"] == "abc123"
    rows = await stage.runtime.log.read(*key, limit=10)
    assert [each.data for each in rows if each.type == "project.noted"] == [{"from": "page"}]


async def test_on_ably_a_revoked_sender_is_recorded_no_more(on_ably: tuple[Stage, AblyServer]) -> None:
    """Though its token lasts on; what an emitting key publishes is accepted under its own name until then."""
    stage, server = on_ably
    channel = ChannelName.parse("project:abc123")
    header = (await make_key(stage.runtime, Scope.TOKEN, Scope.EMIT))["Authorization"]
    bot = await stage.runtime.gate.by_headers(header, None)
    assert isinstance(bot, ApiKey)
    await stage.open_inbound(bot.tenant, channel)

    def publish(number: int) -> None:
        told = {"name": "project.noted", "data": f'{{"n": {number}}}', "encoding": "json"}
        stamped = {**told, "clientId": f"{bot.tenant}:{bot.label}"}  # as Ably stamps the token's
        server.channel(f"{bot.tenant}:{channel}").publish([stamped], f"theirs-{number}", "")

    async def rows() -> list[Message]:
        return await stage.runtime.log.read(bot.tenant, channel, limit=100)

    publish(1)
    async with asyncio.timeout(60):
        while not await rows():
            await asyncio.sleep(0.02)
    [first] = await rows()
    assert (first.type, first.row()["emitted_by"]) == ("project.noted", {"kind": "key", "name": bot.name})
    refused = metrics.total(metrics.FOREIGN_MESSAGES, "refused")
    await Accounts(AccountRepository(stage.runtime.database)).revoke_key(str(bot.id))
    number = 1
    async with asyncio.timeout(60):
        while metrics.total(metrics.FOREIGN_MESSAGES, "refused") == refused:
            number += 1
            publish(number)
            await asyncio.sleep(0.2)
    recorded = len(await rows())
    publish(number + 1)
    await until(lambda: metrics.total(metrics.FOREIGN_MESSAGES, "refused") >= refused + 2)
    assert len(await rows()) == recorded


async def test_on_pusher_a_channel_accepts_the_types_that_it_is_open_for(on_pusher: tuple[Stage, PusherServer]) -> None:
    """Of client events, whose senders Pusher does not vouch for; a backend's events are accepted as they are."""
    stage, server = on_pusher
    _, person = await stage.cookie()
    channel = ChannelName.parse("project:abc123")
    await stage.open_inbound(person.tenant, channel, "project.noted")
    name = to_pusher(f"{person.tenant}:{channel}")
    for event in ("client-project.noted", "client-project.updated", "project.updated"):
        server.channels.tell(name, event, {"author": {"name": "Ada"}})
    async with asyncio.timeout(60):
        while len(rows := await stage.runtime.log.read(person.tenant, channel, limit=100)) < 3:
            await asyncio.sleep(0.02)
    assert [each.type for each in rows] == ["project.noted", "foreign.message", "project.updated"]
    assert rows[1].data == {"name": "project.updated", "data": {"author": {"name": "Ada"}}}
    assert {each.row()["emitted_by"]["kind"] for each in rows} == {"foreign"}


async def test_who_may_not_is_refused(on_pusher: tuple[Stage, PusherServer]) -> None:
    """Nobody, a key without the scope, and whoever asks for another's channels; with the field that is wrong."""
    stage, _ = on_pusher
    cookie, person = await stage.cookie()

    def form(channel: str) -> dict[str, str]:
        return {"socket_id": "1.2", "channel_name": to_pusher(channel)}

    own, user = f"{person.tenant}:project:x", f"{person.tenant}:user:{person.id}"
    problem(await stage.http.get(ADDRESS, params=form(own)), 401)
    plain = await make_key(stage.runtime, Scope.EMIT, Scope.READ)
    problem(await stage.http.get(ADDRESS, params=form(own), headers=plain), 403)
    deaf = await make_key(stage.runtime, Scope.TOKEN, tenant="Contoso")
    tenant = next(identity for identity, name in await tenants(stage.runtime.database) if name == "Contoso")
    body = problem(await stage.http.get(ADDRESS, params=form(f"{tenant}:project:x"), headers=deaf), 403)
    assert "scope read or emit" in body["remedy"]

    headers = {"Cookie": cookie}
    for channel in (own, user):
        answer = await stage.http.post(ADDRESS, data=form(channel), headers=headers)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
    for channel in (f"{tenant}:project:x", f"{person.tenant}:user:other", f"{person.tenant}:system:health"):
        problem(await stage.http.post(ADDRESS, data=form(channel), headers=headers), 403)
    problem(await stage.http.get(ADDRESS, headers=headers), 400, "socket_id")
    problem(await stage.http.get(ADDRESS, params={"x": "y" * 2_000}, headers=headers), 413)


async def test_a_provider_without_pages_of_others_says_so(settings: Settings) -> None:
    """And what to use in its place."""
    async with served(settings) as stage:
        cookie, _ = await stage.cookie()
        body = problem(await stage.http.get(ADDRESS, headers={"Cookie": cookie}), 404)
        assert "/api/stream" in body["remedy"]


async def test_who_asks_without_end_is_counted_out(settings: Settings) -> None:
    """With the time to wait."""
    async with served(settings) as stage:
        cookie, _ = await stage.cookie()
        stage.runtime.token_limit = RateLimiter(rate=1, burst=2, clock=ManualClock())
        for _ in range(2):
            problem(await stage.http.get(ADDRESS, headers={"Cookie": cookie}), 404)
        problem(await stage.http.get(ADDRESS, headers={"Cookie": cookie}), 429)
