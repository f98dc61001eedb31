"""Who is connected to which channel, kept true in the table: one flush a worker every few seconds, however many.

Whoever serves a connection (a tab's socket, a stream) opens an entry for each channel that it watches, says when
it beats, and closes it. How many messages it had is the difference of the channel's own counter, so an event
costs nothing here. While the database is away entries stay in memory and are written when it is back.
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from realtime_ui.core import metrics
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person, Principal
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.samples import Traffic
from realtime_ui.persistence.connection_stats import ConnectionStatsRepository, StatRow
from realtime_ui.persistence.event_log import ChannelKey
from realtime_ui.persistence.health_samples import HealthSampleRepository

logger = logging.getLogger(__name__)

FLUSH_S = 3.0
PRUNE_S = 600.0
STOP_S = 2.0
DAY_S = 86_400
MAX_ROWS = 5_000
"""A flush writes so many rows; the others wait for the next one."""
MAX_ENDED = 20_000
"""So many ended entries wait for a database that is away; then the oldest are forgotten."""
RECENT = 24
"""So many latencies are kept of each, for its sparkline."""
_IDS = uuid.UUID("5b8f7a52-5a0e-4a86-9d6a-3a3f0f4f3d10")


@dataclass(slots=True, eq=False)
class Entry:
    """One connection's time on one channel. Times are in ms since the Unix epoch, `signed_at` is monotonic (s)."""

    id: uuid.UUID
    key: ChannelKey
    connection: str
    info: dict[str, str]
    opened_at: int
    signed_at: float
    cut: Callable[[], object]
    _stats: "ConnectionStats"
    _base: int
    last_beat_at: int | None = None
    closed_at: int | None = None
    latencies: "deque[int]" = field(default_factory=lambda: deque(maxlen=RECENT))
    written: StatRow | None = None
    sampled: int = 0  # how many messages the last sample knew
    _final: int = 0

    @property
    def messages(self) -> int:
        """How many it was sent."""
        return self._final if self.closed_at is not None else self._stats.delivered(self.key) - self._base

    def count(self, messages: int) -> None:
        """It was sent some that did not come with the channel's frames."""
        self._base -= messages

    def beat(self, latency_ms: int | None = None) -> None:
        """It gave a sign of life, after so many ms where that was measured."""
        self.signed_at = self._stats.clock.monotonic()
        self.last_beat_at = _now()
        if latency_ms is not None:
            self.latencies.append(latency_ms)
            self._stats.traffic.answered(self.key, latency_ms)

    def close(self) -> None:
        """It ended, or watches the channel no longer; to be called before the channel is let go."""
        self._stats.close(self)

    def end(self, at: int) -> None:
        """Fix what it counted."""
        self._final = self.messages
        self.closed_at = at

    def row(self) -> StatRow:
        """What is to be written of it."""
        return StatRow(
            self.id,
            self.key[0],
            str(self.key[1]),
            self.connection,
            self.info,
            self.opened_at,
            self.closed_at,
            self.last_beat_at,
            self.messages,
            tuple(self.latencies),
        )


