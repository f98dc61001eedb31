"""What the commands share: the settings, the database, and errors as one sentence."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import httpx
import typer
from pydantic import ValidationError

from realtime_ui.client import EmitError
from realtime_ui.core.errors import RealtimeError
from realtime_ui.extras import MissingExtra, needs
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.migrate import upgrade
from realtime_ui.settings import Settings, load_settings


@contextmanager
def database_address() -> Iterator[str]:
    """The address of the configured database, or of the embedded one, which runs meanwhile."""
    config = settings()
    if config.database_url:
        yield config.database_url
        return
    with errors_reported():
        with needs("embedded", "Without DATABASE_URL, the embedded PostgreSQL"):
            from realtime_ui.embedded import EmbeddedPostgres
        embedded = EmbeddedPostgres(config.data_dir / "postgres")
    try:
        if not embedded.was_running:
            upgrade(embedded.url)
        yield embedded.url
    finally:
        if not embedded.was_running:
            embedded.stop()


def with_database(work: Callable[[Database], Awaitable[Any]]) -> Any:
    """Run `work(database)` on the configured database, or on the embedded one."""

    async def run(url: str) -> Any:
        database = Database(url, pool=2)
        try:
            return await work(database)
        finally:
            await database.close()

    with database_address() as url, errors_reported():
        return asyncio.run(run(url))


@contextmanager
def errors_reported() -> Iterator[None]:
    """Errors as one sentence and exit code 1, without a traceback."""
    try:
        yield
    except (RealtimeError, EmitError) as error:
        fail(" ".join(filter(None, (str(error), getattr(error, "remedy", None)))))
    except MissingExtra as error:
        fail(str(error))
    except httpx.TransportError as error:
        fail(f"The server does not answer: {error}")


def settings() -> Settings:
    """The settings, or an end with one sentence that names the wrong one."""
    try:
        return load_settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])).upper()
        fail(f"{where} is wrong: {first['msg'].removeprefix('Value error, ')}")


def fail(message: str) -> NoReturn:
    """End with a message on standard error and exit code 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)
