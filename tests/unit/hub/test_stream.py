"""A stream alone: whatever its queue and its log do, and however often it is resumed, its client gets the log."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.messages import Ephemeral, Head, Message
from realtime_ui.core.principals import ApiKey, Scope
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.cursor import Cursor, place_text
from realtime_ui.hub.stream import RETRY_MAX_S, Place, Stream
from realtime_ui.hub.stream_event import Encoded
from realtime_ui.persistence.event_log import ChannelKey, Look
from tests.clock import ManualClock, settle

TENANT = uuid.UUID(int=1)
KEY = ApiKey(uuid.UUID(int=2), TENANT, "tests", frozenset({Scope.READ}))
NAMES = [ChannelName.parse("project:a"), ChannelName.parse("session:b")]


class Shelf:
    """A log of several channels in memory."""

    def __init__(self) -> None:
        self.epochs = {name: str(uuid.uuid4()) for name in NAMES}
        self.first = dict.fromkeys(NAMES, 1)
        self.messages: dict[ChannelName, list[Message]] = {name: [] for name in NAMES}
        self.away = False
        self.history = 0

    def append(self, name: ChannelName) -> Message:
        """Store one more message."""
        seq = len(self.messages[name]) + 1
        message = Message(TENANT, name, seq, self.epochs[name], f"{name}-{seq}", "project.updated", {"n": seq}, seq)
        message = replace(message, timestamp=seq + 1_000 * self.history)
        self.messages[name].append(message)
        return message

    async def look(self, asked: Mapping[ChannelKey, int | None]) -> dict[ChannelKey, Look]:
        """Where they stand."""
        await asyncio.sleep(0)
        if self.away:
            raise DatabaseUnavailable("away")
        looks: dict[ChannelKey, Look] = {}
        for key, seq in asked.items():
            if stored := self.messages[key[1]]:
                last = len(stored)
                at = last if seq is None else seq
                tag = stored[at - 1].tag if self.first[key[1]] <= at <= last else ""
                looks[key] = Look(Head(self.epochs[key[1]], self.first[key[1]], last), tag)
        return looks

    async def read(
        self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int
    ) -> list[Message]:
        """A page, of few."""
        await asyncio.sleep(0)
        above = max(after, self.first[channel] - 1)
        return [message for message in self.messages[channel] if message.seq > above][:3]


@dataclass
class Client:
    """Reads a stream like an EventSource: remembers the last id, and each event's data."""

    id: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def read(self, piece: bytes) -> None:
        """Take a piece of the wire, which holds whole blocks."""
        for block in piece.decode().split("\n\n"):
            lines = block.split("\n")
            self.comments += [line for line in lines if line.startswith(":")]
            fields = dict(line.split(": ", 1) for line in lines if line and not line.startswith(":"))
            self.id = fields.get("id", self.id)
            if "data" in fields:
                self.names.append(fields.get("event", "message"))
                self.events.append(json.loads(fields["data"]))

    def seqs(self, name: ChannelName) -> list[int]:
        """The seqs that came on a channel."""
        return [each["seq"] for each in self.events if each.get("channel") == str(name) and "seq" in each]


