"""The one PostgreSQL: its engine, and how its errors become ours."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from realtime_ui.core.errors import DatabaseUnavailable

CONNECT_TIMEOUT_S = 5
TCP_TIMEOUT_MS = 15_000
HANG_UP_AFTER_S = 2.0
"""How much longer than a statement may take its answer is waited for: a frozen server keeps no timeouts."""


class Database:
    """An engine of one worker. Made without touching the network; `close` ends its connections.

    Args:
        url: `postgresql+psycopg://…`.
        pool: how many connections it may hold.
        lock_timeout_s: how long a statement waits for a lock, in s; None for as long as it may take.
        statement_timeout_s: how long a statement may take, in s.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: int,
        lock_timeout_s: float | None = None,
        statement_timeout_s: float = 10,
    ) -> None:
        self._patience_s = statement_timeout_s + HANG_UP_AFTER_S
        bounds = {"lock_timeout": lock_timeout_s, "statement_timeout": statement_timeout_s}
        options = " ".join(f"-c {name}={round(value * 1000)}" for name, value in bounds.items() if value is not None)
        self._engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_S,
            pool_recycle=1800,
            hide_parameters=True,  # payloads and hashes stay out of errors, and so out of logs
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "tcp_user_timeout": TCP_TIMEOUT_MS,
                "application_name": "realtime-ui",
                "options": options,
            },
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """End every connection."""
        await self._engine.dispose()

    async def ping(self) -> None:
        """Ask for an answer.

        Raises:
            DatabaseUnavailable: none came.
        """
        async with self.single() as connection:
            await connection.exec_driver_sql("SELECT 1")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection inside a transaction that commits when the block ends well.

        Raises:
            DatabaseUnavailable: the database cannot be reached or dropped the connection.
        """
        with unavailable_translated():
            async with self._engine.begin() as connection:
                with self._bounded(connection):
                    yield connection

    @asynccontextmanager
    async def single(self) -> AsyncIterator[AsyncConnection]:
        """A connection where each statement is its own transaction: one round trip less.

        Raises:
            DatabaseUnavailable: the database cannot be reached or dropped the connection.
        """
        with unavailable_translated():
            async with self._autocommit.connect() as connection:
                with self._bounded(connection):
                    yield connection

    @contextmanager
    def _bounded(self, connection: AsyncConnection) -> Iterator[None]:
        """Hang up on a server that does not answer, so that whoever waits gets an error in place of nothing.

        Cancelling would not do: psycopg then waits for the server to confirm it.
        """
        timer = asyncio.get_running_loop().call_later(self._patience_s, _hang_up, connection)
        try:
            yield
        finally:
            timer.cancel()


def _hang_up(connection: AsyncConnection) -> None:
    with suppress(Exception):  # whatever ended it meanwhile
        driver = connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(driver.fileno())) as line:  # type: ignore[union-attr]
            line.shutdown(socket.SHUT_RDWR)


@contextmanager
def unavailable_translated() -> Iterator[None]:
    """Turns errors about an unreachable database, SQLAlchemy's and the pool's, into ours; the cause is kept."""
    try:
        yield
    except Exception as error:
        if not is_away(error):
            raise
        raise DatabaseUnavailable(
            "The database cannot be reached.", remedy="Try again in a moment; the same id is stored once."
        ) from error


def is_away(error: Exception) -> bool:
    """Whether `error` says that the connection, not the statement, failed."""
    if isinstance(error, (PoolTimeout, InterfaceError, TimeoutError, OSError)):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # 08: connection; 57: shutdown, crash, or a statement that took too long; 53: out of disk, memory or connections
    if isinstance(error, OperationalError):
        state = sql_state(error)
        return state is None or state.startswith(("08", "57", "53"))
    return False


def sql_state(error: DBAPIError) -> str | None:
    """The five letters of PostgreSQL's error code, where there is one."""
    return getattr(error.orig, "sqlstate", None)


def is_refusal(error: DBAPIError | UnicodeError) -> bool:
    """Whether psycopg or PostgreSQL refused the data itself (class 22), or found it too complex (54)."""
    if isinstance(error, UnicodeError):  # half of a surrogate pair, which psycopg cannot send
        return True
    return isinstance(error.orig, psycopg.DataError) or (sql_state(error) or "").startswith("54")
