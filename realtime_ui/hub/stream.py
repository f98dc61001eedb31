"""One Server-Sent Events stream: which channels it follows, where it stands on each, and what waits to be sent.

The hub's frames go onto the stream's queue, and everything else happens in the one coroutine that also sends:
so a stream's order is the order of its queue. A channel begins behind. It is read from the log, page by page as
the client takes them, and then goes on from the queue, where what it has already is passed over: the queue was
attached before the head was read, so nothing can fall between. A hole in the queue, or another epoch, puts the
channel behind again. The cursor in `id:` is written when a message is sent, so it names what was sent, no more.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from realtime_ui.core import metrics
from realtime_ui.core.backoff import Backoff
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import Unavailable
from realtime_ui.core.position import Follow, Position
from realtime_ui.core.principals import Principal
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.connection_stats import Entry as StatsEntry
from realtime_ui.hub.cursor import cursor_text, place_text
from realtime_ui.hub.stream_event import Encoded, closing, event, now_ms
from realtime_ui.hub.subscribe import PAGE, PAGE_BYTES, Check, LogReader, Start, find_start
from realtime_ui.persistence.event_log import ChannelKey

logger = logging.getLogger(__name__)

CHUNK_BYTES = 65_536
RETRY_MIN_S, RETRY_MAX_S = 1.0, 10.0
"""How long a stream waits for a database that is away."""


@dataclass(slots=True, eq=False)
class Place:
    """One channel of a stream, and how far it has been sent."""

    stream: "Stream"
    key: ChannelKey
    position: Position | None
    """None until it has begun."""
    text: str | None
    """The position as the cursor has it."""
    attached: bool = False
    entry: StatsEntry | None = None
    begun: bool = False
    behind: bool = True

    def move(self, position: Position) -> None:
        """Stand at another place."""
        self.position = position
        self.text = place_text(self.key[1], position)


@dataclass(slots=True, eq=False)
class Stream:
    """An open stream. `Streams` makes and ends it, `events` is what is sent.

    Args:
        id: its own, which the cursor carries on to the stream that resumes it.
        principal: who asked.
        identify: asks again who that is; raises or gives None when they are nobody any more.
        address: from where.
        info: the client's end.
        named: whether events are named by their type.
        rewind: how many messages a channel begins with that the cursor does not name.
        max_queued_bytes: how much may wait for a client that does not read.
        cut: ends the connection without waiting for what the client has not read.
        clock: tells the time.
    """

    id: str
    principal: Principal
    identify: Callable[[], Awaitable[Principal | None]]
    address: str
    info: ClientInfo
    named: bool
    rewind: int
    max_queued_bytes: int
    cut: Callable[[], object]
    clock: Clock
    places: list[Place] = field(default_factory=list)
    ends_at: float = 0.0
    beaten_at: float = 0.0
    checked_at: float = 0.0
    ended_at: float | None = None
    """These four are in s of the clock; None while it lasts."""
    ending: Ending = Ending.TIME_UP
    detail: str = ""
    _queue: "deque[Entry]" = field(default_factory=deque)
    _queued: int = 0
    _beating: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connection_id(self) -> uuid.UUID:
        """The name of this stream and of those that resume it; nobody else's cursor leads to it."""
        return uuid.uuid5(self.principal.id, self.id)

    @property
    def channels(self) -> list[ChannelName]:
        """What it follows."""
        return [place.key[1] for place in self.places]

    def take(self, place: Place, encoded: Encoded) -> None:
        """Put a frame of the hub onto the queue; a client that lets too much gather is cut off."""
        if self.ended_at is not None:
            return
        size = encoded.bodies(self.named)[2]
        if self._queued + size > self.max_queued_bytes:
            metrics.QUEUE_BOUNDS_HIT.inc()
            logger.info("A stream has %s bytes waiting and is cut off; it can resume", self._queued)
            self.end(Ending.TOO_SLOW)
            self._queue.clear()
            self.cut()
            return
        self._put(place, encoded, size)

    def beat(self, heartbeat: bytes) -> None:
        """Put a heartbeat onto the queue."""
        self._put(None, heartbeat, len(heartbeat))

    def end(self, ending: Ending, detail: str = "") -> None:
        """End it with an event or a comment that says why; the first reason stands.

        Args:
            ending: why.
            detail: a more exact sentence for people than the table's.
        """
        if self.ended_at is None:
            self.ended_at, self.ending, self.detail = self.clock.monotonic(), ending, detail
            self._news.set()

    async def events(
        self, log: LogReader, attach: Callable[[Place], Awaitable[None]], check: Check, opening: bytes
    ) -> AsyncIterator[bytes]:
        """What goes over the wire, in pieces, until `end`.

        Args:
            log: what was before.
            attach: lets a place have the hub's frames.
            check: has the hub compare a channel with the log.
            opening: goes first.
        """
        yield opening + self._drain()  # with a heartbeat
        self._heartbeat_went()
        resumable = False
        backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        while self.ended_at is None:
            away = False
            try:
                for place in self.places:
                    if not place.attached:
                        await attach(place)
                    if place.behind:
                        async with aclosing(self._catch_up(place, log, check)) as pieces:
                            async for piece in pieces:
                                yield piece
            except Unavailable as error:
                logger.info("A stream goes on when the database is back: %s", error)
                away = True
            else:
                backoff.reset()
            if not resumable and not away:
                resumable = True
                yield f"id: {self._cursor()}\n\n".encode()  # no event, but from here on it can be resumed
            if piece := self._drain():
                yield piece
                self._heartbeat_went()
            elif away:
                await self.clock.sleep(backoff.next())
            elif not any(place.behind for place in self.places):
                await self._news.wait()
                self._news.clear()
        yield closing(self.ending, self.detail, self.named)

    async def _catch_up(self, place: Place, log: LogReader, check: Check) -> AsyncGenerator[bytes, None]:
        """Everything of a channel up to its head, with whatever is ready of the others after each page."""
        while place.behind and self.ended_at is None:
            start = await find_start(log, place.key, place.position, self.rewind, check)
            head = start.head
            if told := self._begin(place, start):
                yield told
            while (position := place.position) and position.seq < head.last and self.ended_at is None:
                page = await log.read(*place.key, after=position.seq, limit=PAGE, max_bytes=PAGE_BYTES)
                if page and page[0].epoch != position.epoch:
                    break  # restored since the head was read: look again
                before = page[0].seq - 1 if page else head.last
                if before > position.seq:  # pruned since then
                    yield self._gap(place, head.epoch, before)
                if page:
                    yield self._numbered(place, Encoded(position.epoch, page))
                    if place.entry is not None:
                        place.entry.count(len(page))
                if piece := self._drain():
                    yield piece
                    self._heartbeat_went()
            else:
                place.behind = False

    def _begin(self, place: Place, start: Start) -> bytes:
        """Stand where the log lets the channel go on; the event that says so where that is not where it stood."""
        if not place.begun:
            place.begun = True
            metrics.RESUMES.labels(start.how).inc()
        if start.how is Follow.GAP:
            return self._gap(place, start.head.epoch, start.position.seq)
        place.move(start.position)
        return self._told(place, "reset", after=start.position.seq) if start.how is Follow.RESET else b""

    def _gap(self, place: Place, epoch: str, last: int) -> bytes:
        """Pass over what the log no longer keeps; the event that says so."""
        first = place.position.seq + 1 if place.position else 1
        place.move(Position(epoch, last))
        return self._told(place, "gap", first=first, last=last)

    def _told(self, place: Place, kind: str, **more: int) -> bytes:
        assert place.position is not None
        told = {"type": kind, "channel": str(place.key[1]), "epoch": place.position.epoch, **more}
        return self._id() + event({**told, "timestamp": now_ms()}, self.named)

    def _drain(self) -> bytes:
        """What of the queue can be sent now; frames of channels that are behind stay."""
        pieces: list[bytes] = []
        size = 0
        kept: list[Entry] = []
        while self._queue and size < CHUNK_BYTES:
            entry = place, item, taken = self._queue.popleft()
            if place is not None and place.behind:
                kept.append(entry)
                continue
            self._queued -= taken
            if place is None or isinstance(item, bytes):
                self._beating = True
                piece = item if isinstance(item, bytes) else b""
            elif self._follows(place, item):
                piece = self._numbered(place, item)
            else:
                piece = b""  # the log has it, and is read next
            pieces.append(piece)
            size += len(piece)
        self._queue.extendleft(reversed(kept))
        return b"".join(pieces)

    def _follows(self, place: Place, item: Encoded) -> bool:
        """Whether a frame goes on where its channel stands; where it does not, the channel is behind."""
        position = place.position
        assert position is not None
        if item.messages:
            place.behind = not position.continues_in(item.epoch) or item.messages[0].seq > position.seq + 1
        elif not item.ephemeral:
            place.behind = True  # only the epoch changed
        return not place.behind

    def _numbered(self, place: Place, item: Encoded) -> bytes:
        """A frame's events, each with the cursor as it is after it; those that the client has are left out."""
        numbered, fleeting, _ = item.bodies(self.named)
        position = place.position
        assert position is not None
        pieces: list[bytes] = []
        for reached, text, body in numbered:
            if reached.seq > position.seq:
                place.position, place.text = reached, text
                pieces += (self._id(), body)
        metrics.DELIVERIES.inc(len(pieces) // 2)
        pieces.append(fleeting)
        return b"".join(pieces)

    def _id(self) -> bytes:
        return f"id: {self._cursor()}\n".encode()

    def _cursor(self) -> str:
        return cursor_text(self.id, (place.text for place in self.places if place.text))

    def _heartbeat_went(self) -> None:
        """A heartbeat that the client's side has taken is its sign of life."""
        if self._beating:
            self._beating = False
            for place in self.places:
                if place.entry is not None:
                    place.entry.beat()

    def _put(self, place: Place | None, item: Encoded | bytes, size: int) -> None:
        self._queue.append((place, item, size))
        self._queued += size
        self._news.set()


Entry = tuple[Place | None, Encoded | bytes, int]
"""What waits on a queue: a channel's frame, or a heartbeat, with its size in bytes."""
