"""Presence on the running app, through the real Socket.IO client; and of two workers on one network."""

import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest
import websockets
from socketio import AsyncServer

from realtime_ui import runtime as module
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.principals import Person, Role
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.members import Activity
from realtime_ui.hub.presence import TICK_S
from realtime_ui.hub.presence_feed import BURST
from realtime_ui.hub.roster import LEASE_S
from realtime_ui.hub.subscriptions import Tab as Socket
from realtime_ui.providers.memory import MemoryNetwork, MemoryProvider
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.app import App
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.tab import Tab, open_tab

ADA, MAX, EVE = "ada@northwind.test", "max@northwind.test", "eve@contoso.test"


def channel() -> str:
    """One that no other test uses."""
    return f"project:{uuid.uuid4().hex[:12]}"


async def entered(tab: Tab, name: str, **wish: Any) -> dict[str, Any]:
    """Enter; the answer, which must be a yes."""
    answer: dict[str, Any] = await tab.call("presence_enter", {"channel": name, **wish})
    assert answer["ok"], answer
    return answer


def names(answer: dict[str, Any]) -> list[str]:
    """Who is there."""
    return sorted(member["name"] for member in answer["members"])


async def test_who_enters_gets_the_list_and_then_diffs(app: App) -> None:
    """Joins, updates and leaves, numbered in a row."""
    name = channel()
    async with open_tab(app.url, app.cookie(ADA)) as ada:
        first = await entered(ada, name)
        assert (names(first), first["count"]) == (["ada"], 1)
        assert first["me"] == first["members"][0]["person"]
        async with open_tab(app.url, app.cookie(MAX)) as max_:
            second = await entered(max_, name)
            assert "ada" in names(second)
            await ada.until(lambda: any(diff["joins"] for diff in ada.presence))
            assert (await max_.call("presence_update", {"channel": name, "state": "typing"}))["ok"]
            await ada.until(lambda: any(diff["updates"] for diff in ada.presence))
            assert (await max_.call("presence_leave", {"channel": name}))["ok"]
            await ada.until(lambda: any(diff["leaves"] for diff in ada.presence))
        assert [diff["room"] for diff in ada.presence] == [name] * len(ada.presence)
        assert [diff["n"] for diff in ada.presence] == list(range(first["n"] + 1, first["n"] + 1 + len(ada.presence)))
        [joined] = [member for diff in ada.presence for member in diff["joins"]]
        assert (joined["name"], joined["state"], joined["tabs"]) == ("max", "online", 1)
        assert {"tab", "since", "entered", "device", "browser", "channel", "state"} == set(joined["metas"][0])


async def test_the_roster_has_the_tenants_people_and_nobody_elses(app: App) -> None:
    """Whoever has the app open is in it, on a channel or not."""
    async with (
        open_tab(app.url, app.cookie(ADA)) as ada,
        open_tab(app.url, app.cookie(MAX)) as max_,
        open_tab(app.url, app.cookie(EVE)) as eve,
    ):
        name = channel()
        await entered(max_, name)
        roster = await ada.call("roster")
        assert {"ada", "max"} <= set(names(roster))
        assert names(await eve.call("roster")) == ["eve"]
        await entered(eve, name)
        assert names(await entered(max_, name)) == ["max"]
        assert not any(member["name"] == "eve" for diff in ada.presence for member in diff["joins"])


async def test_members_do_not_see_where_only_admins_may_be(app: App) -> None:
    """Ada on a system channel is elsewhere to Max, and on it to herself."""
    async with open_tab(app.url, app.cookie(ADA)) as ada, open_tab(app.url, app.cookie(MAX)) as max_:
        await entered(ada, "system:alerts")

        def places(roster: dict[str, Any]) -> set[str]:
            return {meta["channel"] for each in roster["members"] if each["name"] == "ada" for meta in each["metas"]}

        await asyncio.sleep(2 * TICK_S)
        assert "system:alerts" in places(await ada.call("roster"))
        assert "system:alerts" not in places(await max_.call("roster"))


@pytest.mark.parametrize(
    ("event", "data", "status"),
    [
        ("presence_enter", {"channel": "system:alerts"}, 403),
        ("presence_enter", {"channel": "user:somebody"}, 403),
        ("presence_enter", {"channel": "planet:x"}, 422),
        ("presence_enter", {"channel": "project:x", "state": "asleep"}, 400),
        ("presence_enter", {"channel": "project:x", "states": ["x"] * 11}, 400),
        ("presence_enter", "project:x", 400),
        ("presence_update", {"channel": "project:x", "state": {}}, 400),
        ("presence_update", {"channel": ["x"], "state": "online"}, 422),
        ("presence_leave", {}, 422),
    ],
)
async def test_what_may_not_be_or_cannot_be_read_is_refused(app: App, event: str, data: Any, status: int) -> None:
    """With what was wrong."""
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        answer = await tab.call(event, data)
        assert (answer["ok"], answer["error"]["status"]) == (False, status)


