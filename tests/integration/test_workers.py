"""Several workers on one port: the kernel shares tabs out among them, and a tab may come back to any of them."""

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.app import App, free_port, until_it_answers
from tests.integration.test_serve import run
from tests.tab import Tab, open_tab
from tests.valkey import Valkey

ADA, MAX = "ada@northwind.test", "max@northwind.test"
EVENT: tuple[str, dict[str, object]] = ("project.updated", {"projectId": "workers"})
CHANNEL = "project:workers"
HYDRATE = "reflex___state____state.hydrate"
LOAD = "reflex___state____state.realtime_ui___states___session____session_state.load"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A Valkey for the module's app."""
    with Valkey.running() as server:
        yield server


@pytest.fixture(scope="module")
def pair(app: App, valkey: Valkey) -> Iterator[App]:
    """The app with two workers, on the port that its pages were built for."""
    app.process.end()
    settings = {"REALTIME_PROVIDER": "redis", "REDIS_URL": valkey.url, "WORKERS": "2"}
    with App.start(app.database_url, port=app.process.port, **settings) as pair:
        yield pair
    app.process.start()


def workers_of(app: App) -> list[psutil.Process]:
    """The children that serve."""
    children = psutil.Process(app.process.pid).children()
    return [child for child in children if "realtime_ui.worker" in " ".join(child.cmdline())]


def worker_of(tab: Tab, app: App) -> psutil.Process:
    """The worker that has a tab's socket."""
    port = tab.client.eio.ws._response.connection.transport.get_extra_info("sockname")[1]
    [found] = [
        worker
        for worker in workers_of(app)
        for connection in worker.net_connections("tcp")
        if connection.raddr and connection.raddr.port == port
    ]
    return found


async def at_both(stack: AsyncExitStack, app: App, cookie: str) -> tuple[Tab, Tab]:
    """Two tabs, each at another worker."""
    async with asyncio.timeout(30):
        first = await stack.enter_async_context(open_tab(app.url, cookie))
        while True:
            second = await stack.enter_async_context(open_tab(app.url, cookie))
            if worker_of(first, app).pid != worker_of(second, app).pid:
                return first, second


async def test_two_workers_serve_and_each_shows_what_is_emitted_at_the_other(pair: App) -> None:
    """In order, once."""
    async with AsyncExitStack() as stack:
        tabs = await at_both(stack, pair, pair.cookie(ADA))
        for tab in tabs:
            head = (await tab.sub(CHANNEL))["head"]
        for _ in range(20):
            await asyncio.to_thread(pair.emit, EVENT)
        for tab in tabs:
            await tab.until(lambda tab=tab: len(tab.seqs(CHANNEL)) == 20)
            assert tab.seqs(CHANNEL) == list(range(head + 1, head + 21))


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
async def again(tab: Tab, url: str, cookie: str) -> AsyncIterator[Tab]:
    """The tab once more, with the same token, as its page comes back."""
    back = Tab(url, cookie)
    back._url, back.token = tab._url, tab.token
    back.client.on("new_token", lambda token: setattr(back, "token", token), namespace="/_event")
    await back.connect("/_event", "/feed")
    try:
        yield back
    finally:
        await back.client.disconnect()


async def test_a_tab_of_a_killed_worker_keeps_its_state_at_another(pair: App) -> None:
    """Its token is still its own, whoever has it on record; and it misses nothing of its feed."""
    cookie = pair.cookie(ADA)
    async with AsyncExitStack() as stack:
        tab, other = await at_both(stack, pair, cookie)
        seen = await tab.sub(CHANNEL)
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))
        dead = worker_of(tab, pair)
        dead.send_signal(signal.SIGKILL)
        async with asyncio.timeout(5):
            await tab.client.wait()
        await asyncio.to_thread(pair.emit, EVENT)
        back = await stack.enter_async_context(again(tab, pair.url, cookie))
        assert back.token == tab.token
        assert tenant_in(await state_of(back)) == "Northwind"
        rows = (await back.sub(CHANNEL, last=seen["head"], epoch=seen["epoch"]))["rows"]
        assert [row["seq"] for row in rows] == [seen["head"] + 1]
        assert other.client.connected
    await until_both(pair)


async def test_a_duplicated_tab_gets_a_state_of_its_own_at_any_worker(pair: App) -> None:
    """The first one answers when it is asked whether it is there, and keeps its token."""
    cookie = pair.cookie(ADA)
    async with AsyncExitStack() as stack:
        tab = await stack.enter_async_context(open_tab(pair.url, cookie))
        at: Counter[int] = Counter()
        async with asyncio.timeout(30):
            while len(at) < 2:
                duplicate = await stack.enter_async_context(again(tab, pair.url, cookie))
                assert duplicate.token != tab.token
                at[worker_of(duplicate, pair).pid] += 1
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))


async def test_a_tab_behind_a_dead_line_gets_its_state_back(pair: App) -> None:
    """Its old socket is open as far as its worker knows, but nobody answers there."""
    cookie = pair.cookie(ADA)
    async with AsyncExitStack() as stack:
        tab, _ = await at_both(stack, pair, cookie)
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))
        tab.client.eio.ws._response.connection.transport.pause_reading()  # what a laptop's lid does
        at: set[int] = set()
        for _ in range(3):
            async with again(tab, pair.url, cookie) as back:
                assert back.token == tab.token
                assert tenant_in(await state_of(back)) == "Northwind"
                at.add(worker_of(back, pair).pid)
        tab.client.eio.ws._response.connection.transport.abort()


async def until_both(app: App) -> None:
    """Wait until both workers serve again."""
    await until_it_answers(app.url)
    async with asyncio.timeout(30):
        while len([w for w in workers_of(app) if any(c.status == "LISTEN" for c in w.net_connections("tcp"))]) < 2:
            await asyncio.sleep(0.1)
