"""The app as an operator runs it: `python -m realtime_ui serve` on its embedded database, kept by a service manager."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from tests.app import ROOT, START_S, command, copy_of_the_app, free_port, sign_in, until_it_answers
from tests.doubles.flaky import install_entry_point

RESTART_S = 0.5  # what a service manager waits before it starts again what died
STOP_S = 15
PERSON = "ada@northwind.test"
TENANT = "Northwind"


class Stage:
    """An async context manager: the app runs inside the block, and is started again whenever it dies.

    It has a folder of its own (configuration, pages, data), so that its build meets no other one.

    Args:
        settings: environment variables beside the usual ones.
    """

    def __init__(self, **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rui-"))  # short: PostgreSQL's socket lies in it
        self._folder.chmod(0o711)  # where root runs it, PostgreSQL runs as another user
        self.port = free_port()
        self.data = self._folder / "data"
        self.output = self._folder / "output"
        self.starts = 0
        self.key = ""
        self.cookie = ""
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, with no network between."""
        return f"http://localhost:{self.port}"

    async def __aenter__(self) -> "Stage":
        """Lay out the folder, start, and add a person and a key."""
        copy_of_the_app(self._folder / "app")
        install_entry_point(self._folder / "packages")
        self._keeper = asyncio.create_task(self._keep_running(), name="service-manager")
        try:
            await self._until_it_answers()
            await asyncio.to_thread(self._run, "users", "add", PERSON, "--new-tenant", TENANT, "--admin")
            self.key = await self.add_key("chaos")
            self.cookie = await asyncio.to_thread(sign_in, self.url, PERSON)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        await self._stop()

    async def add_key(self, name: str, *scopes: str) -> str:
        """Make an API key."""
        wishes = [word for scope in scopes for word in ("--scope", scope)]
        return await asyncio.to_thread(self._run, "keys", "add", name, "--tenant", TENANT, *wishes)

    def said(self, last: int = 4000) -> str:
        """The end of what all its runs printed."""
        return self.output.read_text(errors="replace")[-last:]

    def parent(self) -> list[psutil.Process]:
        """The parent process, if it runs."""
        return _alive(self._process.pid) if self._process and self._process.returncode is None else []

    def workers(self) -> list[psutil.Process]:
        """The processes that serve, those that run."""
        with suppress(psutil.Error):
            children = [child for parent in self.parent() for child in parent.children()]
            return [child for child in children if "realtime_ui.worker" in child.cmdline()]
        return []

    def postmaster(self) -> list[psutil.Process]:
        """PostgreSQL's first process, if it runs."""
        with suppress(OSError, ValueError, IndexError):
            return _alive(int((self.data / "postgres" / "postmaster.pid").read_text().split()[0]))
        return []

    def backends(self) -> list[psutil.Process]:
        """PostgreSQL's other processes: one a connection, and its helpers."""
        with suppress(psutil.Error):
            return [child for server in self.postmaster() for child in server.children()]
        return []

    async def _until_it_answers(self) -> None:
        try:
            await until_it_answers(self.url, seconds=START_S)
        except TimeoutError as error:
            raise AssertionError(f"the app did not start:\n{self.said()}") from error

    def _run(self, *arguments: str) -> str:
        return command("", *arguments, DATA_DIR=str(self.data))

    async def _keep_running(self) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(self._folder / "packages"))),
            "PORT": str(self.port),
            "DATA_DIR": str(self.data),
            "DATABASE_URL": "",
            "LOG_LEVEL": "warning",
            "SOCKETS_PER_PERSON": "10000",
            **self._settings,
        }
        while True:
            with self.output.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "realtime_ui", "serve"),
                    cwd=self._folder / "app",
                    env=environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self.starts += 1
            await self._process.wait()
            await asyncio.sleep(RESTART_S)

    async def _stop(self) -> None:
        assert self._keeper is not None
        family = [*self.parent(), *self.workers(), *self.postmaster(), *self.backends()]
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_S)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process:
            await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _alive(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return [process]
    return []
