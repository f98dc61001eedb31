"""Real parts for tests: a PostgreSQL, a database of their own, a running app."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from socketio import AsyncServer

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.embedded import EmbeddedPostgres
from realtime_ui.hub.subscriptions import StateSink
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from realtime_ui.persistence.migrate import upgrade
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.app import App
from tests.postgres import OwnPostgres

hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

TEMPLATE = f"realtime_ui_template_{os.getpid()}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL: TEST_DATABASE_URL, or an embedded one for this run."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given.replace("postgresql://", "postgresql+psycopg://", 1)
        return
    with tempfile.TemporaryDirectory(prefix="rui-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # where root runs the tests, PostgreSQL runs as another user
        server = EmbeddedPostgres(Path(folder) / "pg")
        yield server.url
        server.stop()


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    _run(postgres, f'CREATE DATABASE "{TEMPLATE}"')
    upgrade(_named(postgres, TEMPLATE))
    yield TEMPLATE
    _run(postgres, f'DROP DATABASE "{TEMPLATE}" WITH (FORCE)')


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """A database without a table."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _run(postgres, f'CREATE DATABASE "{name}"')
    yield _named(postgres, name)
    _run(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder for an app's embedded database.

    Not below pytest's own: each pytest that starts shuts that to other users, and PostgreSQL is one where tests are
    run by root.
    """
    with tempfile.TemporaryDirectory(prefix="rui-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # where root runs the tests, PostgreSQL runs as another user
        yield Path(folder) / "data"


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    """A migrated PostgreSQL that the test may stop and start."""
    with OwnPostgres.migrated() as server:
        yield server


@pytest.fixture
def database_url(postgres: str, template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _run(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield _named(postgres, name)
    _run(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database."""
    database = Database(database_url, pool=5)
    yield database
    await database.close()


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    """A running event log."""
    log = EventLog(database, database, SystemClock())
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings for a worker on the test's database."""
    return Settings(database_url=database_url, secret_key="a secret for tests", setup_code="CODE-CODE", _env_file=None)


async def no_sink(token: str, state: str, channel: ChannelName) -> StateSink | None:
    """No state wants messages."""
    return None


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """A running worker without Reflex."""
    async with Runtime(settings, AsyncServer(async_mode="asgi", async_handlers=False), no_sink) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def app(postgres: str, template: str) -> Iterator[App]:
    """The whole app, started as a user starts it, with two tenants and their people."""
    name = f"realtime_ui_app_{os.getpid()}"
    _run(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    with App.start(_named(postgres, name)) as app:
        yield app
    _run(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def own_port(app: App) -> Iterator[int]:
    """The port that the app's pages were built for, free while the test lasts."""
    app.process.end()
    yield app.process.port
    app.process.start()


def _named(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)


def _run(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    """Whatever a test's parts started, they ended."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
    assert not left, f"still running: {left}"
