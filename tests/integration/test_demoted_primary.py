"""A worker whose database accepts no writes, has moved to another server, or was never migrated."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from socketio import AsyncServer

from realtime_ui.api.app import create_api
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import DatabaseUnavailable, NotMigrated
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.migrate import upgrade
from realtime_ui.persistence.readiness import DatabaseCheck, known_revisions
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.conftest import no_sink
from tests.postgres import OwnPostgres

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")
EVENT = ("project.updated", {"projectId": "x"}, TENANT)
DEADLINE_S = 60


def run(url: str, *statements: str) -> None:
    """Statements from a session that may write, whatever the server's default is."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for statement in statements:
            connection.execute(statement)


def demote(url: str) -> None:
    """Have a server accept no writes, in sessions that are open, too."""
    run(url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")


def promote(url: str) -> None:
    """The reverse."""
    run(url, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def both(one: str, other: str) -> str:
    """The address of two servers that listen on sockets in folders."""
    folders = [parse_qs(urlsplit(url).query)["host"][0] for url in (one, other)]
    return f"postgresql+psycopg://postgres@/postgres?host={','.join(folders)}&port=5432,5432"


@pytest.fixture
def other_postgres() -> Iterator[OwnPostgres]:
    """A second server."""
    with OwnPostgres.migrated() as server:
        yield server


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[tuple[Runtime, httpx.AsyncClient]]:
    """A running worker, and a client of its API."""
    settings = Settings(database_url=url, secret_key="a secret for tests", _env_file=None)
    transport = httpx.ASGITransport(create_api(), raise_app_exceptions=False)
    server = AsyncServer(async_mode="asgi", async_handlers=False)
    async with (
        Runtime(settings, server, no_sink) as runtime,
        httpx.AsyncClient(transport=transport, base_url="http://app.test") as http,
    ):
        yield runtime, http


async def until_ready(http: httpx.AsyncClient, status: int, words: str = "") -> None:
    """Wait for an answer of `/api/ready` with that status, and these words in the database's error."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            response = await http.get("/api/ready")
            if response.status_code == status and words in response.json()["database"]["error"]:
                return
            await asyncio.sleep(0.1)


@contextmanager
def lines_of_the_database(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What is logged about it at WARNING and above, once the block has ended."""
    lines: list[str] = []
    caplog.clear()
    yield lines
    lines += [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_database_that_accepts_no_writes_is_away_until_it_does(own_postgres: OwnPostgres) -> None:
    """Ready says so and why, emits are told to come again, and all of it ends with the next writable session."""
    async with worker(own_postgres.url) as (runtime, http):
        await runtime.bus.emit(*EVENT)
        demote(own_postgres.url)
        await until_ready(http, 503, "does not accept writes")
        assert (await http.get("/api/ready")).json()["away"] == ["database"]
        with pytest.raises(DatabaseUnavailable, match="does not accept writes"):
            await runtime.bus.emit(*EVENT)
        promote(own_postgres.url)
        await until_ready(http, 200)
        [place] = (await runtime.bus.emit(*EVENT)).placements
        assert place.seq == 2


async def test_a_worker_goes_to_the_server_that_accepts_writes(
    own_postgres: OwnPostgres, other_postgres: OwnPostgres
) -> None:
    """Of the hosts in its address, at the start and after a switch-over; no open session keeps it at the old one."""
    demote(other_postgres.url)
    async with worker(both(other_postgres.url, own_postgres.url)) as (runtime, http):
        await until_ready(http, 200)
        await runtime.bus.emit(*EVENT)
        demote(own_postgres.url)
        await until_ready(http, 503, "does not accept writes")
        promote(other_postgres.url)
        await until_ready(http, 200)
        await runtime.bus.emit(*EVENT, id="after")
        assert [message.id for message in await runtime.log.read(TENANT, CHANNEL, limit=10)] == ["after"]


def test_migrations_go_to_the_server_that_accepts_writes(
    own_postgres: OwnPostgres, other_postgres: OwnPostgres
) -> None:
    """The command line's address is the app's."""
    demote(other_postgres.url)
    run(own_postgres.url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    upgrade(both(other_postgres.url, own_postgres.url))
    run(own_postgres.url, "SELECT FROM realtime_leases")


async def test_an_unmigrated_database_says_once_what_to_do(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and in ready's answer; migrated, it is used without a restart."""
    with lines_of_the_database(caplog) as lines:
        async with worker(empty_database_url) as (runtime, http):
            await until_ready(http, 503, "Run `alembic upgrade head`")
            with pytest.raises(NotMigrated):
                await runtime.bus.emit(*EVENT)
            await asyncio.sleep(7)  # each task of the worker has tried twice
            await asyncio.to_thread(upgrade, empty_database_url)
            await until_ready(http, 200)
            await runtime.bus.emit(*EVENT)
    assert lines == [
        "Degraded: away is the database. The database is not migrated."
        " Run `alembic upgrade head` with its DATABASE_URL."
    ]


@pytest.mark.parametrize("revision", known_revisions()[-3:-1])
async def test_a_database_of_an_earlier_release_is_not_ready(
    database: Database, database_url: str, revision: str
) -> None:
    """Its tables are not those that the statements name."""
    run(database_url, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(NotMigrated):
        await DatabaseCheck(database)()


async def test_a_database_of_a_later_release_is_ready(database: Database, database_url: str) -> None:
    """Its migrations keep the workers running that are still of this one."""
    run(database_url, "UPDATE alembic_version SET version_num = '9999'")
    await DatabaseCheck(database)()