class Stage:
    """A shelf, a stream on it, and frames that the test hands on when it likes, in each channel's order."""

    def __init__(self, *names: ChannelName) -> None:
        self.names = names or tuple(NAMES)
        self.shelf = Shelf()
        self.clock = ManualClock()
        self.client = Client()
        self.frames: list[tuple[ChannelName, Encoded]] = []
        self.cut = 0
        self.checked: list[ChannelName] = []
        self.stream = self.connect()
        self.pieces = self.begin()

    def connect(self, *, rewind: int = 0, named: bool = False, max_queued_bytes: int = 1_000_000) -> Stream:
        """A new stream, from where the client is."""
        cursor = Cursor.parse(self.client.id, field="x", max_channels=5) if self.client.id else None

        async def identify() -> ApiKey:
            return KEY

        def cut() -> None:
            self.cut += 1

        info = ClientInfo("", "", "program", "sse", "")
        self.stream = Stream("A" * 12, KEY, identify, "", info, named, rewind, max_queued_bytes, cut, self.clock)
        for name in self.names:
            position = cursor.positions.get(name) if cursor else None
            text = place_text(name, position) if position else None
            self.stream.places.append(Place(self.stream, (TENANT, name), position, text))
        return self.stream

    def begin(self) -> AsyncIterator[bytes]:
        """What the stream sends."""

        async def attach(place: Place) -> None:
            if self.shelf.away:
                raise DatabaseUnavailable("away")
            place.attached = True

        self.pending: asyncio.Future[bytes] | None = None

        async def check(key: ChannelKey) -> None:
            self.checked.append(key[1])

        self.pieces = self.stream.events(self.shelf, attach, check, b": hello\n\n")
        return self.pieces

    def emit(self, name: ChannelName) -> None:
        """Commit a message; its frame comes later."""
        message = self.shelf.append(name)
        self.frames.append((name, Encoded(message.epoch, [message])))

    def hand_on(self) -> None:
        """Hand the oldest frame on."""
        if self.frames:
            name, frame = self.frames.pop(0)
            for place in self.stream.places:
                if place.key[1] == name and place.attached:
                    self.stream.take(place, frame)

    async def take(self) -> bytes | None:
        """The next piece, where there is one now."""
        self.pending = self.pending or asyncio.ensure_future(anext(self.pieces))
        await settle()
        if not self.pending.done():
            return None
        piece, self.pending = self.pending.result(), None
        return piece

    async def read(self) -> None:
        """Let the client read whatever is there."""
        while (piece := await self.take()) is not None:
            self.client.read(piece)

    async def lose_the_line(self, blocks: int) -> None:
        """Cut it in the middle of a piece, of which so many blocks arrive; the client comes back."""
        if piece := await self.take():
            self.client.read(b"\n\n".join(piece.split(b"\n\n")[:blocks]))
        if self.pending:
            self.pending.cancel()
            await asyncio.gather(self.pending, return_exceptions=True)
        self.stream.end(Ending.GOING_AWAY)
        self.connect()
        self.begin()

    async def end(self) -> None:
        """End the stream, and read to its last word."""
        self.stream.end(Ending.TIME_UP)
        await self.read_to_the_end()

    async def read_to_the_end(self) -> None:
        """Read until the stream is over."""
        if self.pending:
            self.client.read(await self.pending)
            self.pending = None
        async for piece in self.pieces:
            self.client.read(piece)


def whole(client: Client, name: ChannelName, last: int) -> bool:
    """Whether a client got a channel from 1 to `last`, once and in order, or was told what is missing."""
    wanted = 1
    for each in client.events:
        if each.get("channel") == str(name):
            first, to = (each["first"], each["last"]) if each["type"] == "gap" else (each["seq"], each["seq"])
            if first != wanted:
                return False
            wanted = to + 1
    return wanted == last + 1


