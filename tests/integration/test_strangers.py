"""What those who are not signed in may leave on the server: nothing."""

import asyncio
import pickle
import uuid
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis.asyncio
import reflex as rx
import websockets
from reflex.istate.manager.memory import StateManagerMemory
from reflex.istate.manager.redis import StateManagerRedis
from reflex.utils.token_manager import LocalTokenManager, RedisTokenManager, SocketRecord
from reflex_base.event.processor import BaseStateEventProcessor

from realtime_ui.hub.namespace import MAX_FRAME_BYTES
from realtime_ui.states.strangers import LOOK_S, PATIENCE_S, StrangerStates
from realtime_ui.states.tab_namespace import MAX_ROUTER_DATA
from tests.app import App
from tests.clock import ManualClock, settle
from tests.integration.test_tokens import again, state_of
from tests.tab import DEADLINE_S, Tab, open_tab
from tests.valkey import Valkey

OPEN = "reflex___state____state.realtime_ui___pages___project____project_state.open"
PAGE_ERROR = "reflex___state____state.reflex___state____frontend_event_exception_state.handle_frontend_exception"
ADA = "ada@northwind.test"
MEMORY: Any = StateManagerMemory
REDIS: Any = StateManagerRedis
TOKENS: Any = LocalTokenManager
REDIS_TOKENS: Any = RedisTokenManager


async def with_a_problem(tab: Tab) -> None:
    """Have a tab's state hold something: what is wrong with the page's address."""
    data = {"name": OPEN, "payload": {}, "router_data": {"pathname": "/projects/a b", "query": {"project_id": "a b"}}}
    await tab.client.emit("event", data, namespace="/_event")
    await tab.until(lambda: "not a channel id" in str(tab.updates))


async def test_a_strangers_state_ends_with_the_socket(app: App) -> None:
    """A person's is kept for whoever comes back."""
    async with open_tab(app.url, None, "/_event") as tab:
        await with_a_problem(tab)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await asyncio.sleep(2 * LOOK_S)
            async with again(tab, app.url, None, "/_event") as back:
                assert back.token == tab.token
                if "not a channel id" not in str(await state_of(back)):
                    break
    cookie = app.cookie(ADA)
    async with open_tab(app.url, cookie, "/_event") as tab:
        await with_a_problem(tab)
    await asyncio.sleep(3 * LOOK_S)
    async with again(tab, app.url, cookie, "/_event") as back:
        assert "not a channel id" in str(await state_of(back))


class Site:
    """What `StrangerStates` needs of an app: real states, a real processor, and a record of tokens."""

    def __init__(self, manager: Any) -> None:
        self.state_manager = manager
        self.event_namespace: Any = SimpleNamespace(_token_manager=TOKENS())
        self.event_processor = BaseStateEventProcessor()


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_nothing_of_a_stranger_is_left_wherever_states_are(kind: str) -> None:
    """In memory and in Redis; but not what somebody has who came back meanwhile."""
    with Valkey.running() as server:
        client = redis.asyncio.Redis.from_url(server.url)
        manager: Any = MEMORY() if kind == "memory" else REDIS(redis=client)
        site: Any = Site(manager)
        clock = ManualClock()
        states = StrangerStates(site, clock)

        async def left() -> int:
            return len(manager.states) if kind == "memory" else int(await client.dbsize())

        async with states:
            for token in ("gone", "back"):
                async with manager.modify_state(rx.BaseStateToken(ident=token, cls=rx.State)) as state:
                    state.router_data = {"pathname": "/"}
            both = await left()
            site.event_namespace._token_manager.token_to_socket["back"] = SocketRecord(instance_id="here", sid="sid")
            states.left("gone")
            states.left("back")
            async with asyncio.timeout(DEADLINE_S):
                while await left() > both / 2:
                    await asyncio.sleep(0.01)
            await clock.advance(LOOK_S)
            assert await left() == both / 2
        await manager.close()
        await client.aclose()


async def test_a_strangers_state_stays_where_the_tab_came_back_to_another_worker() -> None:
    """Which says so in Redis."""
    with Valkey.running() as server:
        client = redis.asyncio.Redis.from_url(server.url)
        manager: Any = REDIS(redis=client)
        site: Any = Site(manager)
        tokens = site.event_namespace._token_manager = REDIS_TOKENS(client)
        async with manager.modify_state(rx.BaseStateToken(ident="moved", cls=rx.State)) as state:
            state.router_data = {"pathname": "/"}
        record = SocketRecord(instance_id="elsewhere", sid="sid")
        await client.set(tokens._get_redis_key("moved"), pickle.dumps(record))
        before = await client.dbsize()
        states = StrangerStates(site, ManualClock())
        async with states:
            states.left("moved")
            async with asyncio.timeout(DEADLINE_S):
                while states._gone:
                    await asyncio.sleep(0.01)
        assert await client.dbsize() == before
        await manager.close()
        await tokens.close()


