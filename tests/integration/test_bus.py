"""The bus, the bridge and the hub of a running worker."""

import asyncio
import uuid

import pytest
from socketio import AsyncServer

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import Conflict, InvalidEvent
from realtime_ui.core.messages import Event
from realtime_ui.events.wire import wire_channel
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.group_writer import Entry
from realtime_ui.providers.base import WireMessage
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
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
        async with asyncio.timeout(10):
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
        async with asyncio.timeout(20):
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