numbers = st.integers(min_value=0, max_value=4)
steps = st.lists(
    st.tuples(
        st.sampled_from(["emit", "emit", "hand on", "hand on", "read", "lose a frame", "prune", "lose the line"]),
        st.sampled_from(NAMES),
        numbers,
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(steps=steps)
def test_nothing_is_lost_or_doubled_however_often_the_line_is(steps: list[tuple[str, ChannelName, int]]) -> None:
    """Each channel's messages come once and in order, or are told to be gone; a lost line is resumed."""

    async def run() -> None:
        stage = Stage()
        await stage.read()
        for step, name, number in steps:
            if step == "emit":
                stage.emit(name)
            elif step == "hand on":
                stage.hand_on()
            elif step == "lose a frame" and stage.frames:
                stage.frames.pop(0)
            elif step == "prune":
                stage.shelf.first[name] = min(stage.shelf.first[name] + number, len(stage.shelf.messages[name]) + 1)
            elif step == "read" and (piece := await stage.take()):
                stage.client.read(piece)
            elif step == "lose the line":
                await stage.lose_the_line(number)
        await stage.read()
        for name in NAMES:  # a frame that was lost shows by the next one
            stage.emit(name)
        while stage.frames:
            stage.hand_on()
        await stage.read()
        await stage.end()
        for name in NAMES:
            assert whole(stage.client, name, len(stage.shelf.messages[name])), stage.client.events

    asyncio.run(run())


async def test_it_begins_with_its_opening_and_a_place_to_resume_from() -> None:
    """So that what comes before the first message is not lost with the line."""
    stage = Stage()
    await stage.read()
    assert (stage.client.comments, stage.client.events) == ([": hello"], [])
    assert set(Cursor.parse(stage.client.id, field="x", max_channels=5).positions) == set(NAMES)
    await stage.lose_the_line(0)
    stage.emit(NAMES[0])  # while nobody is there
    stage.frames.clear()
    await stage.read()
    assert stage.client.seqs(NAMES[0]) == [1]
    await stage.end()
    assert stage.client.comments[-1].startswith(": time_up: ")


async def test_a_message_is_unnamed_or_named_by_its_type() -> None:
    """Unnamed, an EventSource's `onmessage` hears it; the data is the same."""
    for named, name in ((False, "message"), (True, "project.updated")):
        stage = Stage(NAMES[0])
        stage.emit(NAMES[0])
        stage.connect(rewind=1, named=named)
        stage.begin()
        await stage.read()
        assert stage.client.names == [name]
        assert stage.client.events == [
            {
                "channel": "project:a",
                "seq": 1,
                "epoch": stage.shelf.epochs[NAMES[0]],
                "id": "project:a-1",
                "type": "project.updated",
                "data": {"n": 1},
                "timestamp": 1,
                "emitted_by": None,
            }
        ]
        await stage.end()


async def test_another_epoch_is_told_and_begins_anew() -> None:
    """At once where the hub noticed it, and to a client that comes back."""
    name = NAMES[0]
    stage = Stage(name)
    stage.emit(name)
    stage.hand_on()
    await stage.read()
    before = stage.client.id
    stage.shelf.epochs[name] = str(uuid.uuid4())
    stage.frames.append((name, Encoded(stage.shelf.epochs[name], [])))
    stage.hand_on()
    await stage.read()
    assert [(each["type"], each.get("after")) for each in stage.client.events[-1:]] == [("reset", 1)]
    stage.client.id = before
    await stage.lose_the_line(0)
    await stage.read()
    assert stage.client.events[-1]["type"] == "reset"
    assert stage.client.events[-1]["epoch"] == stage.shelf.epochs[name]
    await stage.end()


async def test_a_log_that_went_back_resets_a_client_that_comes_back_beyond_it() -> None:
    """Its cursor names a row that the log does not have, though it has one with that number; the hub compares, too."""
    name = NAMES[0]
    stage = Stage(name)
    for _ in range(5):
        stage.emit(name)
        stage.hand_on()
    await stage.read()
    del stage.shelf.messages[name][3:]
    stage.shelf.history += 1
    for _ in range(4):
        stage.emit(name)
    stage.frames.clear()
    await stage.lose_the_line(0)
    await stage.read()
    assert [(each["type"], each.get("after")) for each in stage.client.events[-1:]] == [("reset", 7)]
    assert stage.checked == [name]
    await stage.lose_the_line(0)
    await stage.read()
    assert [each["type"] for each in stage.client.events].count("reset") == 1
    await stage.end()


async def test_an_ephemeral_message_has_no_id() -> None:
    """It is shown now or never, and moves no cursor."""
    name = NAMES[1]
    stage = Stage(name)
    await stage.read()
    before = stage.client.id
    typing = Ephemeral(TENANT, name, "e1", "session.typing", {"on": True}, 5)
    stage.frames.append((name, Encoded("", [], [typing])))
    stage.hand_on()
    piece = await stage.take() or b""
    assert b"id:" not in piece.split(b"data:")[0]
    stage.client.read(piece)
    assert stage.client.events == [
        {
            "channel": "session:b",
            "id": "e1",
            "type": "session.typing",
            "data": {"on": True},
            "timestamp": 5,
            "emitted_by": None,
        }
    ]
    assert stage.client.id == before
    await stage.end()


async def test_a_client_that_does_not_read_is_cut_off_at_the_bound() -> None:
    """And resumes where it was when it comes back."""
    name = NAMES[0]
    stage = Stage(name)
    stage.connect(max_queued_bytes=2_000)
    stage.begin()
    await stage.read()
    for _ in range(50):
        stage.emit(name)
        stage.hand_on()
    assert stage.cut == 1
    await stage.read_to_the_end()
    stage.connect()
    stage.begin()
    await stage.read()
    assert stage.client.seqs(name) == list(range(1, 51))
    await stage.end()


async def test_a_stream_waits_for_a_database_that_is_away() -> None:
    """It stays open, beats, and goes on by itself."""
    name = NAMES[0]
    stage = Stage(name)
    stage.shelf.away = True
    stage.emit(name)
    stage.connect(rewind=1)
    stage.begin()
    await stage.read()
    stage.stream.beat(b'data: {"type":"heartbeat"}\n\n')
    await stage.clock.advance(2)
    await stage.read()
    assert [each["type"] for each in stage.client.events] == ["heartbeat"]
    stage.shelf.away = False
    await stage.clock.advance(RETRY_MAX_S)
    await stage.read()
    assert stage.client.seqs(name) == [1]
    await stage.end()


async def test_a_channel_that_catches_up_holds_no_other_up() -> None:
    """Between its pages, whatever came on the others goes out."""
    long, live = NAMES
    stage = Stage()
    await stage.read()
    before = stage.client.id
    for _ in range(30):
        stage.shelf.append(long)
    await stage.end()
    stage.client.id = before
    stage.client.events.clear()
    stage.connect()
    stage.begin()
    stage.stream.places.reverse()  # the live one is there first
    for _ in range(5):
        stage.client.read(await stage.take() or b"")
    stage.emit(live)
    stage.hand_on()
    await stage.read()
    order = [each["channel"] for each in stage.client.events]
    assert order.index("session:b") < len(order) - 1
    assert stage.client.seqs(long) == list(range(1, 31))
    await stage.end()
