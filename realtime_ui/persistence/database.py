"""The one PostgreSQL: its engine, and how its errors become ours."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from realtime_ui.core.errors import DatabaseUnavailable, InvalidRequest, NotMigrated

CONNECT_TIMEOUT_S = 5
TCP_TIMEOUT_MS = 15_000
HANG_UP_AFTER_S = 2.0
"""How much longer than a statement may take its answer is waited for: a frozen server keeps no timeouts."""

READ_ONLY = "25006"
UNDEFINED = {"42P01", "42703", "42883"}  # table, column, function
# What libpq says of a server that target_session_attrs=read-write does not accept; it gives no SQLSTATE.
_NOT_WRITABLE = ("session is read-only", "server is in hot standby mode")
# Fails on a server that takes no writes (FOR UPDATE counts as one) and on one without our tables, and locks nothing.
_PROBE = "SELECT NOT EXISTS (SELECT FROM realtime_channel_heads WHERE false FOR UPDATE)"
_REVISION = "SELECT version_num FROM alembic_version"


class Database:
    """An engine of one worker. Made without touching the network; `close` ends its connections.

    It connects only to a server that accepts writes: a primary that was demoted, or a standby behind the same name,
    counts as unavailable, and connections to a server that became read-only are closed. The database is then asked
    for anew, by all its addresses, until one accepts writes.

    Args:
        url: `postgresql+psycopg://…`; with several hosts as `…/name?host=A:5432&host=B:5432`. A
            `target_session_attrs` in it stands in place of our `read-write`.
        pool: how many connections it may hold.
        lock_timeout_s: how long a statement waits for a lock, in s; None for as long as it may take.
        statement_timeout_s: how long a statement may take, in s.
        channels_per_tenant: how many channels a tenant may have (revision 0212); None for any number.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: int,
        lock_timeout_s: float | None = None,
        statement_timeout_s: float = 10,
        channels_per_tenant: int | None = None,
    ) -> None:
        self.channels_per_tenant = channels_per_tenant
        self._patience_s = statement_timeout_s + HANG_UP_AFTER_S
        bounds = {"lock_timeout": lock_timeout_s, "statement_timeout": statement_timeout_s}
        options = " ".join(f"-c {name}={round(value * 1000)}" for name, value in bounds.items() if value is not None)
        if channels_per_tenant is not None:
            options += f" -c realtime.channels_per_tenant={channels_per_tenant}"
        address = make_url(url)
        self._engine: AsyncEngine = create_async_engine(
            address,
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
                **writable_session(address),
            },
        )
        self.connections_lost = 0
        """How many connections broke so far. Where the number has changed, another server may answer by now."""
        event.listen(self._engine.sync_engine, "handle_error", self._on_error)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """End every connection."""
        await self._engine.dispose()

    async def ping(self) -> None:
        """Ask whether statements, writing ones too, find the server and its tables.

        Raises:
            DatabaseUnavailable: it does not answer, or does not accept writes.
            NotMigrated: our tables are not there.
        """
        async with self.single() as connection:
            await connection.exec_driver_sql(_PROBE)

    async def revision(self) -> str | None:
        """The revision that the database was migrated to; None where none is recorded.

        Raises:
            DatabaseUnavailable: it does not answer.
            NotMigrated: nothing was ever migrated here.
        """
        async with self.single() as connection:
            return (await connection.exec_driver_sql(_REVISION)).scalar()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection inside a transaction that commits when the block ends well.

        Raises:
            DatabaseUnavailable: the database cannot be reached or dropped the connection.
            InvalidRequest: it does not take a value.
        """
        with errors_translated():
            async with self._engine.begin() as connection:
                with self._bounded(connection):
                    yield connection

    @asynccontextmanager
    async def single(self) -> AsyncIterator[AsyncConnection]:
        """A connection where each statement is its own transaction: one round trip less.

        Raises:
            DatabaseUnavailable: the database cannot be reached or dropped the connection.
            InvalidRequest: it does not take a value.
        """
        with errors_translated():
            async with self._autocommit.connect() as connection:
                with self._bounded(connection):
                    yield connection

    def _on_error(self, context: ExceptionContext) -> None:
        """Count broken connections, and have the engine drop all of them when a server turns out to be read-only."""
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True
        self.connections_lost += bool(context.is_disconnect)

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


def writable_session(address: URL) -> dict[str, str]:
    """The argument by which libpq connects to a server that accepts writes, unless the address says otherwise."""
    return {"target_session_attrs": str(address.query.get("target_session_attrs", "read-write"))}


def _hang_up(connection: AsyncConnection) -> None:
    with suppress(Exception):  # whatever ended it meanwhile
        driver = connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(driver.fileno())) as line:  # type: ignore[union-attr]
            line.shutdown(socket.SHUT_RDWR)


@contextmanager
def errors_translated() -> Iterator[None]:
    """Turns errors about an unusable database, or about data that it does not take, into ours; the cause is kept."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise DatabaseUnavailable(
                "The database does not accept writes for now."
                if _is_read_only(error)
                else "The database cannot be reached.",
                remedy="Try again in a moment; the same id is stored once.",
            ) from error
        if isinstance(error, DBAPIError) and sql_state(error) in UNDEFINED:
            raise NotMigrated() from error
        if isinstance(error, UnicodeError) or (
            isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.DataError)
        ):
            raise InvalidRequest(
                "A value holds what the database does not take, such as NUL or half of a surrogate pair.",
                remedy="Remove it, and send the rest again.",
            ) from error
        raise


def is_away(error: Exception) -> bool:
    """Whether `error` says that the server or the connection, not the statement, failed."""
    if isinstance(error, (PoolTimeout, InterfaceError, TimeoutError, OSError)):
        return True
    if isinstance(error, DBAPIError) and (error.connection_invalidated or sql_state(error) == READ_ONLY):
        return True
    # 08: connection; 57: shutdown, crash, or a statement that took too long; 53: out of disk, memory or connections
    if isinstance(error, OperationalError):
        state = sql_state(error)
        return state is None or state.startswith(("08", "57", "53"))
    return False


def _is_read_only(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return sql_state(error) == READ_ONLY or any(words in str(error.orig) for words in _NOT_WRITABLE)


def sql_state(error: DBAPIError) -> str | None:
    """The five letters of PostgreSQL's error code, where there is one."""
    return getattr(error.orig, "sqlstate", None)


def violated(error: DBAPIError) -> str | None:
    """The name of the constraint that a statement violated, where it did."""
    return error.orig.diag.constraint_name if isinstance(error.orig, psycopg.Error) else None


def is_refusal(error: DBAPIError) -> bool:
    """Whether data was refused as a whole: by a constraint (class 23), or as too complex (54)."""
    return (sql_state(error) or "").startswith(("23", "54"))
