"""What people send over `/feed`: stored once, in their name, where they may."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest

from realtime_ui.access.limits import RateLimiter
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import (
    Conflict,
    InvalidEvent,
    InvalidRequest,
    NotAllowed,
    RateLimited,
    RealtimeError,
    TooLarge,
)
from realtime_ui.core.principals import Person, Role
from realtime_ui.events.bus import EventBus
from realtime_ui.events.routes import Route, Routes
from realtime_ui.hub.posts import MAX_POST_BYTES, Posts
from realtime_ui.runtime import Runtime
from tests.app import App
from tests.clock import ManualClock
from tests.tab import open_tab

TENANT = uuid.UUID(int=1)
MAX = Person(uuid.UUID(int=7), TENANT, "Northwind", "Max", "max@northwind.test", Role.MEMBER, uuid.UUID(int=9))
ADA = Person(uuid.UUID(int=6), TENANT, "Northwind", "Ada", "ada@northwind.test", Role.ADMIN, uuid.UUID(int=8))
CHANNEL = ChannelName.parse("session:s")


@pytest.fixture
def posts(runtime: Runtime) -> Posts:
    """The part."""
    return Posts(runtime.bus, Routes())


def message(**change: Any) -> dict[str, Any]:
    """What a browser sends."""
    wanted = {"id": str(uuid.uuid4()), "channel": "session:s", "type": "session.message", "payload": {"text": "Hello"}}
    return {**wanted, **change}


async def rows(runtime: Runtime, channel: ChannelName = CHANNEL) -> list[Any]:
    """What the log has."""
    found = await runtime.log.read(TENANT, channel, after=0, limit=100, max_bytes=10_000_000)
    return [row.data for row in found]


async def test_a_message_is_stored_once_with_its_author(posts: Posts, runtime: Runtime) -> None:
    """However often it comes; the channel's id and the author are the server's to say."""
    sent = message(payload={"text": "Hello", "author": {"id": "somebody", "name": "else"}})
    first, *again = [await posts.post(MAX, sent) for _ in range(3)]
    assert first == {
        "id": sent["id"],
        "type": "session.message",
        "channels": [{"channel": "session:s", "seq": 1, "epoch": first["channels"][0]["epoch"]}],
        "duplicate": False,
    }
    assert again == [{**first, "duplicate": True}] * 2
    assert await rows(runtime) == [
        {"text": "Hello", "sessionId": "s", "author": {"id": str(MAX.id), "name": "Max"}},
    ]


async def test_repeats_at_the_same_time_are_stored_once(posts: Posts, runtime: Runtime) -> None:
    """As two tabs of a browser may send them."""
    sent = message()
    receipts = await asyncio.gather(*(posts.post(MAX, sent) for _ in range(5)))
    assert sorted(receipt["duplicate"] for receipt in receipts) == [False, True, True, True, True]
    assert len(await rows(runtime)) == 1


async def test_an_id_belongs_to_one_message(posts: Posts, runtime: Runtime) -> None:
    """Another text, or another person, under the same id is a conflict."""
    sent = message()
    await posts.post(MAX, sent)
    for person, other in ((MAX, {**sent, "payload": {"text": "Other"}}), (ADA, sent)):
        with pytest.raises(Conflict):
            await posts.post(person, other)
    assert len(await rows(runtime)) == 1


NOT_POSTS: list[tuple[type[RealtimeError], Any, str | None]] = [
    (InvalidRequest, None, None),
    (InvalidRequest, [], None),
    (InvalidRequest, {"id": "x"}, None),
    (InvalidRequest, message(further=1), None),
    (InvalidRequest, message(id=7), "id"),
    (InvalidRequest, message(id="x"), "id"),
    (InvalidRequest, message(id=str(uuid.uuid4()).upper()), "id"),
    (InvalidRequest, message(id=uuid.uuid4().hex), "id"),
    (InvalidRequest, message(type=7), "type"),
    (InvalidEvent, message(type="nothing.known"), "type"),
    (InvalidEvent, message(type="x" * 100_000), "type"),
    (InvalidEvent, message(type="project.updated"), "type"),
    (InvalidEvent, message(channel="nowhere"), "channel"),
    (InvalidEvent, message(channel=["session:s"]), "channel"),
    (InvalidRequest, message(payload="text"), "payload"),
    (InvalidEvent, message(payload={"text": "NUL \0"}), "payload"),
    (InvalidEvent, message(payload={"text": "\ud800"}), "payload"),
    (InvalidEvent, message(payload={"sessionId": "other"}), "payload.sessionId"),
    (InvalidEvent, message(payload={"organizationId": 7}), "payload.organizationId"),
    (TooLarge, message(payload={"text": "x" * MAX_POST_BYTES}), "payload"),
    (NotAllowed, message(type="session.ended"), "type"),
    (NotAllowed, message(channel="project:p", type="project.updated"), "type"),
    (NotAllowed, message(channel="system:status", type="system.notice"), None),
    (NotAllowed, message(channel=f"user:{ADA.id}", type="user.notified"), None),
]


async def test_a_repeat_after_a_rename_is_the_same_message(posts: Posts, runtime: Runtime) -> None:
    """The browser sent it before, under the name of then; another person's repeat is still another message."""
    sent = message()
    first = await posts.post(MAX, sent)
    again = await posts.post(replace(MAX, name="Maximilian"), sent)
    assert again == {**first, "duplicate": True}
    [row] = await rows(runtime)
    assert row["author"]["name"] == "Max"
    with pytest.raises(Conflict):
        await posts.post(ADA, sent)
    with pytest.raises(Conflict):
        await posts.post(MAX, {**sent, "payload": {"text": "Another text"}})


