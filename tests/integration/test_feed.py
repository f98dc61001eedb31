"""The `/feed` namespace of the running app, through the real Socket.IO client."""

import asyncio
import uuid
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as Refused

from tests.app import App
from tests.tab import Tab, open_tab


def channel() -> tuple[str, str]:
    """A project id that no other test uses, and its channel."""
    identity = uuid.uuid4().hex[:12]
    return identity, f"project:{identity}"


def update(identity: str, n: int = 0) -> tuple[str, dict[str, object]]:
    """An event of a project."""
    return ("project.updated", {"projectId": identity, "n": n})


async def emit(app: App, *events: tuple[str, dict[str, object]]) -> None:
    """Emit without holding up the loop."""
    await asyncio.to_thread(app.emit, *events)


async def test_a_tab_gets_what_was_and_what_comes(app: App) -> None:
    """The last `rewind` rows at once, then frames."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(10)))
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.sub(name, rewind=3)
        assert [row["seq"] for row in answer["rows"]] == [8, 9, 10]
        assert (answer["ok"], answer["first"], answer["head"], answer["after"], answer["more"]) == (
            True,
            1,
            10,
            7,
            False,
        )
        assert answer["rows"][0]["data"] == {"projectId": identity, "n": 7}
        await emit(app, update(identity), update(identity))
        await tab.until(lambda: tab.seqs(name) == [11, 12])
        assert {frame["epoch"] for frame in tab.frames} == {answer["epoch"]}


async def test_a_tab_resumes_by_seq_page_by_page(app: App) -> None:
    """Nothing twice, nothing missing."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(450)))
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        first = await tab.sub(name, rewind=0)
        seqs: list[int] = []
        last, more = 5, True
        while more:
            answer = await tab.sub(name, last=last, epoch=first["epoch"])
            seqs += [row["seq"] for row in answer["rows"]]
            last, more = seqs[-1], answer["more"]
        assert seqs == list(range(6, 451))


async def test_another_epoch_or_a_last_beyond_the_head_is_a_reset(app: App) -> None:
    """What the tab has belongs to another log."""
    identity, name = channel()
    await emit(app, *(update(identity) for _ in range(3)))
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        epoch = (await tab.sub(name))["epoch"]
        for wish in ({"last": 2, "epoch": "another"}, {"last": 99, "epoch": epoch}):
            answer = await tab.sub(name, **wish)
            assert answer["reset"]
            assert [row["seq"] for row in answer["rows"]] == [1, 2, 3]
        assert not (await tab.sub(name, last=2, epoch=epoch))["reset"]


async def test_a_channel_can_be_watched_before_it_has_an_event(app: App) -> None:
    """The first one comes as a frame, with the epoch."""
    identity, name = channel()
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.sub(name)
        assert (answer["epoch"], answer["head"], answer["rows"]) == ("", 0, [])
        await emit(app, update(identity))
        await tab.until(lambda: tab.seqs(name) == [1])
        assert tab.frames[0]["epoch"]
        again = await tab.sub(name, last=0, epoch="")
        assert [row["seq"] for row in again["rows"]] == [1]


async def test_nothing_comes_after_unsubscribing(app: App) -> None:
    """And another channel goes on."""
    (one, one_name), (two, two_name) = channel(), channel()
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        await tab.sub(one_name)
        await tab.sub(two_name)
        assert await tab.call("unsub", {"channel": one_name}) == {"ok": True}
        await emit(app, update(one), update(two))
        await tab.until(lambda: tab.seqs(two_name) == [1])
        assert tab.seqs(one_name) == []


async def test_a_stranger_does_not_get_in(app: App) -> None:
    """The refusal says why, as a problem."""
    for cookie in (None, "realtime_session=made-up"):
        tab = Tab(app.url, cookie)
        with pytest.raises(Refused):
            await tab.connect("/feed")
        await tab.client.disconnect()


async def test_a_socket_from_another_site_does_not_get_in(app: App) -> None:
    """Even with the cookie."""
    tab = Tab(app.url, app.cookie("max@northwind.test"))
    with pytest.raises(Refused):
        await tab.connect("/_event", "/feed", headers={"Origin": "http://evil.test"})
    await tab.client.disconnect()


