"""Several workers on one port: the kernel shares tabs out among them, and a tab may come back to any of them."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import psutil
import pytest
import redis.asyncio

from tests.app import App, command, free_port, until_it_answers
from tests.integration.test_serve import run
from tests.integration.test_tokens import LOAD, again, behind_a_dead_line, state_of, tenant_in
from tests.tab import Tab, open_tab
from tests.valkey import Valkey

ADA, MAX = "ada@northwind.test", "max@northwind.test"
EVENT: tuple[str, dict[str, object]] = ("project.updated", {"projectId": "workers"})
CHANNEL = "project:workers"


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
    async with asyncio.timeout(120):
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
        async with asyncio.timeout(60):
            await tab.client.wait()
        await asyncio.to_thread(pair.emit, EVENT)
        back = await stack.enter_async_context(again(tab, pair.url, cookie))
        assert back.token == tab.token
        assert tenant_in(await state_of(back)) == "Northwind"
        rows = (await back.sub(CHANNEL, last=seen["head"], epoch=seen["epoch"]))["rows"]
        assert [row["seq"] for row in rows] == [seen["head"] + 1]
        assert other.client.connected
    await until_both(pair)


async def test_a_closed_tabs_state_is_its_persons_alone_at_any_worker(pair: App, valkey: Valkey) -> None:
    """No worker hands it to anybody else, and none leaves a stranger's in Redis."""
    cookie, strangers = pair.cookie(ADA), []
    async with open_tab(pair.url, cookie, "/_event") as tab:
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))
    for thief in (None, pair.cookie(MAX)) * 4:
        async with again(tab, pair.url, thief, "/_event") as other:
            assert other.token != tab.token
            assert ADA not in str(await state_of(other))
            strangers += [other.token] if thief is None else []
    async with again(tab, pair.url, cookie, "/_event") as back:
        assert back.token == tab.token
        assert tenant_in(await state_of(back)) == "Northwind"
    client = redis.asyncio.Redis.from_url(valkey.url)
    async with asyncio.timeout(60):
        while any([await client.keys(f"*{token}*") for token in strangers]):
            await asyncio.sleep(0.1)
    assert await client.keys(f"{tab.token}*"), "a person's is kept for a while"
    await client.aclose()


async def test_a_duplicated_tab_gets_a_state_of_its_own_at_any_worker(pair: App) -> None:
    """The first one answers when it is asked whether it is there, and keeps its token."""
    cookie = pair.cookie(ADA)
    async with AsyncExitStack() as stack:
        tab = await stack.enter_async_context(open_tab(pair.url, cookie))
        at: Counter[int] = Counter()
        async with asyncio.timeout(60):
            while len(at) < 2:
                duplicate = await stack.enter_async_context(again(tab, pair.url, cookie))
                assert duplicate.token != tab.token
                at[worker_of(duplicate, pair).pid] += 1
        await tab.event(LOAD)
        await tab.until(lambda: "Northwind" in str(tab.updates))


async def test_a_tab_behind_a_dead_line_gets_its_state_back_at_any_worker(pair: App) -> None:
    """Its old socket is open as far as its worker knows, but nobody answers there."""
    cookie = pair.cookie(ADA)
    moved: set[bool] = set()
    async with asyncio.timeout(60):
        while len(moved) < 2:
            async with behind_a_dead_line(pair.url, cookie) as tab:
                left = worker_of(tab, pair).pid
                async with again(tab, pair.url, cookie) as back:
                    assert back.token == tab.token
                    assert tenant_in(await state_of(back)) == "Northwind"
                    moved.add(worker_of(back, pair).pid != left)


async def test_of_two_that_come_back_at_once_one_has_the_state(pair: App) -> None:
    """Whichever workers they come back to."""
    cookie = pair.cookie(ADA)
    for _ in range(3):
        async with behind_a_dead_line(pair.url, cookie) as tab, AsyncExitStack() as stack:
            back = [stack.enter_async_context(again(tab, pair.url, cookie)) for _ in range(2)]
            tokens = [each.token for each in await asyncio.gather(*back)]
            assert sorted(token == tab.token for token in tokens) == [False, True]


