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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import histogram
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


class Failed(Exception):
    """Something that is measured did not start or did not answer."""


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
        Path(folder).chmod(0o711)  # where root runs it, PostgreSQL runs as another user
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
        """Have it emit events for a while.

        Raises:
            Failed: it did not answer in ten times as long.
        """
        path = f"{self.url}/bench/run?rate={rate}&seconds={seconds}"
        try:
            httpx.post(path, timeout=seconds * 10 + 30).raise_for_status()
        except httpx.HTTPError as error:
            raise Failed(f"{self.kind} did not emit {rate} events/s for {seconds} s: {error!r}") from error


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
        "SECRET_KEY": "a secret for benchmarks",
        "PORT": str(port),
        "EMIT_RATE_PER_KEY": "1000000",
        "SOCKETS_PER_PERSON": "100000",
        "STREAMS_PER_KEY": "1000",
        "STREAMS_PER_ADDRESS": "1000",
    }
    command = (sys.executable, "-m", "realtime_ui.worker", "bench.servers:app", "127.0.0.1", str(port))
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:  # what it logs is in the figures, not between them
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=log, start_new_session=True
        )
        assert process.stdin is not None
        process.stdin.write(b"\n")  # no set-up code
        process.stdin.flush()
        try:
            if not _comes_up(url, process):
                log.seek(0)
                raise Failed(f"The server did not come up.\n{log.read().decode()}")
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


PROCESSES = 4
"""So many processes share the tabs, so that the server's core is full before any of theirs."""


@dataclass
class Tabs:
    """Connected tabs, in several processes."""

    processes: "Sequence[subprocess.Popen[str]]"

    def so_far(self) -> dict[str, Any]:
        """What has come until now; see `Tabs.result`."""
        return self._ask("count")

    def result(self) -> dict[str, Any]:
        """Close them; what came: deliveries, bytes, p50 and p99 (s), CPU time of the busiest process (s)."""
        return self._ask("end")

    def _ask(self, word: str) -> dict[str, Any]:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        told = [json.loads(process.stdout.readline()) for process in self.processes if process.stdout]
        latencies = histogram.added(each["latencies"] for each in told)
        return {
            "deliveries": sum(each["deliveries"] for each in told),
            "bytes": sum(each["bytes"] for each in told),
            "ordered": all(each["ordered"] for each in told),
            "complete": len({count for each in told for count in each["each"]}) == 1,
            "busiest_client_s": max(each["cpu_s"] for each in told),
            "p50": histogram.quantile(latencies, 0.5),
            "p99": histogram.quantile(latencies, 0.99),
        }


@contextmanager
def tabs(target: Server, base: Ground, number: int) -> Iterator[Tabs]:
    """So many tabs on a server, connected when the block begins."""
    cookie = f"realtime_session={base.token}"
    with _clients(number, "bench.tabs", target.url.replace("http", "ws"), cookie, target.kind) as opened:
        yield opened


@contextmanager
def listeners(target: Server, base: Ground, number: int) -> Iterator[Tabs]:
    """So many SSE streams on a server, open when the block begins."""
    with _clients(number, "bench.listeners", target.url, base.key) as opened:
        yield opened


@contextmanager
def _clients(number: int, *arguments: str) -> Iterator[Tabs]:
    shares = [number // PROCESSES + (each < number % PROCESSES) for each in range(PROCESSES)]
    with ExitStack() as stack:
        processes = []
        for share in filter(None, shares):
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments, str(share)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)  # before the process' own exit, which waits for its end
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if line != "ready\n":
                raise Failed(f"The clients did not connect: {line}")
        yield Tabs(processes)