@pytest.mark.parametrize(
    ("wish", "status", "field"),
    [
        (None, 400, None),
        ("project:x", 400, None),
        ({}, 422, "channel"),
        ({"channel": "planet:x"}, 422, "channel"),
        ({"channel": "project:x", "last": -1}, 400, "last"),
        ({"channel": "project:x", "last": True}, 400, "last"),
        ({"channel": "project:x", "rewind": 501}, 400, "rewind"),
        ({"channel": "project:x", "epoch": 7}, 400, "epoch"),
        ({"channel": "project:x", "states": ["x" * 301]}, 400, "states"),
        ({"channel": "project:x", "states": "x"}, 400, "states"),
    ],
)
async def test_a_wrong_wish_is_answered_with_a_problem(app: App, wish: Any, status: int, field: str | None) -> None:
    """And the socket goes on."""
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.call("sub", wish)
        assert (answer["ok"], answer["error"]["status"], answer["error"].get("field")) == (False, status, field)
        assert (await tab.call("echo"))["ok"]


async def test_the_number_of_channels_of_a_tab_is_bounded(app: App) -> None:
    """Leaving one makes room for another."""
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        names = [channel()[1] for _ in range(51)]
        answers = [await tab.sub(name) for name in names]
        assert [answer["ok"] for answer in answers] == [True] * 50 + [False]
        assert answers[-1]["error"]["status"] == 429
        await tab.call("unsub", {"channel": names[0]})
        assert (await tab.sub(names[-1]))["ok"]


async def test_signing_out_ends_the_feeds_of_that_browser(app: App) -> None:
    """And of no other."""
    import httpx

    identity, name = channel()
    leaving, staying = app.cookie("max@northwind.test"), app.cookie("max@northwind.test")
    async with open_tab(app.url, leaving) as gone, open_tab(app.url, staying) as stays:
        await gone.sub(name)
        await stays.sub(name)
        left = asyncio.Event()
        gone.client.on("disconnect", lambda *reason: left.set(), namespace="/feed")
        async with httpx.AsyncClient() as http:
            await http.post(f"{app.url}/api/sign-out", headers={"Cookie": leaving})
        async with asyncio.timeout(60):
            await left.wait()
        await emit(app, update(identity))
        await stays.until(lambda: stays.seqs(name) == [1])
        assert gone.seqs(name) == []


async def test_the_lobby_lists_the_tenants_channels_and_follows_them(app: App) -> None:
    """By title, with events and watchers, and nothing of another tenant."""
    identity, name = channel()
    async with (
        open_tab(app.url, app.cookie("ada@northwind.test")) as ada,
        open_tab(app.url, app.cookie("eve@contoso.test")) as eve,
    ):
        assert name not in str((await eve.call("lobby"))["rows"])
        assert name not in [row["channel"] for row in (await ada.call("lobby"))["rows"]]
        await ada.sub(name)
        await emit(app, update(identity))

        def shown() -> dict[str, Any]:
            seen: dict[str, Any] = {}
            for row in (row for rows in ada.lobby for row in rows):
                seen[row["channel"]] = {**seen.get(row["channel"], {}), **row}
            return seen

        await ada.until(lambda: {"watching": 1, "events": 1}.items() <= shown().get(name, {}).items())
        assert shown()[name]["lastActivity"] > 0
        assert name not in str(eve.lobby)


async def test_the_lobby_hides_from_members_what_they_may_not_read(app: App) -> None:
    """Other people's and the system's channels are for admins."""
    user = uuid.uuid4().hex[:12]
    await emit(app, ("user.notified", {"userId": user, "text": "x"}), ("system.notice", {"name": user, "text": "x"}))
    async with (
        open_tab(app.url, app.cookie("ada@northwind.test")) as ada,
        open_tab(app.url, app.cookie("max@northwind.test")) as max_,
    ):
        for tab, seen in ((ada, True), (max_, False)):
            listed = {row["channel"] for row in (await tab.call("lobby"))["rows"]}
            assert ({f"user:{user}", f"system:{user}"} <= listed) is seen
        await emit(app, ("system.notice", {"name": user, "text": "again"}))
        await ada.until(lambda: f"system:{user}" in str(ada.lobby))
        assert user not in str(max_.lobby)
