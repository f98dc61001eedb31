"""Learns within seconds that somebody's access was revoked or changed, whichever process did it.

One query a second and worker, whatever the number of tabs: cached principals that changed are forgotten, and the
open sockets and streams of exactly those are checked again.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence

from realtime_ui.access.gate import Gate
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.persistence.access_changes import AccessChangeRepository

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
WINDOW_S = 30.0
"""How far back each query reads: a transaction may commit later than the time that its changes carry."""
PRUNE_S = 600.0

Recheck = Callable[[Collection[uuid.UUID] | None], Awaitable[None]]
"""Checks the open connections of these people, sessions and keys again; of all where it is None."""


class Revocations:
    """Polls for changes. `start` and `stop` own the task.

    Args:
        changes: where they are recorded.
        gate: caches principals.
        rechecks: called with what changed, after the gate has forgotten it.
        clock: tells the time.
    """

    def __init__(self, changes: AccessChangeRepository, gate: Gate, rechecks: Sequence[Recheck], clock: Clock) -> None:
        self._changes = changes
        self._gate = gate
        self._rechecks = rechecks
        self._clock = clock
        self._seen: set[int] = set()
        self._pruned_at = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to poll."""
        self._task = asyncio.create_task(self._run(), name="revocations")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        read_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(INTERVAL_S)
            asked_at = self._clock.monotonic()
            try:
                recent = await self._changes.recent(WINDOW_S)
                fresh = {subject for number, subject in recent.items() if number not in self._seen}
                if asked_at - read_at > WINDOW_S / 2:  # the database was away: changes may have passed unseen
                    await self._apply(None)
                elif fresh:
                    await self._apply(fresh)
                self._seen = set(recent)  # not before: checks that failed are repeated at the next poll
                read_at = asked_at
                if asked_at - self._pruned_at > PRUNE_S:
                    self._pruned_at = asked_at
                    await self._changes.prune()
            except RealtimeError as error:
                logger.debug("Polling for changed access failed; it is retried: %s", error)
            except Exception:
                logger.exception("Polling for changed access failed; it is retried")

    async def _apply(self, subjects: Collection[uuid.UUID] | None) -> None:
        self._gate.forget(subjects)
        for recheck in self._rechecks:
            await recheck(subjects)
