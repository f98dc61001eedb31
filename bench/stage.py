"""Starts what is measured: a database, a server, tabs; and reads how much CPU and memory a server took."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from realtime_ui.access.accounts import Accounts
from realtime_ui.access.gate import Gate, hash_secret
from realtime_ui.build import serving_environment
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.principals import Role, Scope
from realtime_ui.embedded import EmbeddedPostgres
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.migrate import upgrade
from realtime_ui.persistence.people import PeopleRepository
from tests.app import ROOT, free_port

PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Ground:
    """A migrated database with a person, a key and their tenant."""

    url: str
    tenant: uuid.UUID
    key: str
    token: str


@contextmanager
def ground() -> Iterator[Ground]:
    """A database of the run's own."""
    with tempfile.TemporaryDirectory(prefix="rui-bench-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedPostgres(Path(folder) / "pg")
        try:
            upgrade(server.url)
            yield asyncio.run(_people(server.url))
        finally:
            server.stop()


async def _people(url: str) -> Ground:
    database = Database(url, pool=2)
    people = PeopleRepository(database)
    gate = Gate(people, SystemClock(), sign_in_days=1, setup_code="")
    accounts = Accounts(AccountRepository(database))
    await accounts.add_person("Bench", "ada@bench.test", "Ada", PASSWORD, Role.ADMIN, new_tenant=True)
    tenant = await accounts.tenant("Bench")
    key = await gate.add_key(tenant, "bench", frozenset(Scope))
    token = await gate.sign_in("ada@bench.test", PASSWORD, "bench")
    await database.close()
    return Ground(url, tenant, key, token)


def more_people(base: Ground, number: int) -> list[str]:
    """Further members of the tenant; their sign-in sessions' tokens."""
    return asyncio.run(_more_people(base, number))


async def _more_people(base: Ground, number: int) -> list[str]:
    database = Database(base.url, pool=2)
    people, accounts = PeopleRepository(database), AccountRepository(database)
    tokens = [uuid.uuid4().hex for _ in range(number)]
    for index, token in enumerate(tokens):
        person = await accounts.add_person(base.tenant, f"p{index}@bench.test", f"Person {index}", "no", Role.MEMBER)
        await people.open_session(person, base.tenant, hash_secret(token), days=1)
    await database.close()
    return tokens


@dataclass
class Server:
    """A running contender."""

    kind: str
    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """User and system time of the server's process tree so far, in s."""
        family = [self.process, *self.process.children(recursive=True)]
        return float(sum(sum(member.cpu_times()[:2]) for member in family))

    def memory(self) -> int:
        """Resident bytes of the server's process tree."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(int(member.memory_info().rss) for member in family)

    def run(self, rate: float, seconds: float) -> None:
        """Have it emit events for a while."""
        path = f"{self.url}/bench/run?rate={rate}&seconds={seconds}"
        httpx.post(path, timeout=seconds * 10 + 30).raise_for_status()


@contextmanager
def server(kind: str, base: Ground) -> Iterator[Server]:
    """A contender in the worker process that `serve` starts."""
    port = free_port()
    environment = {
        **os.environ,
        **serving_environment(),
        "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "false",
        "BENCH": kind,
        "BENCH_TENANT": str(base.tenant),
        "DATABASE_URL": base.url,
        "SECRET_KEY": "bench",
        "PORT": str(port),
        "EMIT_RATE_PER_KEY": "1000000",
        "STREAMS_PER_KEY": "1000",
        "STREAMS_PER_ADDRESS": "1000",
    }
    command = (sys.executable, "-m", "realtime_ui.worker", "bench.servers:app", "127.0.0.1", str(port))
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:  # what it logs is in the figures, not between them
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            if not _comes_up(url, process):
                log.seek(0)
                raise SystemExit(f"The server did not come up.\n{log.read().decode()}")
            yield Server(kind, url, psutil.Process(process.pid))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _comes_up(url: str, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/ping").is_success:
                return True
        except httpx.TransportError:
            time.sleep(0.1)
    return False


@dataclass
class Tabs:
    """Connected tabs."""

    process: "subprocess.Popen[str]"

    def result(self) -> dict[str, Any]:
        """Close them; what came."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def tabs(target: Server, base: Ground, number: int) -> Iterator[Tabs]:
    """So many tabs on a server, connected when the block begins."""
    cookie = f"realtime_session={base.token}"
    with _clients("bench.tabs", target.url.replace("http", "ws"), cookie, target.kind, str(number)) as opened:
        yield opened


@contextmanager
def listeners(target: Server, base: Ground, number: int) -> Iterator[Tabs]:
    """So many SSE streams on a server, open when the block begins."""
    with _clients("bench.listeners", target.url, base.key, str(number)) as opened:
        yield opened


@contextmanager
def _clients(*arguments: str) -> Iterator[Tabs]:
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line != "ready\n":
            raise SystemExit(f"the tabs did not connect: {line}")
        try:
            yield Tabs(process)
        finally:
            process.kill()
