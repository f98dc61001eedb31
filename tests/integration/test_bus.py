"""The bus, the bridge and the hub of a running worker."""

import asyncio
import uuid

import pytest
import reflex as rx
import sqlalchemy as sa
from socketio import AsyncServer

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import Conflict, InvalidEvent, NotAllowed
from realtime_ui.core.messages import Event
from realtime_ui.core.principals import ApiKey, Person, Role, Scope
from realtime_ui.events.routes import Route
from realtime_ui.events.wire import wire_channel
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.append_requests import Entry
from realtime_ui.providers.base import WireMessage
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from realtime_ui.states import channel as channel_states
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.waiting import until

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")
KEY = (TENANT, CHANNEL)


class Seen:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.seqs: list[int] = []

    def __call__(self, frame: Frame) -> None:
        """Take a frame."""
        self.seqs += [message.seq for message in frame.messages]


async def test_emit_returns_after_the_commit_and_the_hub_has_it(runtime: Runtime) -> None:
    """The receipt says where it stands."""
    seen = Seen()
    await runtime.hub.attach(KEY, seen)
    receipt = await runtime.bus.emit("project.updated", {"projectId": "x", "organizationId": "o"}, TENANT)
    assert [(str(place.channel), place.seq) for place in receipt.placements] == [
        ("project:x", 1),
        ("organization:o", 1),
    ]
    assert seen.seqs == [1]
    assert [message.id for message in await runtime.log.read(TENANT, CHANNEL, limit=10)] == [receipt.id]


async def test_a_repeat_is_neither_stored_nor_shown_again(runtime: Runtime) -> None:
    """It answers the same place, as a duplicate."""
    seen = Seen()
    await runtime.hub.attach(KEY, seen)
    first = await runtime.bus.emit("project.updated", {"projectId": "x"}, TENANT, id="a")
    again = await runtime.bus.emit("project.updated", {"projectId": "x"}, TENANT, id="a")
    assert first.placements == again.placements
    assert (first.duplicate, again.duplicate) == (False, True)
    assert seen.seqs == [1]


async def test_nothing_is_stored_of_an_event_that_cannot_be_routed(runtime: Runtime) -> None:
    """Routes are resolved before anything is written, for the whole list."""
    good = Event.create("project.updated", {"projectId": "x"}, TENANT, emitted_by="tests")
    bad = Event.create("project.updated", {}, TENANT, emitted_by="tests")
    with pytest.raises(InvalidEvent) as caught:
        await runtime.bus.emit_many([good, bad])
    assert caught.value.field == "[1].payload.projectId"
    assert await runtime.log.head(TENANT, CHANNEL) is None


async def test_an_id_that_stands_twice_in_a_list_means_one_event(runtime: Runtime) -> None:
    """With the same content it is one, with other content a conflict."""
    one = Event.create("project.updated", {"projectId": "x"}, TENANT, id="a", emitted_by="tests")
    two = Event.create("project.updated", {"projectId": "x", "n": 2}, TENANT, id="a", emitted_by="tests")
    receipts = await runtime.bus.emit_many([one, one])
    assert [receipt.placements[0].seq for receipt in receipts] == [1, 1]
    with pytest.raises(Conflict):
        await runtime.bus.emit_many([one, two])


