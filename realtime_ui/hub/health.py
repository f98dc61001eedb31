"""Looks after the parts that the house stands on: the database, the provider, and how far the hub is behind.

What is away is told to every open tab the moment it changes; nothing is closed because of it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from realtime_ui.core import metrics
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.providers.base import RealtimeProvider, Unsubscribe

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
PATIENCE_S = 2.0
STOP_S = 1.0
LATE_S = 5.0
"""After so many seconds behind the log, the hub's tabs are told that messages come late."""
DELIVERY = "delivery"
SAME_TROUBLE_MS = 600_000
NO_ANSWER = "The database does not answer."
NOT_UNDERSTOOD = "The database gave an error that is in the log."


class Tabs(Protocol):
    """What health needs of the `/feed` namespace."""

    @property
    def sockets(self) -> int:
        """How many are open."""
        ...

    @property
    def subscriptions(self) -> int:
        """How many channels they watch, counted for each socket."""
        ...

    def tell_health(self, degraded: tuple[str, ...]) -> None:
        """Tell them what is away."""
        ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was wrong with the provider, in a sentence, and when that began, in ms since the Unix epoch."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a worker stands at a moment. `database_for_s` is how long the database has been so, in s.

    `database_error` is why it cannot be used, and what to do, "" while it can.
    `provider_error` is what is wrong with the provider now, "" for nothing; `provider_trouble` what last was.
    """

    database_up: bool
    database_for_s: float
    database_error: str
    provider: str
    provider_status: ConnectionStatus
    provider_error: str
    provider_trouble: Trouble | None
    hub_lag_s: float
    sockets: int
    subscriptions: int
    degraded: tuple[str, ...]


class Health:
    """Watches. `start` and `stop` own the watch and its question to the database.

    Args:
        check: asks the database; raises when it is not ready, and may hang while it is frozen.
        provider: the wire.
        hub: knows how far behind it is.
        feed: knows its sockets, and tells them.
        clock: tells the time.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[None]],
        provider: RealtimeProvider,
        hub: RealtimeHub,
        feed: Tabs,
        clock: Clock,
    ) -> None:
        self._check = check
        self._provider = provider
        self._hub = hub
        self._feed = feed
        self._clock = clock
        self._database_error = ""
        self._since = self._asked_at = clock.monotonic()
        self._told: tuple[str, ...] = ()
        self._logged: tuple[tuple[str, ...], str] = ((), "")
        self._trouble: Trouble | None = None
        self._stop_listening: Unsubscribe = lambda: None
        self._asking: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find out how things stand, which takes at most 2 s, and begin to watch."""
        if self._provider.error is not None:
            self._note_trouble(self._provider.error)
        self._stop_listening = self._provider.on_error(self._note_trouble)
        self._ask()
        assert self._asking is not None
        await asyncio.wait({self._asking}, timeout=PATIENCE_S)
        if not self._asking.done():
            self._note(NO_ANSWER)
        self._tell()
        self._watch = asyncio.create_task(self._run(), name="health")

    async def stop(self) -> None:
        """End; a frozen database is not waited for longer than a second."""
        self._stop_listening()
        tasks = {task for task in (self._watch, self._asking) if task}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    def snapshot(self) -> Snapshot:
        """How this worker stands now."""
        return Snapshot(
            database_up=not self._database_error,
            database_for_s=self._clock.monotonic() - self._since,
            database_error=self._database_error,
            provider=self._provider.name,
            provider_status=self._provider.status,
            provider_error=_sentences(self._provider.error),
            provider_trouble=self._trouble,
            hub_lag_s=self._hub.lag_s,
            sockets=self._feed.sockets,
            subscriptions=self._feed.subscriptions,
            degraded=self._degraded(),
        )

    def _degraded(self) -> tuple[str, ...]:
        parts = {"database": not self._database_error, "provider": self._provider.is_connected}
        return tuple(name for name, up in parts.items() if not up)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                self._look()
            except Exception:
                logger.exception("Looking after the house failed and is repeated")

    def _look(self) -> None:
        if self._asking is None or self._asking.done():
            self._ask()
        elif self._clock.monotonic() - self._asked_at >= PATIENCE_S:
            self._note(NO_ANSWER)
        self._tell()

    def _ask(self) -> None:
        """Ask the database, in a task of its own: one that is frozen must not hold up the watch."""
        self._asked_at = self._clock.monotonic()
        self._asking = asyncio.create_task(self._answer(), name="health-ping")

    async def _answer(self) -> None:
        try:
            await self._check()
        except RealtimeError as error:
            self._note(_sentences(error))
        except Exception:
            if self._database_error != NOT_UNDERSTOOD:
                logger.exception("The database check failed unexpectedly")
            self._note(NOT_UNDERSTOOD)
        else:
            self._note("")
        self._tell()

    def _note(self, database_error: str) -> None:
        if bool(database_error) is not bool(self._database_error):
            self._since = self._clock.monotonic()
        self._database_error = database_error

    def _note_trouble(self, error: RealtimeError) -> None:
        """Log what the provider says is wrong: once, while it goes on saying the same."""
        now, text = round(time.time() * 1000), _sentences(error)
        again = self._trouble is not None and self._trouble.text == text and now - self._trouble.at < SAME_TROUBLE_MS
        if again:
            return
        self._trouble = Trouble(text, now)
        metrics.PROVIDER_ERRORS.inc()
        log = logger.warning if error.retryable else logger.error
        log("The provider %s: %s", self._provider.name, text, extra={"provider": self._provider.name})

    def _tell(self) -> None:
        """Tell the tabs and the log, where something changed."""
        degraded = self._degraded()
        if (degraded, self._database_error) != self._logged:
            self._logged = (degraded, self._database_error)
            if degraded:
                words = f"Degraded: away is the {' and the '.join(degraded)}. {self._database_error}".rstrip()
                logger.warning("%s", words, extra={"degraded": degraded})
            else:
                logger.info("All parts are back", extra={"degraded": ()})
        told = degraded or ((DELIVERY,) if self._hub.lag_s > LATE_S else ())
        if told != self._told:
            if DELIVERY in told:
                logger.warning("The hub is %.0f s behind; new messages come late to open tabs", self._hub.lag_s)
            self._told = told
            self._feed.tell_health(told)


def _sentences(error: RealtimeError | None) -> str:
    return "" if error is None else " ".join(filter(None, (error.detail, error.remedy)))
