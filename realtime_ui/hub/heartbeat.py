"""Heartbeats over `/feed`: one frame a channel type and interval to all tabs that watch such a channel.

Tabs answer. From that the server knows who is there and how long the way is, measured by its own clock alone. A
tab that is silent for its type's timeout is stale: its states hear of it, and its socket is hung up if it stays
so. No tab has a task or a timer of its own.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.heartbeat import DEFAULTS, HeartbeatConfig, Liveness
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.connection_stats import ConnectionStats, Entry
from realtime_ui.persistence.event_log import ChannelKey

logger = logging.getLogger(__name__)

CONFIG_S = 3.0
CHECK_S = 1.0
HANG_UP_S = 5.0
"""A tab that stays silent for so long after it was found stale is hung up."""
STOOD_STILL_S = 5.0
"""A check that comes so late tells of this worker, not of the tabs: nobody could have been heard."""
REMEMBERED = 4_000


class Sender(Protocol):
    """What is needed of the `/feed` namespace."""

    async def enter_room(self, sid: str, room: str) -> None:
        """Put a socket into a room."""
        ...

    async def leave_room(self, sid: str, room: str) -> None:
        """Take it out."""
        ...

    def send_beat(self, room: str, beat: Json) -> int:
        """Send a beat to a room; returns how many sockets it went to."""
        ...

    def cut(self, sid: str) -> None:
        """End a socket because an admin wants it."""
        ...

    async def hang_up(self, sid: str) -> None:
        """End a socket that does not answer."""
        ...


class Watcher(Protocol):
    """What is needed of a tab."""

    @property
    def sid(self) -> str:
        """Its socket."""
        ...

    @property
    def person(self) -> Person:
        """Whose it is."""
        ...

    @property
    def info(self) -> ClientInfo:
        """Its browser."""
        ...


@dataclass(slots=True)
class _Line:
    """A tab that watches something."""

    entries: dict[ChannelKey, Entry] = field(default_factory=dict)
    stale: set[ChannelKey] = field(default_factory=set)
    late: set[ChannelKey] = field(default_factory=set)
    stale_since: float | None = None


class Heartbeats:
    """Beats, listens, and finds out who is silent. `start` and `stop` own the tasks.

    Args:
        read_config: what holds for each type.
        stats: whose entries are opened, told of beats, and closed.
        sender: the namespace.
        on_timeout: told of (sid, channel) when a tab was silent for its type's timeout.
        clock: tells the time.
    """

    def __init__(
        self,
        read_config: Callable[[], Awaitable[dict[ChannelType, HeartbeatConfig]]],
        stats: ConnectionStats,
        sender: Sender,
        on_timeout: Callable[[str, ChannelKey], None],
        clock: Clock,
    ) -> None:
        self.config: dict[ChannelType, HeartbeatConfig] = dict(DEFAULTS)
        self._read_config = read_config
        self._stats = stats
        self._sender = sender
        self._on_timeout = on_timeout
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        now = clock.monotonic()
        self._due = {kind: now + each.interval_ms / 1000 for kind, each in self.config.items()}
        self._heard_from = dict.fromkeys(ChannelType, now)
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to beat, with the configuration that the table has where it can be read."""
        self._tasks = [
            asyncio.create_task(self._keep_reading(), name="heartbeat-config"),
            asyncio.create_task(self._keep_beating(), name="heartbeat"),
            asyncio.create_task(self._keep_checking(), name="heartbeat-check"),
        ]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def began(self, tab: Watcher, key: ChannelKey) -> None:
        """A tab watches a channel; a beat comes at once, so that it is known from the start how long the way is."""
        line = self._lines.setdefault(tab.sid, _Line())
        if key in line.entries:
            return
        kind = key[1].type
        first = not any(each[1].type is kind for each in line.entries)
        line.entries[key] = self._stats.open(
            tab.sid,
            key,
            tab.info,
            tab.person,
            lambda sid=tab.sid: self._sender.cut(sid),  # type: ignore[misc]
        )
        if first:
            await self._sender.enter_room(tab.sid, beat_room(kind))
        self._send(tab.sid, kind)

    async def ended(self, tab: Watcher, key: ChannelKey) -> None:
        """A tab watches a channel no longer."""
        line = self._lines.get(tab.sid)
        entry = line.entries.pop(key, None) if line else None
        if line is None or entry is None:
            return
        entry.close()
        line.stale.discard(key)
        line.late.discard(key)
        if not any(each[1].type is key[1].type for each in line.entries):
            await self._sender.leave_room(tab.sid, beat_room(key[1].type))
        if not line.entries:
            del self._lines[tab.sid]

    def got(self, sid: str, key: ChannelKey, messages: int) -> None:
        """A tab was sent a page of a channel."""
        line = self._lines.get(sid)
        if line and key in line.entries:
            line.entries[key].count(messages)

    def answered(self, sid: str, kind: ChannelType, timestamp: int) -> None:
        """A tab answers a beat; a timestamp that nobody sent is a sign of life and says nothing of the way."""
        line = self._lines.get(sid)
        if line is None:
            return
        sent = self._sent.get(timestamp)
        latency_s = None if sent is None else self._clock.monotonic() - sent
        if latency_s is not None:
            metrics.BEAT_SECONDS.observe(latency_s)
        metrics.BEATS.labels("answered").inc()
        latency_ms = None if latency_s is None else round(latency_s * 1000)
        line.stale_since = None
        for key, entry in line.entries.items():
            if key[1].type is kind:
                entry.beat(latency_ms)
                line.stale.discard(key)
                line.late.discard(key)

    def liveness(self, channel: ChannelName, signed_at: float) -> Liveness:
        """How a connection stands that last gave a sign then (monotonic, s)."""
        since = max(signed_at, self._heard_from[channel.type])
        return self.config[channel.type].liveness(self._clock.monotonic() - since)

    @property
    def stale(self) -> int:
        """How many connections are silent for longer than their timeout."""
        return sum(1 for line in self._lines.values() if line.stale)

    def apply(self, config: dict[ChannelType, HeartbeatConfig]) -> None:
        """Go by another configuration, from now on: nobody is stale by a rule that they could not know."""
        now = self._clock.monotonic()
        for kind, each in config.items():
            if each != self.config[kind]:
                logger.info(
                    "The heartbeat of %s is %g s, its timeout %g s",
                    kind,
                    each.interval_ms / 1000,
                    each.timeout_ms / 1000,
                )
                self._heard_from[kind] = now
                self._due[kind] = now
        self.config = {**self.config, **config}

    async def _keep_reading(self) -> None:
        while True:
            try:
                self.apply(await self._read_config())
            except RealtimeError as error:
                logger.debug("The heartbeats go on as they are: %s", error)  # health logs why, once
            except Exception:
                logger.exception("The heartbeat configuration could not be read")
            await self._clock.sleep(CONFIG_S)

    async def _keep_beating(self) -> None:
        while True:
            now = self._clock.monotonic()
            for kind, due in self._due.items():
                if due <= now:
                    self._due[kind] = now + self.config[kind].interval_ms / 1000
                    try:
                        self._send(beat_room(kind), kind)
                    except Exception:
                        logger.exception("A beat could not be sent")
            # A changed configuration is seen within a second.
            await self._clock.sleep(min(CHECK_S, max(0.01, min(self._due.values()) - now)))

    def _send(self, room: str, kind: ChannelType) -> None:
        timestamp = round(time.time() * 1000)
        self._sent[timestamp] = self._clock.monotonic()
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        config = self.config[kind]
        beat = {
            "type": kind.value,
            "interval": config.interval_ms,
            "timeout": config.timeout_ms,
            "timestamp": timestamp,
        }
        metrics.BEATS.labels("sent").inc(self._sender.send_beat(room, beat))

    async def _keep_checking(self) -> None:
        last = self._clock.monotonic()
        while True:
            await self._clock.sleep(CHECK_S)
            now = self._clock.monotonic()
            if now - last > CHECK_S + STOOD_STILL_S:
                logger.warning("This worker stood still for %.0f s", now - last)
                self._heard_from = dict.fromkeys(ChannelType, now)
            last = now
            for sid, line in list(self._lines.items()):
                try:
                    await self._check(sid, line, now)
                except Exception:
                    logger.exception("A connection could not be looked at")

    async def _check(self, sid: str, line: _Line, now: float) -> None:
        for key, entry in list(line.entries.items()):
            state = self.liveness(key[1], entry.signed_at)
            if state is Liveness.ALIVE:
                line.late.discard(key)
                continue
            if key not in line.late:
                line.late.add(key)
                metrics.BEATS.labels("missed").inc()
                self._stats.traffic.missed(key)
            if state is Liveness.STALE and key not in line.stale:
                line.stale.add(key)
                logger.info("A connection on %s is silent beyond its timeout", key[1])
                self._on_timeout(sid, key)
        if len(line.stale) < len(line.entries):
            line.stale_since = None
        elif line.stale_since is None:
            line.stale_since = now
        elif now - line.stale_since >= HANG_UP_S:
            line.stale_since = None
            logger.info("A socket that stayed silent was hung up")
            await self._sender.hang_up(sid)


def beat_room(kind: ChannelType) -> str:
    """The room of the tabs, whoever's, that watch a channel of a type: a beat says nothing of any tenant."""
    return f"beat/{kind.value}"