@pytest.mark.parametrize(("error", "data", "field"), NOT_POSTS)
async def test_what_is_no_post_is_refused(
    posts: Posts, runtime: Runtime, error: type[RealtimeError], data: Any, field: str | None
) -> None:
    """Naming the field, in a short problem; nothing is stored."""
    with pytest.raises(error) as caught:
        await posts.post(MAX, data)
    assert caught.value.field == field
    assert len(str(caught.value.problem())) < 1_000
    assert await rows(runtime) == []


async def test_the_longest_message_fits(posts: Posts, runtime: Runtime) -> None:
    """With all that the server adds to it."""
    room = MAX_POST_BYTES - len('{"text":""}')
    await posts.post(MAX, message(payload={"text": "x" * room}))
    [row] = await rows(runtime)
    assert len(row["text"]) == room


async def test_a_person_may_post_only_so_often(runtime: Runtime) -> None:
    """By whatever way; others are not held up, what the app's code only shows does not count, and it passes."""
    clock = ManualClock()
    bus = EventBus(Routes(), runtime.log, runtime.bridge, RateLimiter(1, 3, clock))
    posts = Posts(bus, Routes())
    for _ in range(3):
        await posts.post(MAX, message())
    with pytest.raises(RateLimited):
        await posts.post(MAX, message())
    with pytest.raises(RateLimited):
        await bus.emit_as(MAX, "session.message", {"sessionId": "s"}, chosen_by_app=True)
    delta = {"sessionId": "s", "messageId": "m", "index": 0}
    await bus.emit_as(MAX, "session.message.delta", delta, chosen_by_app=True)
    await posts.post(ADA, message())
    await clock.advance(1)
    await posts.post(MAX, message())
    await bus.stop()


async def test_ephemeral_events_of_a_page_count_too(runtime: Runtime) -> None:
    """They reach as many screens as others."""
    routes = Routes([Route("cursor.", ChannelType.SESSION, "sessionId", durable=False, posts=("cursor.moved",))])
    bus = EventBus(routes, runtime.log, runtime.bridge, RateLimiter(1, 3, ManualClock()))
    posts = Posts(bus, routes)
    for _ in range(3):
        await posts.post(MAX, message(type="cursor.moved"))
    with pytest.raises(RateLimited):
        await posts.post(MAX, message(type="cursor.moved"))
    await bus.stop()


async def test_a_tab_posts_and_everybody_sees_the_row(app: App) -> None:
    """Over the socket, under the id that the tab gave it; a stranger's id for it is refused with the problem."""
    identity = uuid.uuid4().hex[:12]
    sent = message(channel=f"session:{identity}")
    async with (
        open_tab(app.url, app.cookie("max@northwind.test")) as tab,
        open_tab(app.url, app.cookie("ada@northwind.test")) as other,
    ):
        await other.sub(f"session:{identity}")
        await tab.until(lambda: tab.you)
        await other.until(lambda: other.you)
        assert tab.you == {**tab.you, "name": "max", "max_post_bytes": MAX_POST_BYTES}
        assert tab.you["person"] != other.you["person"]
        answer = await tab.call("post", sent)
        assert answer["ok"]
        assert answer["receipt"]["channels"][0]["seq"] == 1
        await other.until(lambda: other.frames)
        [row] = other.frames[0]["rows"]
        assert (row["id"], row["data"]["author"]["name"]) == (sent["id"], "max")
        refusal = await other.call("post", sent)
        assert (refusal["ok"], refusal["error"]["status"], refusal["error"]["retryable"]) == (False, 409, False)
