"""Sessions behind open feeds: looked at again and again."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
import uvicorn

from realtime_ui.access.accounts import Accounts
from realtime_ui.access.gate import CACHE_S
from realtime_ui.access.revocations import INTERVAL_S
from realtime_ui.api.guard import Guard
from realtime_ui.api.site import Site
from realtime_ui.core.endings import Ending
from realtime_ui.core.principals import Role
from realtime_ui.hub.checks import SESSIONS_INTERVAL_S
from realtime_ui.hub.posts import MAX_POST_BYTES
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.runtime import Runtime, tell_going_away
from realtime_ui.settings import Settings
from tests.app import PASSWORD, free_port
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.people import have_person
from tests.tab import Tab, open_tab
from tests.waiting import until


class Stage:
    """A worker with its clock, behind a guarded Socket.IO server."""

    def __init__(self, settings: Settings) -> None:
        self.clock = ManualClock()
        self.sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], async_handlers=False)
        self.runtime = Runtime(settings, self.sio, no_sink, clock=self.clock)
        self.url = f"http://127.0.0.1:{free_port()}"

    async def cookie(self) -> str:
        """A signed-in session's header."""
        return f"realtime_session={await self.runtime.gate.sign_in('max@northwind.test', PASSWORD, 'tests')}"

    async def become(self, role: Role) -> None:
        """Give Max a role."""
        await have_person(self.runtime.database, "Northwind", "max@northwind.test", "Max", role)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """A running stage with Max, a member."""
    stage = Stage(settings)
    async with stage.runtime:
        await stage.become(Role.MEMBER)
        app = socketio.ASGIApp(stage.sio, socketio_path="_event")
        guard = Guard(app, site=Site(["http://localhost"]), max_body_bytes=1000, pages=None, secure=False)
        config = uvicorn.Config(guard, port=int(stage.url.rpartition(":")[2]), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.01)
        yield stage
        server.should_exit = True
        await task
        await stage.sio.shutdown()
    for left in asyncio.all_tasks() - {asyncio.current_task()}:
        if any(name in repr(left.get_coro()) for name in ("_service_task", "_send_ping")):
            left.cancel()


async def ended(stage: Stage, gone: asyncio.Event) -> None:
    """Wait for the end of a feed, which comes when its session is next checked."""
    await stage.clock.advance(SESSIONS_INTERVAL_S + 1)
    async with asyncio.timeout(60):
        await gone.wait()


async def test_a_session_that_ended_elsewhere_ends_its_feed(stage: Stage) -> None:
    """Another worker's sign-out, or an expiry, is only in the database."""
    async with open_tab(stage.url, await stage.cookie(), "/feed") as tab:
        gone = asyncio.Event()
        tab.client.on("disconnect", lambda *reason: gone.set(), namespace="/feed")
        said: list[Any] = []
        tab.client.on("closed", said.append, namespace="/feed")
        assert (await tab.sub("project:x"))["ok"]
        await stage.clock.advance(SESSIONS_INTERVAL_S + 1)
        assert (await tab.call("echo"))["ok"]
        async with stage.runtime.database.single() as connection:
            await connection.exec_driver_sql("DELETE FROM sign_in_sessions")
        await ended(stage, gone)
        assert said == [Ending.SESSION_EXPIRED.packet()]


async def test_whoever_asks_after_the_session_has_ended_is_told_and_let_go(stage: Stage) -> None:
    """At the first question, and not only at the next look."""
    async with open_tab(stage.url, await stage.cookie(), "/feed") as tab:
        said: list[Any] = []
        tab.client.on("closed", said.append, namespace="/feed")
        async with stage.runtime.database.single() as connection:
            await connection.exec_driver_sql("DELETE FROM sign_in_sessions")
        stage.clock.stand_still(CACHE_S + 1)  # before anything noticed and ended the feed
        assert (await tab.sub("project:x"))["error"]["status"] == 401
        await until(lambda: "/feed" not in tab.client.namespaces)
        assert said == [Ending.SESSION_EXPIRED.packet()]


async def test_a_tab_is_told_who_it_is_and_that_its_worker_stops(stage: Stage) -> None:
    """A page compares the first with who it was before, and shows the second until it is connected again."""
    cookie = await stage.cookie()
    person = await stage.runtime.gate.by_token(cookie.partition("=")[2])
    assert person is not None
    told: list[Any] = []
    tab = Tab(stage.url, cookie)
    for name in ("you", "closed"):
        tab.client.on(name, told.append, namespace="/feed")
    await tab.connect("/feed")
    tell_going_away()
    await until(lambda: len(told) == 2)
    you = {"person": str(person.id), "tenant": str(person.tenant), "name": "Max", "max_post_bytes": MAX_POST_BYTES}
    assert told == [you, Ending.GOING_AWAY.packet()]
    await tab.client.disconnect()


async def test_whoever_is_signed_out_posts_nothing(stage: Stage) -> None:
    """The session is looked up for every post; the answer is one after which a browser keeps what it has."""
    post = {"id": str(uuid.uuid4()), "channel": "session:s", "type": "session.message", "payload": {"text": "Hello"}}
    async with open_tab(stage.url, await stage.cookie(), "/feed") as tab:
        async with stage.runtime.database.single() as connection:
            await connection.exec_driver_sql("DELETE FROM sign_in_sessions")
        stage.clock.stand_still(CACHE_S + 1)  # before anything noticed and ended the feed
        answer = await tab.call("post", post)
        assert (answer["ok"], answer["error"]["status"]) == (False, 401)
    async with open_tab(stage.url, await stage.cookie(), "/feed") as tab:
        assert (await tab.sub("session:s"))["head"] == 0


@pytest.mark.parametrize("change", ["session", "person"])
async def test_a_revoked_session_ends_its_feed_within_seconds(stage: Stage, change: str) -> None:
    """And not only when all sockets are checked; another person's feed goes on."""
    await have_person(stage.runtime.database, "Northwind", "ada@northwind.test", "Ada", Role.ADMIN)
    ada = f"realtime_session={await stage.runtime.gate.sign_in('ada@northwind.test', PASSWORD, 'tests')}"
    async with open_tab(stage.url, await stage.cookie(), "/feed") as tab, open_tab(stage.url, ada, "/feed") as other:
        gone = asyncio.Event()
        tab.client.on("disconnect", lambda *reason: gone.set(), namespace="/feed")
        assert (await tab.sub("project:x"))["ok"]
        accounts = Accounts(AccountRepository(stage.runtime.database))
        if change == "session":
            await accounts.end_sessions("max@northwind.test")
        else:
            await accounts.remove_person("max@northwind.test")
        assert INTERVAL_S < SESSIONS_INTERVAL_S
        await stage.clock.advance(INTERVAL_S)
        async with asyncio.timeout(60):
            await gone.wait()
        assert (await other.sub("project:x"))["ok"]


async def test_a_new_role_begins_with_a_new_feed(stage: Stage) -> None:
    """What an admin was shown does not go on for a member."""
    await stage.become(Role.ADMIN)
    async with open_tab(stage.url, await stage.cookie(), "/feed") as tab:
        gone = asyncio.Event()
        tab.client.on("disconnect", lambda *reason: gone.set(), namespace="/feed")
        said: list[Any] = []
        tab.client.on("closed", said.append, namespace="/feed")
        assert (await tab.sub("system:jobs"))["ok"]
        await stage.become(Role.MEMBER)
        await ended(stage, gone)
        assert said == [Ending.RIGHTS_CHANGED.packet()]