async def test_a_handler_that_runs_on_is_cancelled_in_the_end_and_its_state_dropped() -> None:
    """It could make the state anew at any time."""
    manager, clock = MEMORY(), ManualClock()
    site: Any = Site(manager)
    states = StrangerStates(site, clock)
    async with states:
        running = asyncio.create_task(asyncio.sleep(3600), name="reflex_event|x|gone|1")
        site.event_processor._tasks["1"] = running
        running.add_done_callback(lambda _: site.event_processor._tasks.pop("1"))
        await manager.get_state(rx.BaseStateToken(ident="gone", cls=rx.State))
        states.left("gone")
        await settle()
        await clock.advance(PATIENCE_S / 2)
        assert "gone" in manager.states
        assert not running.cancelled()
        await clock.advance(PATIENCE_S)
        await clock.advance(LOOK_S)
        assert running.cancelled()
        assert manager.states == {}
    await manager.close()


async def test_nothing_that_a_stranger_sends_is_logged(app: App) -> None:
    """Events without form, without a handler, with arguments that do not fit, and reports of a page's errors."""
    secret = f"secret-{uuid.uuid4().hex}"
    before = len(app.process.output.read_bytes())
    evil = f"{secret}\n\x1b[2Jforged"
    async with open_tab(app.url, None, "/_event") as tab:
        for data in (
            evil,
            [evil],
            {evil: evil},
            {"name": evil, "payload": {"password": evil}},
            {"name": OPEN, "payload": evil},
            {"name": OPEN, "payload": {evil: evil}},
            {"name": OPEN, "payload": {}, "router_data": evil},
            {"name": OPEN, "payload": {}, "router_data": {"pathname": evil, "query": {"project_id": {"x": evil}}}},
            {"name": "reflex___state____state.set_is_hydrated", "payload": {"value": evil}},
            {"name": "reflex___state____state.set_is_hydrated", "payload": {"value": {"x": evil}, "more": evil}},
            {"name": PAGE_ERROR, "payload": {"info": evil, "component_stack": evil}},
        ):
            await tab.client.emit("event", data, namespace="/_event")
        await tab.client.emit("client_error", {"error_type": evil, "message": evil}, namespace="/_event")
        await tab.client.emit(evil, evil, namespace="/_event")
        await with_a_problem(tab)  # the others were before it
    client = Tab(app.url, None)
    with suppress(Exception):
        await client.client.connect(
            f"{app.url}?token=x&{secret}=1",
            headers={"Sec-WebSocket-Protocol": secret, "Cookie": secret},
            auth={"state_schema": evil, "event": evil},
            socketio_path="_event",
            transports=["websocket"],
            namespaces=["/_event"],
        )
    await client.client.disconnect()
    async with httpx.AsyncClient(base_url=app.url) as http:
        await http.get(f"/api/{secret}?x={secret}")
        await http.get("/_event/", params={"token": secret})
    await asyncio.sleep(1)
    written = app.process.output.read_bytes()[before:].decode()
    assert secret not in written
    assert tab.token not in written


async def test_a_page_says_little_of_itself(app: App) -> None:
    """Reflex keeps it in the state, and sends it back."""
    long = "x" * 2 * MAX_ROUTER_DATA
    async with open_tab(app.url, None, "/_event") as tab:
        router_data = {"pathname": "/", "asPath": f"/?{long}", "query": {"long": long}, "more": long}
        data = {"name": "reflex___state____state.hydrate", "payload": {}, "router_data": router_data}
        await tab.client.emit("event", data, namespace="/_event")
        await tab.until(lambda: any(len(update.get("delta") or {}) > 5 for update in tab.updates))
        assert "xxxx" not in str(tab.updates)


async def test_a_frame_of_more_than_64_kb_ends_the_socket(app: App) -> None:
    """Of a person's, too; one just below it does not."""
    url = f"{app.url.replace('http', 'ws')}/_event/?token=x&EIO=4&transport=websocket"
    for cookie in ({}, {"Cookie": app.cookie(ADA)}):
        async with websockets.connect(url, additional_headers=cookie, max_size=None) as socket:
            await socket.send("40/_event,")
            while not str(await socket.recv()).startswith("40/_event"):
                pass
            start = '42/_event,["event",{"name":"x","payload":{"x":"'
            await socket.send(start + "x" * (MAX_FRAME_BYTES - len(start) - 4) + '"}}]')
            await socket.send('42/_event,["ping"]')
            while "pong" not in str(await socket.recv()):
                pass
            await socket.send("x" * (MAX_FRAME_BYTES + 1))
            await socket.wait_closed()
            assert socket.close_code == 1009


async def test_a_socket_without_a_client_token_is_refused(app: App) -> None:
    """Reflex would log what it sends."""
    url = f"{app.url.replace('http', 'ws')}/_event/?EIO=4&transport=websocket"
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(url):
            pass
    assert refused.value.response.status_code == 400
    assert b'"field": "token"' in (refused.value.response.body or b"")
