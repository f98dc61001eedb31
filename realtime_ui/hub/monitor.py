"""The monitor: a tenant's connections and how the workers are, live, for whoever looks.

While anybody looks, one query a second and view finds what changed, whichever worker it came through; what this
worker knows itself is fresher, and is there while the database is away.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from realtime_ui.access.policy import Action, may
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import DatabaseUnavailable, RealtimeError
from realtime_ui.core.heartbeat import Liveness
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person
from realtime_ui.hub.connection_stats import ConnectionStats, Entry
from realtime_ui.hub.heartbeat import Heartbeats
from realtime_ui.persistence.connection_stats import ConnectionStatsRepository, SeenConnection, WorkerSeen
from realtime_ui.persistence.health_samples import HealthSampleRepository

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
MINUTE_S = 60
LIMIT = 300
GONE_S = 60.0
"""For so long a connection that ended is still shown."""
HEALTH_RENEWED_S = 5.0
"""How often the workers' page is updated even where nothing changed, in s: older figures count as out of date."""
PATIENCE_S = 1.0
"""How long the database is waited for before the others are shown as they last were."""
HEALTH_ROOM = "monitor/health"
SHOWN = ("browser", "system", "device", "transport", "address", "name", "person")


@dataclass(frozen=True, slots=True)
class View:
    """Who sees the same connections: a tenant's admins, or one member, who sees their own."""

    tenant: uuid.UUID
    person: uuid.UUID | None
    operator: bool
    """Whether they operate the server, and so are shown what holds for all tenants."""

    @classmethod
    def of(cls, person: Person) -> "View":
        """The view that a person has."""
        all_of_them = may(person, Action.ADMINISTER, None, person.tenant)
        operator = may(person, Action.OPERATE, None, person.tenant)
        return cls(person.tenant, None if all_of_them else person.id, operator)

    @property
    def all(self) -> bool:
        """Whether it is all of the tenant's connections."""
        return self.person is None

    @property
    def room(self) -> str:
        """The view's room."""
        return f"{self.tenant}/monitor/{self.person or 'all'}"

    def has(self, entry: Entry) -> bool:
        """Whether an entry belongs to it."""
        return entry.key[0] == self.tenant and (self.person is None or entry.info.get("person") == str(self.person))