async def until_both(app: App) -> None:
    """Wait until both workers serve again."""
    await until_it_answers(app.url)
    async with asyncio.timeout(120):
        while len([w for w in workers_of(app) if any(c.status == "LISTEN" for c in w.net_connections("tcp"))]) < 2:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_feeds_go_on_while_redis_is_away(pair: App, valkey: Valkey, fault: str) -> None:
    """From the log, for a tab that comes meanwhile, too; handlers wait; no worker dies; all is as before after it."""
    cookie = pair.cookie(ADA)
    pids = {worker.pid for worker in workers_of(pair)}
    take_away, bring_back = {
        "killed": (valkey.kill, valkey.start),
        "frozen": (valkey.freeze, valkey.thaw),
    }[fault]
    async with AsyncExitStack() as stack:
        tabs = list(await at_both(stack, pair, cookie))
        for tab in tabs:
            await tab.sub(CHANNEL)
        take_away()
        for tab in tabs:
            await tab.until(lambda tab=tab: tab.health and "provider" in tab.health[-1]["degraded"])
        tabs.append(await stack.enter_async_context(open_tab(pair.url, cookie, page="/")))
        await tabs[-1].sub(CHANNEL)
        seq = await seq_of_one_more(pair)
        for tab in tabs:
            await tab.until(lambda tab=tab: seq in tab.seqs(CHANNEL))
            assert "Northwind" not in str(tab.updates)
            await tab.event(LOAD)
        bring_back()
        for tab in tabs:
            await tab.until(lambda tab=tab: tab.health[-1]["degraded"] == [])
            await tab.until(lambda tab=tab: "Northwind" in str(tab.updates))
        seq = await seq_of_one_more(pair)
        for tab in tabs:
            await tab.until(lambda tab=tab: seq in tab.seqs(CHANNEL))
            tab.updates.clear()
            await tab.event(LOAD)
            await tab.until(lambda tab=tab: tab.updates)
    assert {worker.pid for worker in workers_of(pair)} == pids


async def seq_of_one_more(app: App) -> int:
    """Emit an event; returns its seq."""
    [receipt] = await asyncio.to_thread(app.emit, EVENT)
    channels: Any = receipt["channels"]
    return int(channels[0]["seq"])


async def people_on(tab: Tab) -> dict[str, int]:
    """Who is on the channel, and with how many tabs."""
    answer = await tab.call("presence_enter", {"channel": CHANNEL})
    return {member["name"]: member["tabs"] for member in answer["members"]}


async def until_people(tab: Tab, wanted: dict[str, int], *, seconds: float = 60) -> None:
    """Wait until exactly these are on the channel, and ask no more often than one may."""
    found: dict[str, int] = {}
    async with asyncio.timeout(seconds):
        while (found := await people_on(tab)) != wanted:
            await asyncio.sleep(1)
    assert found == wanted


async def test_presence_is_one_across_workers_and_outlives_one(pair: App) -> None:
    """Both see both; after one worker was killed and its tab is back, nobody is doubled and nobody missing."""
    async with AsyncExitStack() as stack:
        ada, _ = await at_both(stack, pair, pair.cookie(ADA))
        async with asyncio.timeout(60):
            while True:
                max_ = await stack.enter_async_context(open_tab(pair.url, pair.cookie(MAX)))
                if worker_of(max_, pair).pid != worker_of(ada, pair).pid:
                    break
        await people_on(max_)
        await until_people(ada, {"ada": 1, "max": 1})
        await until_people(max_, {"ada": 1, "max": 1})
        worker_of(max_, pair).send_signal(signal.SIGKILL)
        async with asyncio.timeout(60):
            await max_.client.wait()
        back = await stack.enter_async_context(again(max_, pair.url, pair.cookie(MAX)))
        await people_on(back)
        await until_people(back, {"ada": 1, "max": 1})
        await until_people(ada, {"ada": 1, "max": 1})
    await until_both(pair)


class Emitter:
    """Emits without a pause until it is stopped."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stopped = False
        self.last = 0
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Emit no more; raises what went wrong."""
        self._stopped = True
        await self._task

    async def _run(self) -> None:
        while not self._stopped:
            with suppress(httpx.TransportError):  # it was on its way to the worker that ended
                self.last = await seq_of_one_more(self._app)


async def told(tab: Tab, last: int, before: Sequence[int] = ()) -> list[int]:
    """The seqs that a tab was told, once `last` is among them: those `before`, and what frames brought since."""
    begun = before[-1] if before else 0
    await tab.until(lambda: last in before or last in tab.seqs(CHANNEL))
    return [*before, *(seq for seq in tab.seqs(CHANNEL) if seq > begun)]


