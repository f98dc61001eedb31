"""Brings watched channels in step with the log: reads what they lack, and finds out where the log went back.

A standby that is promoted may lack the newest rows, and other events then take their numbers. What a hub has handed
on came from the log, or signed over the wire; so where the log contradicts it, a new epoch begins in the database, for
all workers, and every reader begins anew.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Head
from realtime_ui.core.position import Follow, Position, follow
from realtime_ui.hub.subscribe import LogReader
from realtime_ui.hub.watched import Frame, Watched
from realtime_ui.persistence.event_log import ChannelKey, Look

logger = logging.getLogger(__name__)

PAGE = 500
PAGE_BYTES = 256_000
SAME_FAILOVER_S = 60.0
"""Channels that diverge within it, in s, are of one failover."""


class Log(LogReader, Protocol):
    """What the hub needs of the log."""

    async def begin_epoch(self, tenant: uuid.UUID, channel: ChannelName, position: Position) -> bool:
        """Begin a new epoch, where the log contradicts a position; see `EventLog.begin_epoch`."""
        ...

    @property
    def connections_lost(self) -> int:
        """How many connections to it broke so far."""
        ...

    async def differing(self, asked: Mapping[ChannelKey, tuple[int, Sequence[str]]]) -> Mapping[ChannelKey, int]:
        """The first seq of each channel where it has another row than the tags say."""
        ...


class CatchUp:
    """Compares and reads, in one task for each channel at a time. The hub owns the tasks, in `Watched.reading`.

    Args:
        log: the truth.
        clock: tells the time.
        flush: hands on what gathered on a channel.
        hand_on: hands a frame to a channel's sinks.
        is_watched: whether a channel still is, after something was waited for.
        wait_s: how long a hole waits for a straggler, in s.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        flush: Callable[[Watched], None],
        hand_on: Callable[[Watched, Frame], None],
        is_watched: Callable[[Watched], bool],
        *,
        wait_s: float,
    ) -> None:
        self._log = log
        self._clock = clock
        self._flush = flush
        self._hand_on = hand_on
        self._is_watched = is_watched
        self._wait_s = wait_s
        self._diverged_at = -SAME_FAILOVER_S
        self._connections_lost = 0

    def request(self, watched: Watched) -> None:
        """Have a channel compared with the log and read from it, unless that is under way."""
        if watched.behind_since is None:
            watched.behind_since = self._clock.monotonic()
        if watched.reading is None or watched.reading.done():
            watched.reading = asyncio.create_task(self._run(watched), name=f"hub-read {watched.key[1]}")

    async def compare(self, watched: Mapping[ChannelKey, Watched]) -> None:
        """Compare channels with the log in one query, and read from it where they are not the same."""
        # As of before the query: what is handed on while it runs may be newer than its answer.
        positions = {key: each.position for key, each in watched.items()}
        looks = await self._log.look({key: position.seq for key, position in positions.items()})
        for key, position in positions.items():
            each, look = watched[key], looks.get(key, Look.EMPTY)
            resumes = follow(position, look.head, look.tag) in (Follow.RESUME, Follow.GAP)
            if self._is_watched(each) and (not resumes or look.head.last > each.last):
                metrics.SWEEP_REPAIRS.inc()
                if resumes:
                    each.seen = max(each.seen, look.head.last)
                self.request(each)
            elif self._is_watched(each) and each.behind_since is not None:  # a read failed, or is under way
                self.request(each)

    async def compare_after_breaks(self, watched: Mapping[ChannelKey, Watched]) -> None:
        """After connections broke, compare all rows whose tags are remembered, not only the last one of each channel.

        Another server may have answered since, on which other rows stand below the last one: where the wire lost the
        messages that contradict what was handed on, and brought the one that seems to follow on it.
        """
        lost = self._log.connections_lost
        if lost == self._connections_lost:
            return
        known = {key: (each.epoch, each.known) for key, each in watched.items()}
        found = await self._log.differing({key: rows for key, (_, rows) in known.items() if rows[1]})
        self._connections_lost = lost
        for key, seq in found.items():
            each, (epoch, (first, tags)) = watched[key], known[key]
            if self._is_watched(each) and each.epoch == epoch:
                each.doubt(seq, tags[seq - first])
                self.request(each)

    async def _run(self, watched: Watched) -> None:
        await self._clock.sleep(self._wait_s)
        try:
            position, seen = watched.position, watched.seen
            look, how = await self._follow(watched.key, position)
            if how is Follow.DIVERGED:
                self._note_diverged(watched.key)
                await self._log.begin_epoch(*watched.key, position)
                look, how = await self._follow(watched.key, position)
            if how is Follow.RESET:
                watched.restart_at((await self._log.look({watched.key: None})).get(watched.key, Look.EMPTY))
                self._hand_on(watched, Frame(*watched.key, watched.epoch, ()))  # every reader starts over
            elif how is not Follow.DIVERGED:
                if watched.doubted == position:  # and not another, since
                    watched.doubted = None
                await self._read(watched, look.head, seen)
        except RealtimeError as error:
            logger.debug("Reading %s from the log failed, the sweep tries again: %s", watched.key[1], error)

    async def _follow(self, key: ChannelKey, position: Position) -> tuple[Look, Follow]:
        look = (await self._log.look({key: position.seq})).get(key, Look.EMPTY)
        return look, follow(position, look.head, look.tag)

    def _note_diverged(self, key: ChannelKey) -> None:
        """Count it, and log it once for all channels of a failover."""
        metrics.LOG_DIVERGED.inc()
        now = self._clock.monotonic()
        if now - self._diverged_at > SAME_FAILOVER_S:
            logger.warning("The log of %s, or of more channels, went back: it begins a new epoch", key[1])
        self._diverged_at = now

    async def _read(self, watched: Watched, head: Head, seen: int) -> None:
        """Read what follows on what a channel has.

        Args:
            watched: the channel.
            head: where the log ends.
            seen: the highest seq that was known to exist before the log was asked.
        """
        if watched.epoch == "":  # it had no event when we attached
            watched.epoch = head.epoch
        watched.pass_over(head.first - 1)  # tabs show what is no longer kept as a gap
        watched.forget_lost(head.last, seen)
        if watched.last < head.last:
            metrics.HUB_GAPS_FILLED.inc()
        while watched.last < max(head.last, watched.seen):
            before = watched.last
            page = await self._log.read(*watched.key, after=before, limit=PAGE, max_bytes=PAGE_BYTES)
            watched.accept_from_log(page)
            self._flush(watched)
            if watched.last == before:
                return
        if watched.doubted is None:
            watched.behind_since = None