class Monitor:
    """Sends changes to those who look. `start` and `stop` own the task.

    Args:
        repository: what all workers wrote.
        samples: what the minutes were like.
        stats: what this worker knows.
        heartbeats: who is late or stale.
        send: sends (room, event, data); returns how many look.
        clock: tells the time.
    """

    def __init__(
        self,
        repository: ConnectionStatsRepository,
        samples: HealthSampleRepository,
        stats: ConnectionStats,
        heartbeats: Heartbeats,
        send: Callable[[str, str, Json], int],
        clock: Clock,
    ) -> None:
        self._repository = repository
        self._samples = samples
        self._stats = stats
        self._heartbeats = heartbeats
        self._send = send
        self._clock = clock
        self._state: Callable[[], dict[str, Json]] = dict
        self._shown: dict[View, dict[str, Json]] = {}
        self._health_shown: Json = None
        self._health_said_at = 0.0
        self._others: list[WorkerSeen] = []
        self._asking_others: asyncio.Task[None] | None = None
        self._config_shown: dict[View, Json] = {}
        self._minute = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self, state: Callable[[], dict[str, Json]]) -> None:
        """Begin to look for changes; `state` is what this worker says of itself."""
        self._state = state
        self._task = asyncio.create_task(self._run(), name="monitor")

    async def stop(self) -> None:
        """End."""
        tasks = [task for task in (self._task, self._asking_others) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def enter(self, view: View) -> dict[str, Json]:
        """Somebody begins to look at connections: all of it as it is now."""
        rows, total = await self._rows(view)
        self._shown.setdefault(view, {}).update(rows)
        return {**self._said(view, list(rows.values()), [], total), **await self._history(view)}

    async def enter_health(self) -> dict[str, Json]:
        """Somebody begins to look at the workers: as they are, and as the last hour was."""
        self._health_shown = self._health_shown or {}
        return {"workers": await self._workers(), "now": _now(), **await self._last_hour()}

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            minute = int(time.time() // MINUTE_S)
            turned, self._minute = minute != self._minute, minute
            for view in list(self._shown):
                try:
                    await self._tick(view, turned)
                except Exception:
                    logger.exception("The monitor of %s failed and goes on", view.tenant)
            if self._health_shown is not None:
                try:
                    await self._tick_health(turned)
                except Exception:
                    logger.exception("The monitor of the workers failed and goes on")

    async def _tick(self, view: View, turned: bool) -> None:
        shown = self._shown[view]
        rows, total = await self._rows(view)
        changed = [row for each, row in rows.items() if shown.get(each) != row]
        gone = [each for each in shown if each not in rows]
        said = self._said(view, changed, gone, total)
        if turned:
            said |= await self._history(view)
        set_anew = said.get("config") != self._config_shown.get(view)
        self._shown[view], self._config_shown[view] = rows, said.get("config")
        if self._send(view.room, "connections", said if changed or gone or turned or set_anew else None) == 0:
            self._shown.pop(view, None)  # nobody looks any more
            self._config_shown.pop(view, None)

    async def _tick_health(self, turned: bool) -> None:
        workers = await self._workers()
        said: dict[str, Json] = {"workers": workers, "now": _now()}
        if turned:
            said |= await self._last_hour()
        # When a worker was last heard of changes all the time, and is news only as long as nothing else is.
        shown = [{**worker, "seen": None} for worker in workers]
        due = self._clock.monotonic() - self._health_said_at >= HEALTH_RENEWED_S
        changed = turned or due or shown != self._health_shown
        self._health_shown = shown
        if changed:
            self._health_said_at = self._clock.monotonic()
        if self._send(HEALTH_ROOM, "workers", said if changed else None) == 0:
            self._health_shown = None

    def _said(self, view: View, rows: list[Json], gone: list[str], total: int) -> dict[str, Json]:
        said: dict[str, Json] = {"rows": rows, "gone": gone, "total": total, "limit": LIMIT, "now": _now()}
        if view.operator:
            said["config"] = {kind.value: asdict(each) for kind, each in self._heartbeats.config.items()}
        return said

    async def _rows(self, view: View) -> tuple[dict[str, Json], int]:
        """The connections of a view by their row's id, newest first, and how many are open."""
        own = [entry for entry in self._stats.entries if view.has(entry)]
        ended = [entry for entry in self._stats.unwritten_ends if view.has(entry)]
        try:
            self._require_database()
            seen, total = await self._repository.seen(view.tenant, person=view.person, gone_s=GONE_S, limit=LIMIT)
            total += sum(1 for entry in own if entry.written is None)
            total -= sum(1 for entry in ended if entry.written is not None)
        except RealtimeError as error:
            logger.debug("The monitor shows what this worker knows alone: %s", error)
            seen, total = [], len(own)
        # The newest of this worker's first, then what the others have, and what is gone last.
        rows = [self._own(entry) for entry in reversed(own[-LIMIT:])]
        rows += [self._own(entry) for entry in reversed(ended[-LIMIT:])]
        known = {row["id"] for row in rows}
        rows += [self._other(each) for each in seen if str(each.id) not in known]
        rows.sort(key=lambda row: row["closed"] is not None)
        return {row["id"]: row for row in rows[:LIMIT]}, total

    def _own(self, entry: Entry) -> dict[str, Json]:
        state = Liveness.GONE if entry.closed_at else self._heartbeats.liveness(entry.key[1], entry.signed_at)
        return {
            **{name: entry.info.get(name, "") for name in SHOWN},
            "id": str(entry.id),
            "connection": entry.connection,
            "channel": str(entry.key[1]),
            "since": entry.opened_at,
            "closed": entry.closed_at,
            "beat": entry.last_beat_at,
            "messages": entry.messages,
            "latencies": list(entry.latencies),
            "state": state.value,
        }

    def _other(self, seen: SeenConnection) -> dict[str, Json]:
        silent_s = (_now() - (seen.last_beat_at or seen.connected_at)) / 1000
        state = self._heartbeats.liveness(ChannelName.stored(seen.channel), self._clock.monotonic() - silent_s)
        return {
            **{name: seen.info.get(name, "") for name in SHOWN},
            "id": str(seen.id),
            "connection": seen.connection,
            "channel": seen.channel,
            "since": seen.connected_at,
            "closed": seen.closed_at,
            "beat": seen.last_beat_at,
            "messages": seen.messages,
            "latencies": list(seen.latencies_ms),
            "state": (Liveness.GONE if seen.closed_at is not None else state).value,
        }

    async def _history(self, view: View) -> dict[str, Json]:
        """The last hour by channel type, for those who see all of the tenant."""
        if view.person is not None:
            return {}
        try:
            self._require_database()
            return {"history": await self._samples.traffic_of_last_hour(view.tenant)}
        except RealtimeError:
            return {}

    async def _last_hour(self) -> dict[str, Json]:
        """The last hour, or nothing while it cannot be read: what a page has of it stays."""
        try:
            self._require_database()
            return {"history": list(await self._samples.last_hour())}
        except RealtimeError:
            return {}

    async def _workers(self) -> list[Json]:
        """Each worker as it last said it was, and when, in `seen`; this one as it is."""
        if self._asking_others is None or self._asking_others.done():
            self._asking_others = asyncio.create_task(self._ask_others(), name="monitor-workers")
        await asyncio.wait({self._asking_others}, timeout=PATIENCE_S)  # a frozen database must not hold up the rest
        own = {
            "id": self._stats.worker,
            "started": self._stats.started_at,
            "here": True,
            "seen": _now(),
            **self._state(),
        }
        return [own] + [
            {"id": each.id, "started": each.started_at, "here": False, "seen": each.seen_at, **each.state}
            for each in self._others
            if each.id != own["id"]
        ]

    async def _ask_others(self) -> None:
        try:
            self._others = await self._repository.workers()
        except RealtimeError as error:
            logger.debug("The other workers are shown as they last were: %s", error)

    def _require_database(self) -> None:
        """Refuse to ask a database that is known to be away, and may be frozen.

        Raises:
            DatabaseUnavailable: it is.
        """
        if not self._state().get("database_up", True):
            raise DatabaseUnavailable("The database is away.")


def _now() -> int:
    return round(time.time() * 1000)