async def test_a_restarted_worker_costs_no_event(pair: App) -> None:
    """One after the other ends in order while events come: its tabs go on elsewhere, the other's notice nothing."""
    cookie = pair.cookie(ADA)
    emitter = Emitter(pair)
    for pid in [worker.pid for worker in workers_of(pair)]:
        async with AsyncExitStack() as stack:
            tabs = await at_both(stack, pair, cookie)
            [leaves] = [tab for tab in tabs if worker_of(tab, pair).pid == pid]
            [stays] = [tab for tab in tabs if tab is not leaves]
            heads = [(await tab.sub(CHANNEL))["head"] for tab in (stays, leaves)]
            await leaves.until(lambda leaves=leaves: leaves.seqs(CHANNEL))
            psutil.Process(pid).send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                await leaves.client.wait()
            back = await stack.enter_async_context(again(leaves, pair.url, cookie))
            had = leaves.seqs(CHANNEL)
            answer = await back.sub(CHANNEL, last=had[-1], epoch=leaves.frames[-1]["epoch"])
            missed = [row["seq"] for row in answer["rows"]]
            await until_both(pair)
            last = emitter.last
            for head, seqs in zip(
                heads, (await told(stays, last), await told(back, last, [*had, *missed])), strict=True
            ):
                assert seqs == list(range(head + 1, seqs[-1] + 1))
    await emitter.stop()


async def test_the_monitor_shows_both_workers(pair: App) -> None:
    """Whichever of them an admin asks."""
    async with AsyncExitStack() as stack:
        for tab in await at_both(stack, pair, pair.cookie(ADA)):
            async with asyncio.timeout(60):
                while len((await tab.call("monitor", {"page": "health", "look": True}))["workers"]) != 2:
                    await asyncio.sleep(0.2)


async def counted(app: App, key: str) -> dict[str, float]:
    """All series of the metrics, as some worker gives them out."""
    async with httpx.AsyncClient(base_url=app.url, headers={"Authorization": f"Bearer {key}"}) as http:
        text = (await http.get("/api/metrics")).raise_for_status().text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_metrics_are_of_all_workers_whichever_is_asked(pair: App) -> None:
    """Counters go on over the death of a worker; what it had open is not counted any more."""
    key = await asyncio.to_thread(
        command, pair.database_url, "keys", "add", "scraper", "--tenant", "Northwind", "--scope", "metrics"
    )
    emits, sockets = 'realtime_emits_total{outcome="stored"}', "realtime_sockets"
    tabs: list[Tab] = []

    async def shown() -> None:
        open_now = sum(tab.client.connected for tab in tabs)
        async with asyncio.timeout(60):  # each worker sets its gauges every two seconds
            while {(await counted(pair, key))[sockets] for _ in range(5)} != {open_now}:
                await asyncio.sleep(0.2)

    async with AsyncExitStack() as stack:
        async with asyncio.timeout(60):
            while len({worker_of(tab, pair).pid for tab in tabs}) < 2:
                tabs.append(await stack.enter_async_context(open_tab(pair.url, pair.cookie(ADA))))
        await shown()
        before = (await counted(pair, key))[emits]
        for _ in range(10):
            await seq_of_one_more(pair)
        assert {(await counted(pair, key))[emits] for _ in range(10)} == {before + 10}
        worker_of(tabs[0], pair).send_signal(signal.SIGKILL)
        async with asyncio.timeout(60):
            await tabs[0].client.wait()
        await until_both(pair)
        await shown()
        assert (await counted(pair, key))[emits] == before + 10


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "set REALTIME_PROVIDER to redis, ably or pusher"),
        ({"REALTIME_PROVIDER": "redis"}, "REDIS_URL is not set"),
        ({"REALTIME_PROVIDER": "ably", "ABLY_API_KEY": "app.key:secret"}, "set REDIS_URL"),
        ({"REALTIME_PROVIDER": "redis", "REDIS_URL": "localhost:6379"}, "REDIS_URL is not an address"),
        ({"WORKERS": "1", "REDIS_URL": "localhost:6379"}, "REDIS_URL is not an address"),
        ({"WORKERS": "none"}, "WORKERS"),
    ],
)
def test_several_workers_without_what_they_need_are_refused(environment: dict[str, str], words: str) -> None:
    """In one sentence that says what to set."""
    done = run(**{"PORT": str(free_port()), "WORKERS": "2", **environment})
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_several_workers_in_development_are_refused() -> None:
    """Reflex runs one there."""
    settings = {"PORT": str(free_port()), "WORKERS": "2", "REALTIME_PROVIDER": "redis", "REDIS_URL": "redis://x"}
    done = run("--dev", **settings)
    assert done.returncode == 1
    assert "--dev runs one worker" in done.stderr