class ConnectionStats:
    """Keeps the entries and writes them. `start` and `stop` own the tasks.

    Args:
        repository: where rows go.
        samples: pruned with them.
        delivered: how many messages a channel has handed on, as long as somebody watches it.
        worker: this worker's id.
        provider: the provider's name.
        kept_days: how long rows of ended connections are kept.
        clock: tells the time.
    """

    def __init__(
        self,
        repository: ConnectionStatsRepository,
        samples: HealthSampleRepository,
        delivered: Callable[[ChannelKey], int],
        *,
        worker: str,
        provider: str,
        kept_days: float,
        clock: Clock,
    ) -> None:
        self.delivered = delivered
        self.clock = clock
        self.worker = worker
        self.started_at = _now()
        self.traffic = Traffic()
        self._repository = repository
        self._samples = samples
        self._provider = provider
        self._kept_s = kept_days * DAY_S
        self._open: dict[uuid.UUID, Entry] = {}
        self._ended: dict[uuid.UUID, Entry] = {}
        self._state: Callable[[], dict[str, Json]] = dict
        self._known = False
        self._flushed = self._tried = 0
        """The numbers of the last flush that was answered, and of the last one."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, state: Callable[[], dict[str, Json]]) -> None:
        """Begin to write, and to prune; `state` is what the worker says of itself beside its lease."""
        self._state = state
        self._tasks = [
            asyncio.create_task(self._keep_flushing(), name="stats-flush"),
            asyncio.create_task(self._keep_pruning(), name="stats-prune"),
        ]

    async def stop(self) -> None:
        """End every entry, write the rest, and give the lease back; a database that is away is not waited for."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for entry in list(self._open.values()):
            entry.close()
        last = asyncio.create_task(self._say_goodbye(), name="stats-goodbye")
        done, _ = await asyncio.wait({last}, timeout=STOP_S)
        if not done:
            last.cancel()
            await asyncio.wait({last}, timeout=STOP_S)

    def open(
        self,
        connection_id: str,
        key: ChannelKey,
        info: ClientInfo,
        principal: Principal,
        cut: Callable[[], object],
    ) -> Entry:
        """Somebody begins to watch a channel; after the hub was attached.

        A connection that comes back to a channel under the same id goes on in the same row.

        Args:
            connection_id: a tab's sid; a stream's id, the same when it is resumed.
            key: the channel.
            info: the other end.
            principal: whose connection it is.
            cut: ends the connection, when an admin wants that.
        """
        identity = uuid.uuid5(_IDS, f"{key[0]}/{connection_id}/{key[1]}")
        entry = Entry(
            identity,
            key,
            connection_id,
            self._described(connection_id, info, principal),
            _now(),
            self.clock.monotonic(),
            cut,
            self,
            self.delivered(key),
        )
        before = self._open.pop(identity, None) or self._ended.pop(identity, None)
        if before is not None:
            entry.opened_at, entry.last_beat_at = before.opened_at, before.last_beat_at
            entry.latencies, entry.sampled = before.latencies, before.sampled
            entry.count(before.messages)
        self._open[identity] = entry
        return entry

    def close(self, entry: Entry) -> None:
        """See `Entry.close`. What another has taken over is left alone."""
        if self._open.get(entry.id) is not entry:
            return
        del self._open[entry.id]
        entry.end(_now())
        self.traffic.read(entry)
        self._ended[entry.id] = entry
        if len(self._ended) > MAX_ENDED:
            metrics.QUEUE_BOUNDS_HIT.inc()
            logger.warning("Too many ended connections wait for the database; the oldest is forgotten")
            del self._ended[next(iter(self._ended))]

    @property
    def entries(self) -> Iterable[Entry]:
        """Those that are open."""
        return self._open.values()

    @property
    def unwritten_ends(self) -> Iterable[Entry]:
        """Those that ended, which the table does not know yet."""
        return self._ended.values()

    def cut(self, tenant: uuid.UUID, connection_id: str) -> bool:
        """End a tenant's connection; False where it is not this worker's."""
        entries = [each for each in self._open.values() if each.connection == connection_id and each.key[0] == tenant]
        for entry in entries[:1]:
            entry.cut()
        return bool(entries)

    def connections(self, transport: str) -> int:
        """How many connections of a kind are open."""
        return len({each.connection for each in self._open.values() if each.info["transport"] == transport})

    async def flush(self) -> None:
        """Write what changed, in one statement.

        Raises:
            DatabaseUnavailable: it is written the next time.
        """
        entries = [*self._ended.values(), *self._open.values()]
        changed = [(entry, row) for entry in entries if (row := entry.row()) != entry.written][:MAX_ROWS]
        tried_before, self._tried = self._tried, self._tried + 1
        state = {**self._state(), "flush": self._tried}
        kept = await self._repository.keep(self.worker, self.started_at, state, [row for _, row in changed])
        remembered = kept.before is not None and self._flushed <= kept.before <= tried_before
        self._flushed = self._tried
        for entry, row in changed:
            entry.written = row
            if row.closed_at is not None and self._ended.get(entry.id) is entry:
                del self._ended[entry.id]
        if self._known and not (kept.lease and remembered):
            # It was silent for so long that another one closed its rows; or the database went back, as a failover
            # makes it, and lacks rows of what was opened or has open ones of what was closed.
            logger.warning("The database lacks rows that this worker wrote of its connections; they are written again")
            await self._repository.close_all(self.worker)
            for entry in self._open.values():
                entry.written = None
        self._known = True
        closing = set(kept.closing)
        for entry in list(self._open.values()):
            if entry.connection in closing:
                closing.discard(entry.connection)
                entry.cut()

    async def _keep_flushing(self) -> None:
        while True:
            try:
                await self.flush()
            except RealtimeError as error:
                logger.debug("Connections are written later: %s", error)  # health logs why, once
            except Exception:
                logger.exception("Connections could not be written; it is tried again")
            await self.clock.sleep(FLUSH_S)

    async def _keep_pruning(self) -> None:
        while True:
            try:
                if pruned := await self._repository.prune(self._kept_s):
                    logger.info("%s rows of ended connections were old enough to go", pruned)
                await self._samples.prune()
            except RealtimeError as error:
                logger.debug("Rows of ended connections are pruned later: %s", error)  # health logs why, once
            except Exception:
                logger.exception("Rows of ended connections could not be pruned")
            await self.clock.sleep(PRUNE_S)

    async def _say_goodbye(self) -> None:
        with suppress(RealtimeError):
            while self._ended:
                await self.flush()
            await self._repository.leave(self.worker)

    def _described(self, connection_id: str, info: ClientInfo, principal: Principal) -> dict[str, str]:
        whose = {"person": str(principal.id)} if isinstance(principal, Person) else {"key": str(principal.id)}
        return {
            **asdict(info),
            "provider": self._provider,
            "tab": connection_id,
            "worker": self.worker,
            "name": principal.name,
            **whose,
        }


def _now() -> int:
    return round(time.time() * 1000)