async def test_handlers_hear_of_committed_events_once_and_fail_alone(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    """By type or family; a repeat is not told; one that was taken away hears nothing."""
    heard: list[str] = []

    async def hear(event: Event) -> None:
        heard.append(event.id)

    async def broken(event: Event) -> None:
        raise RuntimeError("broken handler")

    runtime.bus.on("project.*", broken)
    stop = runtime.bus.on("project.updated", hear)
    await runtime.bus.emit("project.updated", {"projectId": "x"}, TENANT, id="a")
    await runtime.bus.emit("project.updated", {"projectId": "x"}, TENANT, id="a")
    await runtime.bus.emit("session.message", {"sessionId": "s"}, TENANT)
    await until(lambda: heard == ["a"])
    stop()
    await runtime.bus.emit("project.updated", {"projectId": "x"}, TENANT, id="b")
    await until(lambda: caplog.text.count("broken handler") >= 2)
    assert heard == ["a"]


async def test_what_was_published_is_marked(settings: Settings) -> None:
    """So that no other worker publishes it again."""
    clock = ManualClock()
    async with Runtime(settings, AsyncServer(async_mode="asgi"), no_sink, clock=clock) as runtime:
        await runtime.bus.emit("project.updated", {"projectId": "x"}, TENANT)
        assert len(await runtime.log.unpublished(age_s=0)) == 1
        await clock.advance(1.1)
        async with asyncio.timeout(60):
            while await runtime.log.unpublished(age_s=0):
                await asyncio.sleep(0.01)


async def test_what_a_dead_worker_committed_another_publishes_with_the_same_id(settings: Settings) -> None:
    """Heads remember how far was published."""
    clock = ManualClock()
    async with Runtime(settings, AsyncServer(async_mode="asgi"), no_sink, clock=clock) as runtime:
        event = Event.create("project.updated", {"projectId": "x"}, TENANT, id="orphan", emitted_by="dead")
        await runtime.log.append([Entry(event, CHANNEL)])  # stored by a worker that died before publishing
        published: list[WireMessage] = []
        await runtime.provider.subscribe(wire_channel(*KEY), lambda channel, wire: published.append(wire))
        async with asyncio.timeout(60):
            while not published:
                await clock.advance(1)
                await asyncio.sleep(0.1)
        assert [(wire.id, wire.headers["seq"]) for wire in published] == [("orphan", "1")]


async def test_what_a_foreign_client_publishes_is_recorded_and_shown(runtime: Runtime) -> None:
    """Under the provider's id, once, like any other."""
    seen = Seen()
    await runtime.hub.attach(KEY, seen)
    wire = WireMessage("their-id", "project.updated", {"projectId": "x", "from": "react"}, 1, "react-page")
    for _ in range(2):
        await runtime.provider.publish(wire_channel(*KEY), wire)
    await until(lambda: seen.seqs == [1])
    messages = await runtime.log.read(TENANT, CHANNEL, limit=10)
    assert [(message.id, message.data) for message in messages] == [("their-id", wire.data)]


async def test_a_worker_without_a_database_address_says_how_to_start(settings: Settings) -> None:
    """In one sentence."""
    bare = settings.model_copy(update={"database_url": ""})
    with pytest.raises(RuntimeError, match="python -m realtime_ui serve"):
        Runtime(bare, AsyncServer(async_mode="asgi"), no_sink)


CHUNK = {"sessionId": "s", "messageId": "m", "index": 0, "text": "Hel"}
SESSION = (TENANT, ChannelName.parse("session:s"))


async def test_an_ephemeral_event_is_shown_and_not_stored(runtime: Runtime) -> None:
    """Its receipt has no seq; handlers of the bus hear of it."""
    shown: list[str] = []
    heard: list[str] = []

    async def hear(event: Event) -> None:
        heard.append(event.id)

    runtime.bus.on("session.message.delta", hear)
    await runtime.hub.attach(SESSION, lambda frame: shown.extend(each.id for each in frame.ephemeral))
    receipt = await runtime.bus.emit("session.message.delta", CHUNK, TENANT)
    assert [(str(place.channel), place.seq, place.epoch) for place in receipt.placements] == [("session:s", None, None)]
    assert shown == [receipt.id]
    assert await runtime.log.head(*SESSION) is None
    await until(lambda: heard == [receipt.id])


async def test_a_list_may_hold_both_kinds(runtime: Runtime) -> None:
    """What is stored comes first, and a list that is refused shows nothing."""
    frames: list[tuple[list[int], list[str]]] = []

    def take(frame: Frame) -> None:
        frames.append(([message.seq for message in frame.messages], [each.id for each in frame.ephemeral]))

    def event(kind: str, id: str, **payload: object) -> Event:
        return Event.create(kind, payload, TENANT, id=id, emitted_by="tests")

    await runtime.hub.attach(SESSION, take)
    chunk, final = event("session.message.delta", "c", **CHUNK), event("session.message", "f", sessionId="s")
    receipts = await runtime.bus.emit_many([chunk, final, chunk])
    assert [[place.seq for place in receipt.placements] for receipt in receipts] == [[None], [1], [None]]
    await until(lambda: frames == [([1], []), ([], ["c"])])
    with pytest.raises(Conflict):
        await runtime.bus.emit_many([chunk, event("session.message", "f", sessionId="s", text="other")])
    await asyncio.sleep(0.05)
    assert len(frames) == 2


ADA = Person(uuid.UUID(int=7), TENANT, "Northwind", "Ada", "ada@northwind.test", Role.MEMBER, uuid.UUID(int=9))
ADMIN = Person(uuid.UUID(int=6), TENANT, "Northwind", "Eve", "eve@northwind.test", Role.ADMIN, uuid.UUID(int=9))
BOT = ApiKey(uuid.UUID(int=8), TENANT, "bot", frozenset({Scope.EMIT}))
READER = ApiKey(uuid.UUID(int=8), TENANT, "reader", frozenset({Scope.READ}))


class Desk(channel_states.ChannelState, rx.State):
    """Watches a project."""


NOT_FOR_MEMBERS = [
    ("system.notice", {"name": "status"}),
    ("user.notified", {"userId": "somebody-else"}),
]


@pytest.mark.parametrize(("kind", "payload"), NOT_FOR_MEMBERS)
async def test_a_member_publishes_only_where_they_may_post(
    runtime: Runtime, kind: str, payload: dict[str, object]
) -> None:
    """Whatever type the app's code chose: every channel that the route gives is checked, and nothing is stored."""
    with pytest.raises(NotAllowed):
        await runtime.bus.emit_as(ADA, kind, payload, chosen_by_app=True)
    assert await stored_rows(runtime) == 0


async def test_watching_a_channel_gives_no_right_to_publish_on_others(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member's state that watches a project publishes there, and not on the system's channels."""

    async def member(state: rx.State) -> Person:
        return ADA

    monkeypatch.setattr(channel_states, "person_of", member)
    state = Desk()
    state.subscribe("project:desk")
    with pytest.raises(NotAllowed):
        await state.publish("system.notice", {"name": "status"})
    assert await stored_rows(runtime) == 0
    await state.publish("project.noted", {"projectId": "desk"})
    assert await stored_rows(runtime) == 1


async def test_one_forbidden_channel_keeps_the_event_off_the_others(settings: Settings) -> None:
    """Of an event for two channels, and of a list: all or nothing."""
    audit = Route("project.audit.", ChannelType.SYSTEM, "projectId")
    async with Runtime(settings, AsyncServer(async_mode="asgi"), no_sink, routes=[audit]) as runtime:
        with pytest.raises(NotAllowed):
            await runtime.bus.emit_as(
                ADA, "project.audit.done", {"projectId": "x", "organizationId": "o"}, chosen_by_app=True
            )
        allowed = Event.create("session.message", {"sessionId": "s"}, TENANT, emitted_by=ADA.label)
        forbidden = Event.create("system.notice", {"name": "status"}, TENANT, emitted_by=ADA.label)
        elsewhere = Event.create("session.message", {"sessionId": "s"}, uuid.UUID(int=2), emitted_by=ADA.label)
        for other in (forbidden, elsewhere):
            with pytest.raises(NotAllowed):
                await runtime.bus.emit_many_as(ADA, [allowed, other])
        assert await stored_rows(runtime) == 0


async def test_a_member_chooses_only_types_that_a_route_lets_people_post(runtime: Runtime) -> None:
    """A message, but not the change of a project's fields, which a handler of the app may make for them."""
    with pytest.raises(NotAllowed) as caught:
        await runtime.bus.emit_as(ADA, "project.updated", {"projectId": "x", "changes": {"budget": 1}})
    assert caught.value.field == "type"
    assert await stored_rows(runtime) == 0
    await runtime.bus.emit_as(ADA, "session.message", {"sessionId": "s"})
    await runtime.bus.emit_as(ADA, "project.updated", {"projectId": "x"}, chosen_by_app=True)
    assert await stored_rows(runtime) == 2


async def test_admins_and_emitting_keys_emit_anything_in_their_tenant(runtime: Runtime) -> None:
    """Under their own name, whatever the event says of its emitter; a reading key emits nothing."""
    await runtime.bus.emit_as(ADMIN, "system.notice", {"name": "status"})
    event = Event.create("system.notice", {"name": "status"}, TENANT, emitted_by="person:somebody")
    await runtime.bus.emit_many_as(BOT, [event])
    with pytest.raises(NotAllowed):
        await runtime.bus.emit_many_as(READER, [event])
    async with runtime.database.single() as connection:
        rows = await connection.execute(sa.text("SELECT emitted_by FROM realtime_events_log ORDER BY seq"))
        assert list(rows.scalars()) == [ADMIN.stamp, BOT.stamp]


async def stored_rows(runtime: Runtime) -> int:
    """How many messages the log has."""
    async with runtime.database.single() as connection:
        return int((await connection.execute(sa.text("SELECT count(*) FROM realtime_events_log"))).scalar_one())
