"""The parent process: keeps the database and the workers alive, migrates, builds the pages, ends it all.

It serves nothing itself. A worker is uvicorn with the Reflex app; one that dies is started again, and so is an
embedded database. SIGTERM and Ctrl-C end everything within 10 s, open tabs or not.
"""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx

from realtime_ui import ports
from realtime_ui.core.errors import DatabaseUnavailable, ProviderRefused, RealtimeError
from realtime_ui.core.metrics import SHARED_FOLDER, forget_gauges
from realtime_ui.extras import needs
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.migrate import upgrade
from realtime_ui.persistence.people import PeopleRepository
from realtime_ui.providers.base import RealtimeProvider
from realtime_ui.providers.factory import create_realtime_client
from realtime_ui.providers.redis_line import check_address
from realtime_ui.settings import Settings
from realtime_ui.workers import CannotStart, Workers

if TYPE_CHECKING:
    from realtime_ui.embedded import EmbeddedPostgres

BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 10.0
PORT_PATIENCE_S = 3.0
DATABASE_INTERVAL_S = 0.25
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that look alike


class Parent:
    """One run of the parent process.

    Args:
        settings: as read from the environment.
        root: the folder of the app, where its `rxconfig.py` is.
        development: run `reflex run` in place of the production build.
    """

    def __init__(self, settings: Settings, root: Path, *, development: bool) -> None:
        self._settings = settings
        self._root = root
        self._development = development
        self._environment: dict[str, str] = {}
        self._setup_code = ""
        self._database: EmbeddedPostgres | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start everything, keep it running, and end it at SIGTERM, Ctrl-C or `CannotStart`.

        Raises:
            CannotStart: a setting is wrong, the port is taken, or the worker never came up.
            MissingExtra: a setting needs a package that is not installed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which is what nohup asks for
            loop.add_signal_handler(signal.SIGHUP, self._stopping.set)
        with ExitStack() as owned:
            provider = self._make_provider()
            self._check_settings()
            await self._take_port(owned)
            await self._try_provider(provider)
            url = self._settings.database_url or self._start_database(owned)
            try:
                await asyncio.to_thread(upgrade, url)
                code = await _setup_code(url)
            except RealtimeError as error:
                raise CannotStart(f"{error.detail} Check DATABASE_URL.") from error
            secret = self._settings.secret_key or read_or_make_secret(self._settings.secret_file)
            self._environment = {"DATABASE_URL": url, "SECRET_KEY": secret}
            self._setup_code = code
            if self._settings.workers > 1:
                folder = owned.enter_context(TemporaryDirectory(prefix="realtime-ui-"))
                self._environment[SHARED_FOLDER] = folder
            keeper = asyncio.create_task(self._keep_database())
            try:
                if not self._development:
                    await self._unless_stopping(self._build())
                if not self._stopping.is_set():
                    await self._serve(code)
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)

    def _check_settings(self) -> None:
        """End the start where there is no app, or settings do not go together."""
        settings = self._settings
        if not (self._root / "rxconfig.py").exists():
            raise CannotStart(
                f"There is no rxconfig.py in {self._root}; start in an app's folder. `reflex init` makes one."
            )
        if settings.redis_url:
            try:
                check_address(settings.redis_url)
            except ValueError as error:
                raise CannotStart(str(error)) from error
        if settings.workers == 1:
            return
        if self._development:
            raise CannotStart(f"WORKERS is {settings.workers}, and --dev runs one worker; leave WORKERS unset with it.")
        if settings.realtime_provider in ("memory", "mock"):
            raise CannotStart(
                f"WORKERS is {settings.workers}, and the provider {settings.realtime_provider} carries messages inside "
                "one; set REALTIME_PROVIDER to redis, ably or pusher."
            )
        if not settings.redis_url:
            raise CannotStart(f"WORKERS is {settings.workers}, and tabs move between them; set REDIS_URL.")

    def _make_provider(self) -> RealtimeProvider:
        """The one to try; end the start where one of its settings is missing or wrong."""
        try:
            return create_realtime_client(self._settings.realtime_provider, self._settings)
        except ValueError as error:
            raise CannotStart(str(error)) from error

    async def _take_port(self, owned: ExitStack) -> None:
        """Hold the port for the workers, who listen on it; one that a dying process still holds is waited for."""
        give_up_at = time.monotonic() + PORT_PATIENCE_S
        while not self._stopping.is_set():
            try:
                ports.check(self._settings.host, self._settings.port)
                if not self._development:  # which listens by itself, and does not share
                    owned.enter_context(ports.hold(self._settings.host, self._settings.port))
                return
            except OSError as error:
                if time.monotonic() > give_up_at:
                    raise CannotStart(
                        f"Port {self._settings.port} on {self._settings.host} is not free ({error.strerror}); "
                        "set PORT to another one."
                    ) from error
            await asyncio.sleep(0.1)

    async def _try_provider(self, provider: RealtimeProvider) -> None:
        """See whether the provider takes us; one that is only away is no reason not to start."""
        try:
            await provider.connect("start")
        except ProviderRefused as error:
            raise CannotStart(f"{error.detail} {error.remedy or ''}".rstrip()) from error
        except RealtimeError as error:
            say(f"Provider   {provider.name} is away, and used as soon as it is there ({error.detail})")
        finally:
            await provider.disconnect()

    def _start_database(self, owned: ExitStack) -> str:
        with needs("embedded", "Without DATABASE_URL, the embedded PostgreSQL"):
            import fasteners

            from realtime_ui.embedded import EmbeddedPostgres
        folder = self._settings.data_dir / "postgres"
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = fasteners.InterProcessLock(folder.parent / "lock")
        if not lock.acquire(blocking=False):
            raise CannotStart(
                f"Another Realtime UI runs on the database in {folder}; set DATA_DIR or DATABASE_URL for this one."
            )
        owned.callback(lock.release)
        try:
            self._database = EmbeddedPostgres(folder)
        except RealtimeError as error:
            raise CannotStart(" ".join(filter(None, (error.detail, error.remedy)))) from error
        owned.callback(self._database.stop)
        say(f"Database   embedded PostgreSQL in {folder}")
        return self._database.url

    async def _keep_database(self) -> None:
        """Start the embedded database again whenever it has died; workers find it by themselves."""
        pause = BACKOFF_MIN_S
        while self._database is not None:
            await asyncio.sleep(DATABASE_INTERVAL_S)
            if self._database.is_running():
                pause = BACKOFF_MIN_S
                continue
            say("Database   ended; starting it again")
            try:
                await asyncio.to_thread(self._database.revive)
                say("Database   runs again")
            except DatabaseUnavailable as error:
                say(f"Database   {error}")
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_MAX_S)

    async def _build(self) -> None:
        from realtime_ui.build import assets_folder, build_pages
        from realtime_ui.former_assets import keep_assets

        start = time.monotonic()
        try:
            built = await build_pages(self._root)
        except RuntimeError as error:
            raise CannotStart(str(error)) from error
        say(f"Pages      built in {time.monotonic() - start:.0f} s" if built else "Pages      unchanged")
        store, days = self._settings.former_assets_dir, self._settings.asset_days
        try:
            await asyncio.to_thread(keep_assets, assets_folder(self._root), store, days=days, now=time.time())
        except OSError as error:
            say(f"Pages      not kept for open tabs at the next update: {store} cannot be written ({error.strerror})")

    async def _unless_stopping(self, work: Coroutine[None, None, None]) -> None:
        """Do some work, giving it up when the end is asked for."""
        task, stopping = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _serve(self, code: str) -> None:
        """Keep the workers until the end is asked for, and say when the app answers."""
        ready, folder = asyncio.Event(), self._environment.get(SHARED_FOLDER)
        announcing = asyncio.create_task(self._announce(code, ready))
        try:
            await Workers(
                self._settings.workers,
                self._start_worker,
                ready,
                self._stopping,
                lambda worker: forget_gauges(worker, folder) if folder else None,
                say,
            ).keep()
        finally:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)

    async def _start_worker(self) -> asyncio.subprocess.Process:
        settings = self._settings
        from realtime_ui.build import app_target, config_environment, serving_environment

        if self._development:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "reflex", "run"),
                cwd=self._root,
                env={
                    **os.environ,
                    **self._environment,
                    **config_environment(production=False),
                    "SETUP_CODE": self._setup_code,
                    "REFLEX_CHECK_LATEST_VERSION": "false",
                },
                start_new_session=True,
            )
        command = (sys.executable, "-m", "realtime_ui.worker", app_target(), settings.host, str(settings.port))
        environment = {
            **os.environ,
            **self._environment,
            **config_environment(production=True),
            **serving_environment(),
        }
        # The worker lives as long as its standard input is open. The first line is the set-up code: an environment
        # could be read for as long as the process lives.
        worker = await asyncio.create_subprocess_exec(
            *command, cwd=self._root, env=environment, start_new_session=True, stdin=asyncio.subprocess.PIPE
        )
        assert worker.stdin is not None
        worker.stdin.write(f"{self._setup_code}\n".encode())
        return worker

    async def _announce(self, code: str, ready: asyncio.Event) -> None:
        """Say where the app is as soon as it answers."""
        host = "127.0.0.1" if self._settings.host in ("0.0.0.0", "::") else self._settings.host  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        port = DEVELOPMENT_PORT if self._development else self._settings.port
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    if (await client.get(f"http://{host}:{port}/ping")).is_success:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        ready.set()
        say(f"Ready      {self._settings.url}")
        if code:
            say(f"First start: open {self._settings.url}/set-up and enter the code {code}")


DEVELOPMENT_PORT = 8000


def say(line: str) -> None:
    """Tell the terminal."""
    print(line, flush=True)


def read_or_make_secret(path: Path) -> str:
    """The secret key kept in a file that only its owner may read; made at the first call."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        secret = secrets.token_urlsafe(32)
        file.write(secret)
    return secret


async def _setup_code(url: str) -> str:
    """A code for the set-up page while nobody can sign in, else ""."""
    database = Database(url, pool=2)
    try:
        if await PeopleRepository(database).any_person():
            return ""
    finally:
        await database.close()
    letters = [secrets.choice(CODE_LETTERS) for _ in range(8)]
    return "".join(letters[:4]) + "-" + "".join(letters[4:])
