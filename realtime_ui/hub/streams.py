"""All open streams of a worker: who may open one, how long it lasts, its heartbeats, and its end."""

import asyncio
import logging
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass

from realtime_ui.access.gate import identities
from realtime_ui.access.networks import network_of
from realtime_ui.access.policy import Action, may, require
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import NotAuthenticated, RateLimited, RealtimeError
from realtime_ui.core.principals import Person, Principal
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.connection_stats import ConnectionStats
from realtime_ui.hub.cursor import Cursor, new_stream_id, place_text
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.stream import Place, Stream
from realtime_ui.hub.stream_event import Encoded, event, now_ms
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.event_log import ChannelKey, EventLog

logger = logging.getLogger(__name__)

TICK_S = 1.0
CHECK_S = 30.0
GOING_S = 3.0
"""How long an ended stream may take to send its last words before it is cut off."""
JITTER = 0.1
RETRY_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds, from Settings."""

    per_person: int
    per_key: int
    per_address: int
    channels: int
    queued_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a client asks for, checked."""

    channels: tuple[ChannelName, ...]
    named: bool
    rewind: int
    cursor: Cursor | None


class Streams:
    """Opens streams and looks after them. `start` and `stop` own the tasks.

    Args:
        hub: where frames come from.
        log: where pages come from.
        interval_s: how often each channel type's connections beat now, in s.
        stats: where each stream's channels are listed.
        clock: tells the time.
        limits: how many, how large, how long.
    """

    def __init__(
        self,
        hub: RealtimeHub,
        log: EventLog,
        interval_s: Callable[[ChannelType], float],
        stats: ConnectionStats,
        clock: Clock,
        limits: StreamLimits,
    ) -> None:
        self.limits = limits
        self._hub = hub
        self._log = log
        self._interval_of = interval_s
        self._stats = stats
        self._clock = clock
        self._open: set[Stream] = set()
        self._callers: Counter[str] = Counter()
        self._watching: dict[ChannelKey, set[Place]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to beat and to look after sessions."""
        self._tasks = [
            asyncio.create_task(self._keep(self._tick, TICK_S), name="streams-tick"),
            asyncio.create_task(self._keep(self._check_callers, TICK_S), name="streams-callers"),
        ]

    async def stop(self) -> None:
        """End the tasks and all streams."""
        self.end_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def open(
        self,
        wish: StreamRequest,
        principal: Principal,
        identify: Callable[[], Awaitable[Principal | None]],
        address: str,
        info: ClientInfo,
        cut: Callable[[], object],
    ) -> Stream:
        """Let somebody in; who opened a stream must `close` it.

        Args:
            wish: what they ask for.
            principal: who they are now.
            identify: asks again who they are.
            address: from where they come.
            info: what is known of the client.
            cut: ends the connection at once.

        Raises:
            NotAllowed: they may not read one of the channels.
            RateLimited: too many channels, or too many streams for them.
        """
        if len(wish.channels) > self.limits.channels:
            raise RateLimited(f"One stream may follow {self.limits.channels} channels.", retry_after_s=60)
        for channel in wish.channels:
            require(principal, Action.READ, channel)
        per_caller = self.limits.per_person if isinstance(principal, Person) else self.limits.per_key
        address = network_of(address)
        for caller, most in ((principal.label, per_caller), (f"address:{address}", self.limits.per_address)):
            if self._callers[caller] >= most:
                raise RateLimited(
                    f"{most} streams are open for this {caller.partition(':')[0]}, and no more may be.",
                    retry_after_s=RETRY_AFTER_S,
                )
        stream = Stream(
            self._id_for(wish.cursor, principal),
            principal,
            identify,
            address,
            info,
            wish.named,
            wish.rewind,
            self.limits.queued_bytes,
            cut,
            self._clock,
        )
        now = self._clock.monotonic()
        stream.ends_at = now + self.limits.seconds * random.uniform(1 - JITTER, 1 + JITTER)
        stream.checked_at = now
        known = wish.cursor.positions if wish.cursor else {}
        for channel in wish.channels:
            position = known.get(channel)
            text = place_text(channel, position) if position else None
            stream.places.append(Place(stream, (principal.tenant, channel), position, text))
        self._open.add(stream)
        self._callers.update((principal.label, f"address:{address}"))
        self._beat(stream, now)
        return stream

    def events(self, stream: Stream, opening: bytes) -> AsyncIterator[bytes]:
        """What a stream sends, `opening` first."""
        return stream.events(self._log, self._attach, self._hub.check, opening)

    async def _attach(self, place: Place) -> None:
        """Let a stream's channel have the hub's frames.

        Raises:
            DatabaseUnavailable: the hub cannot follow the channel now.
        """
        self._watching.setdefault(place.key, set()).add(place)
        await self._hub.attach(place.key, self._take)
        place.attached = True
        stream = place.stream

        def by_admin() -> None:
            stream.end(Ending.CLOSED_BY_ADMIN)

        place.entry = self._stats.open(str(stream.connection_id), place.key, stream.info, stream.principal, by_admin)
        place.entry.beat()  # the heartbeat on open has gone
        if place.stream not in self._open:  # it went while we waited
            await self._detach(place)

    async def close(self, stream: Stream) -> None:
        """Forget a stream whose connection is over; to repeat it changes nothing."""
        if stream not in self._open:
            return
        self._open.discard(stream)
        for caller in (stream.principal.label, f"address:{stream.address}"):
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]
        for place in stream.places:
            await self._detach(place)

    def close_session(self, session_id: uuid.UUID) -> None:
        """End the streams of a browser that signed out."""
        for stream in self._open:
            if isinstance(stream.principal, Person) and stream.principal.session_id == session_id:
                stream.end(Ending.SIGNED_OUT)

    def end_all(self) -> None:
        """Let every stream say goodbye and end; their clients come back to whoever serves then."""
        for stream in self._open:
            stream.end(Ending.GOING_AWAY)

    async def _detach(self, place: Place) -> None:
        watching = self._watching.get(place.key, set())
        watching.discard(place)
        if not watching:
            self._watching.pop(place.key, None)
        if place.attached:
            place.attached = False
            if place.entry is not None:
                place.entry.close()
            await self._hub.detach(place.key, self._take)

    def _id_for(self, cursor: Cursor | None, principal: Principal) -> str:
        """The id that the cursor carries on, unless somebody goes on with it already."""
        taken = cursor and any(each.id == cursor.stream and each.principal.id == principal.id for each in self._open)
        return cursor.stream if cursor and not taken else new_stream_id()

    def _take(self, frame: Frame) -> None:
        encoded = Encoded(frame.epoch, frame.messages, frame.ephemeral)
        for place in self._watching.get((frame.tenant, frame.channel), ()):
            place.stream.take(place, encoded)

    async def _keep(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await work()
            except RealtimeError as error:
                logger.debug("The streams are looked at later: %s", error)  # health logs why, once
            except Exception:
                logger.exception("The streams could not be looked after")
            await self._clock.sleep(every_s)

    async def _tick(self) -> None:
        now = self._clock.monotonic()
        for stream in list(self._open):
            if stream.ended_at is not None:
                if now - stream.ended_at > GOING_S:
                    stream.cut()
            elif now >= stream.ends_at:
                stream.end(Ending.TIME_UP)
            elif now - stream.beaten_at >= self._interval_s(stream) - TICK_S / 2:
                self._beat(stream, now)

    def _interval_s(self, stream: Stream) -> float:
        """The smallest of its channels' types."""
        return min(self._interval_of(channel.type) for channel in stream.channels)

    def _beat(self, stream: Stream, now: float) -> None:
        stream.beaten_at = now
        stream.beat(event({"type": "heartbeat", "timestamp": now_ms()}, stream.named))

    async def _check_callers(self) -> None:
        """Ask again who each stream belongs to: sessions expire, keys are revoked, roles change."""
        now = self._clock.monotonic()
        for stream in list(self._open):
            if stream.ended_at is None and now - stream.checked_at >= CHECK_S:
                await self._check_caller(stream)
                stream.checked_at = now

    async def recheck(self, subjects: Collection[uuid.UUID] | None) -> None:
        """Check at once the streams of these people, sessions and keys; of all when None."""
        for stream in list(self._open):
            changed = subjects is None or not identities(stream.principal).isdisjoint(subjects)
            if changed and stream.ended_at is None:
                await self._check_caller(stream)

    async def _check_caller(self, stream: Stream) -> None:
        try:
            principal = await stream.identify()
        except NotAuthenticated:
            principal = None
        if principal is None:
            stream.end(Ending.SESSION_EXPIRED, "The session has ended, or the key was revoked.")
        elif lost := [
            each for each in stream.channels if not may(principal, Action.READ, each, stream.principal.tenant)
        ]:
            stream.end(Ending.RIGHTS_CHANGED, f"{lost[0]} may not be read any more.")
