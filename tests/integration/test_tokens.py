"""Whose state a tab has: its own, for as long as it may come back; never that of a tab that is still there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import redis.asyncio
import reflex as rx
from reflex.utils.token_manager import SocketRecord

from realtime_ui.states.tab_tokens import PATTERN
from realtime_ui.states.tokens import SharedTokens, _Sockets
from tests.app import App
from tests.tab import Tab, open_tab
from tests.valkey import Valkey

ADA = "ada@northwind.test"
HYDRATE = "reflex___state____state.hydrate"
LOAD = "reflex___state____state.realtime_ui___states___session____session_state.load"


async def state_of(tab: Tab) -> dict[str, Any]:
    """All of a tab's state, as Reflex hands it out."""
    tab.updates.clear()
    await tab.event(HYDRATE)
    await tab.until(lambda: any(len(update.get("delta") or {}) > 5 for update in tab.updates))
    whole: dict[str, Any] = next(update["delta"] for update in tab.updates if len(update.get("delta") or {}) > 5)
    return whole


def tenant_in(state: dict[str, Any]) -> str:
    """What a tab's state says of its tenant, which is filled by `load` only."""
    session = next(fields for name, fields in state.items() if name.endswith("session_state"))
    return str(next(value for name, value in session.items() if name.startswith("tenant")))


@asynccontextmanager
async def again(tab: Tab, url: str, cookie: str | None, *namespaces: str, token: str = "") -> AsyncIterator[Tab]:
    """The tab once more, with the same token, as its page comes back."""
    back = Tab(url, cookie)
    back.token = token or tab.token
    await back.connect(*(namespaces or ("/_event", "/feed")))
    try:
        yield back
    finally:
        await back.client.disconnect()


@asynccontextmanager
async def behind_a_dead_line(url: str, cookie: str) -> AsyncIterator[Tab]:
    """A tab whose state is filled, and which hears nothing any more: what a laptop's lid does."""
    async with open_tab(url, cookie) as tab:
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))
        transport = tab.client.eio.ws._response.connection.transport
        transport.pause_reading()
        try:
            yield tab
        finally:
            transport.abort()


async def test_a_tab_behind_a_dead_line_gets_its_state_back(app: App) -> None:
    """Long before the server would find out by itself that nobody is there."""
    cookie = app.cookie(ADA)
    async with behind_a_dead_line(app.url, cookie) as tab, again(tab, app.url, cookie) as back:
        assert back.token == tab.token
        assert tenant_in(await state_of(back)) == "Northwind"


async def test_of_two_that_come_back_at_once_one_has_the_state(app: App) -> None:
    """Both find nobody there; they must not share a token."""
    cookie = app.cookie(ADA)
    async with behind_a_dead_line(app.url, cookie) as tab, AsyncExitStack() as stack:
        backs = await asyncio.gather(*(stack.enter_async_context(again(tab, app.url, cookie)) for _ in range(2)))
        assert sorted(back.token == tab.token for back in backs) == [False, True]


async def test_a_duplicated_tab_gets_a_state_of_its_own(app: App) -> None:
    """The first one answers when it is asked whether it is there, and keeps its token."""
    cookie = app.cookie(ADA)
    async with open_tab(app.url, cookie) as tab:
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))
        async with again(tab, app.url, cookie) as duplicate:
            assert duplicate.token != tab.token
            assert tenant_in(await state_of(duplicate)) != "Northwind"
        assert tenant_in(await state_of(tab)) == "Northwind"


async def test_a_closed_tabs_state_is_its_persons_alone(app: App) -> None:
    """Its token stands in addresses, and so in logs: shown by anybody else it opens a fresh state."""
    cookie = app.cookie(ADA)
    async with open_tab(app.url, cookie, "/_event") as tab:
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))
    for thief in (None, app.cookie("max@northwind.test"), app.cookie("eve@contoso.test"), "realtime_session=made-up"):
        async with again(tab, app.url, thief, "/_event") as other:
            assert other.token != tab.token
            assert ADA not in str(await state_of(other))
    async with again(tab, app.url, app.cookie(ADA), "/_event") as back:
        assert back.token == tab.token, "another session of the same person"
        assert tenant_in(await state_of(back)) == "Northwind"


async def test_a_token_that_the_server_did_not_make_is_replaced(app: App) -> None:
    """Whether a page made it up, as each does at first, or somebody changed a real one."""
    cookie = app.cookie(ADA)
    async with open_tab(app.url, cookie, "/_event") as tab:
        assert PATTERN.fullmatch(tab.token)
    nonce, code = tab.token.split("-")
    for forged in ("0", "x" * 100, nonce, f"{nonce}-{code[::-1]}", f"{code}-{code}"):
        async with again(Tab(app.url, None), app.url, cookie, "/_event", token=forged) as other:
            assert other.token not in (forged, tab.token)
            assert PATTERN.fullmatch(other.token)


async def test_an_open_tabs_state_is_kept_for_as_long_as_it_is_open() -> None:
    """Reflex would let it go some minutes after the last change; a record that Redis forgot is there again."""
    with Valkey.running() as server:
        client, sockets = redis.asyncio.Redis.from_url(server.url), _Sockets(cast(rx.App, SimpleNamespace(sio=None)))
        tokens = SharedTokens(client, sockets, lambda sid: "fresh")
        tokens.token_to_socket["open"] = SocketRecord(instance_id=tokens.instance_id, sid="sid")
        states = [f"{token}_{rx.State.get_full_name()}" for token in ("open", "closed")]
        for state in states:
            await client.set(state, b"", ex=10)
        await tokens._renew()
        of_open, of_closed = [await client.ttl(state) for state in states]
        assert of_open > 10 >= of_closed
        assert await client.exists("token_manager_socket_record_open")
        await tokens.close()