async def test_a_flood_of_presence_is_refused(app: App) -> None:
    """After the burst; the tab stays as it was."""
    async with open_tab(app.url, app.cookie(MAX)) as tab:
        name = channel()
        await entered(tab, name)
        wish = {"channel": name, "state": "typing"}
        answers = await asyncio.gather(*(tab.call("presence_update", wish) for _ in range(5 * int(BURST))))
        assert answers[0]["ok"]
        assert any(answer.get("error", {}).get("status") == 429 for answer in answers)


async def test_a_signed_out_browser_is_gone(app: App) -> None:
    """Its feed is closed, and with it the person leaves."""
    name = channel()
    async with open_tab(app.url, app.cookie(ADA)) as ada:
        await entered(ada, name)
        cookie = app.cookie(MAX)
        async with open_tab(app.url, cookie) as max_:
            await entered(max_, name)
            await ada.until(lambda: any(diff["joins"] for diff in ada.presence))
            await asyncio.to_thread(sign_out, app, cookie)
            await ada.until(lambda: any(diff["leaves"] for diff in ada.presence))


async def test_who_answers_no_ping_is_gone(app: App) -> None:
    """A frozen tab or a dead network: the socket is open, and nobody is at the other end. Pings give it 15 s."""
    name, loop = channel(), asyncio.get_running_loop()
    url = f"{app.url.replace('http', 'ws')}/_event/?token={uuid.uuid4()}&EIO=4&transport=websocket"
    async with open_tab(app.url, app.cookie(ADA)) as ada:
        await entered(ada, name)
        begun = loop.time()
        async with websockets.connect(url, additional_headers={"Cookie": app.cookie(MAX)}) as frozen:
            handshake = json.loads(str(await frozen.recv())[1:])
            assert handshake["pingInterval"] + handshake["pingTimeout"] <= 15_000
            await frozen.send("40/feed,")
            while not str(await frozen.recv()).startswith("40/feed"):
                pass
            await frozen.send(f"42/feed,1{json.dumps(['presence_enter', {'channel': name}])}")
            await ada.until(lambda: any(diff["joins"] for diff in ada.presence))
            await ada.until(lambda: any(diff["leaves"] for diff in ada.presence))
            assert loop.time() - begun > 10


def sign_out(app: App, cookie: str) -> None:
    """As the form does."""
    response = httpx.post(f"{app.url}/api/sign-out", headers={"Cookie": cookie, "Origin": app.url})
    assert response.status_code == 303


def socket(sid: str, tenant: uuid.UUID, person: int) -> Socket:
    """A person's socket."""
    who = Person(uuid.UUID(int=person), tenant, "T", f"P{person}", "p@t.test", Role.MEMBER, uuid.UUID(int=9))
    return Socket(sid, who, None, ClientInfo("", "", "desktop", "websocket", ""), 1)


async def test_two_workers_on_one_network_agree_and_outlive_each_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person with a tab on each is one member; a worker that falls silent is forgotten, one that ends parts."""
    network, clock = MemoryNetwork(), ManualClock()
    monkeypatch.setattr(module, "create_realtime_client", lambda name, settings: MemoryProvider(network))
    tenant, project = uuid.uuid4(), ChannelName.parse("project:x")

    def make() -> Runtime:
        return Runtime(settings, AsyncServer(async_mode="asgi"), no_sink, clock=clock)

    def tabs(runtime: Runtime) -> dict[str, int]:
        return {each.name: each.tabs for each in runtime.presence.members(tenant, project)}

    async with make() as one:
        async with make() as two:
            for runtime, sid, person in ((one, "a", 1), (two, "b", 1), (two, "c", 2)):
                tab = socket(sid, tenant, person)
                runtime.presence.arrive(tab)
                runtime.presence.enter(tab, project, Activity.ONLINE)
            await clock.advance(1.0)
            assert tabs(one) == tabs(two) == {"P1": 2, "P2": 1}
            two.presence.depart("b", closed=False)
            await clock.advance(1.0)
            assert tabs(one) == tabs(two) == {"P1": 1, "P2": 1}
            network.subscribers.clear()  # the wire is dead, both live on
            await clock.advance(LEASE_S + 1)
            assert (tabs(one), tabs(two)) == ({"P1": 1}, {"P2": 1})
        assert tabs(one) == {"P1": 1}
