"""What only one worker does at a time: it holds a lease in the database, which others take when it ran out."""

import asyncio
import logging

from sqlalchemy import text

from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.persistence.database import Database

logger = logging.getLogger(__name__)

LEASE_S = 10.0
RENEW_S = 3.0

# One statement: who may take it is decided under the row's lock, by the database's own clock.
_TAKE = text("""
    INSERT INTO realtime_leases AS l (name, holder, expires_at)
    VALUES (:name, :holder, now() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE l.holder = excluded.holder OR l.expires_at < now()
""")
_GIVE_BACK = text("DELETE FROM realtime_leases WHERE name = :name AND holder = :holder")


class Lease:
    """A worker's try for one. `start` and `stop` own the task that takes, renews and gives it back.

    Args:
        database: where it stands.
        name: what it is for.
        holder: this worker.
        clock: tells the time.
    """

    def __init__(self, database: Database, name: str, holder: str, clock: Clock) -> None:
        self._database = database
        self._about = {"name": name, "holder": holder}
        self._clock = clock
        self._until = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether this worker has it. It counts from before each renewal, so that it never believes so too long."""
        return self._clock.monotonic() < self._until

    async def start(self) -> None:
        """Try for it, and go on."""
        await self._try()
        self._task = asyncio.create_task(self._run(), name=f"lease {self._about['name']}")

    async def stop(self) -> None:
        """End, and let the next one have it at once."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.held:
            self._until = 0.0
            try:
                async with self._database.single() as connection:
                    await connection.execute(_GIVE_BACK, self._about)
            except RealtimeError as error:
                logger.debug("The lease runs out by itself: %s", error)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(RENEW_S)
            await self._try()

    async def _try(self) -> None:
        asked = self._clock.monotonic()
        try:
            async with self._database.single() as connection:
                taken = (await connection.execute(_TAKE, {**self._about, "seconds": LEASE_S})).rowcount
            self._until = asked + LEASE_S if taken else 0.0
        except RealtimeError as error:
            logger.debug("The lease waits: %s", error)  # and ends, when it is not renewed in time
        except Exception:
            logger.exception("The lease failed and is tried again")
