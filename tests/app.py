"""The whole app as a process, for tests that use it as people and programs do."""

import asyncio
import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
START_S = 600
PASSWORD = "a long enough password"


async def until_it_answers(url: str, *, seconds: float = 120) -> None:
    """Wait until a server does, for at most so many seconds."""
    async with asyncio.timeout(seconds), httpx.AsyncClient() as http:
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"{url}/ping")).is_success:
                    return
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copy_of_the_app(folder: Path) -> Path:
    """Lay out a folder to start the app in, so that its build of the pages meets no other one."""
    folder.mkdir()
    for name in ("rxconfig.py", "reflex.lock", "assets"):
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("external"))
        else:
            shutil.copy(source, target)
    return folder


@cache
def app_root() -> Path:
    """The folder that this test run starts the app in; removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="rui-app-"))
    folder.chmod(0o711)  # where root runs the tests, PostgreSQL runs as another user
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return copy_of_the_app(folder / "app")


@dataclass
class Process:
    """`python -m realtime_ui serve` in a folder, with its output in a file."""

    root: Path
    environment: dict[str, str]
    output: Path
    port: int
    command: tuple[str, ...] = (sys.executable, "-m", "realtime_ui")
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Start, and wait until it says that it is ready."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "DATA_DIR": str(app_root().parent / "data"),
            **self.environment,
        }
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [*self.command, "serve"],
                cwd=self.root,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait_for("Ready")
        except AssertionError:
            self.end(signal.SIGKILL)
            raise

    def wait_for(self, words: str, *, times: int = 1, seconds: float = START_S) -> str:
        """The output, once it holds `words` that often."""
        deadline = time.monotonic() + seconds
        while (text := self.output.read_text()).count(words) < times:
            assert self._process is not None
            assert self._process.poll() is None, f"it ended:\n{text}"
            assert time.monotonic() < deadline, f"no {words!r} within {seconds} s:\n{text}"
            time.sleep(0.1)
        return text

    @property
    def pid(self) -> int:
        """The parent's process id."""
        assert self._process is not None
        return self._process.pid

    def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 60) -> None:
        """Send a signal and wait for the end, at most so many seconds.

        Raises:
            subprocess.TimeoutExpired: it did not end, and was killed.
        """
        assert self._process is not None
        self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


@dataclass
class App:
    """A running app with two tenants: Northwind (Ada, admin; Max, member) and Contoso (Eve, admin)."""

    process: Process
    database_url: str
    keys: dict[str, str]

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.process.url

    @property
    def key(self) -> str:
        """Northwind's API key."""
        return self.keys["Northwind"]

    @classmethod
    @contextmanager
    def start(cls, database_url: str, *, port: int | None = None, **environment: str) -> Iterator["App"]:
        """Add the people, start the app, and end it after the block.

        Args:
            database_url: a migrated database.
            port: another app's, which must have ended, so that the pages need no other build; a free one when None.
            environment: further variables.
        """
        handle, output = tempfile.mkstemp(prefix="rui-output-")
        os.close(handle)
        environment = {"DATABASE_URL": database_url, "SECRET_KEY": "a secret for tests", **environment}
        process = Process(app_root(), environment, Path(output), port or free_port())
        known = command(database_url, "users", "list")
        for email, *flags in (
            ("ada@northwind.test", "--new-tenant", "Northwind", "--admin"),
            ("max@northwind.test", "--tenant", "Northwind"),
            ("eve@contoso.test", "--new-tenant", "Contoso", "--admin"),
        ):
            if email not in known:  # another app of this database may have added them
                command(database_url, "users", "add", email, *flags)
        keys = {
            name: command(database_url, "keys", "add", "tests", "--tenant", name) for name in ("Northwind", "Contoso")
        }
        try:
            process.start()
            try:
                yield cls(process, database_url, keys)
            finally:
                process.end()
        finally:
            process.output.unlink()

    def cookie(self, email: str) -> str:
        """A signed-in session's `Cookie` header."""
        return sign_in(self.url, email)

    def emit(self, *events: tuple[str, dict[str, object]], key: str | None = None) -> list[dict[str, object]]:
        """Emit events in one list; returns their receipts."""
        body = [{"type": kind, "payload": payload} for kind, payload in events]
        headers = {"Authorization": f"Bearer {key or self.key}"}
        response = httpx.post(f"{self.url}/api/events", json=body, headers=headers, timeout=30)
        assert response.status_code == 202, response.text
        receipts: list[dict[str, object]] = response.json()["events"]
        return receipts

    def history(self, channel: str) -> list[dict[str, Any]]:
        """A channel's first 500 messages."""
        answer = httpx.get(
            f"{self.url}/api/channels/{channel}/history",
            params={"after": 0, "limit": 500},
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages


def sign_in(url: str, email: str) -> str:
    """The `Cookie` header of a new session, from the real form post."""
    form = {"email": email, "password": PASSWORD}
    response = httpx.post(f"{url}/api/sign-in", data=form, headers={"Origin": url}, timeout=60)
    assert response.status_code == 303, response.text
    assert "problem" not in response.headers["location"], response.headers["location"]
    return f"realtime_session={response.cookies['realtime_session']}"


def command(database_url: str, *arguments: str, **settings: str) -> str:
    """Run the command line against a database ("": the embedded one in DATA_DIR); returns what it printed."""
    done = run_command(database_url, *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_command(database_url: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """As `command`, but whatever comes of it."""
    environment = {**os.environ, "DATABASE_URL": database_url, "REALTIME_PASSWORD": PASSWORD, **settings}
    return subprocess.run(
        [sys.executable, "-m", "realtime_ui", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
