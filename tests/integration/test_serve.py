"""The parent process: what it starts, restarts, refuses and ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from realtime_ui.client import EventClient
from tests.app import PASSWORD, ROOT, App, Process, app_root, free_port, until_it_answers
from tests.tab import Tab


@pytest.fixture
def own_process(app: App, data_dir: Path, tmp_path: Path) -> Iterator[Process]:
    """The app once more, on an embedded database of its own, on the port that its pages were built for."""
    process = Process(app_root(), {"DATA_DIR": str(data_dir)}, tmp_path / "output", app.process.port)
    app.process.end()
    yield process
    app.process.start()


def worker_of(process: Process) -> psutil.Process:
    """The child that serves."""
    [worker] = [
        child for child in psutil.Process(process.pid).children() if "realtime_ui.worker" in " ".join(child.cmdline())
    ]
    return worker


async def set_up(url: str, code: str) -> None:
    """Make the first person with the code from the terminal."""
    form = {"tenant": "Northwind", "name": "Ada", "email": "ada@northwind.test", "password": "a long enough password"}
    async with httpx.AsyncClient(timeout=60) as http:
        refused = await http.post(f"{url}/api/set-up", data={**form, "code": "AAAA-AAAA"})
        assert refused.headers["location"] == "/set-up?problem=NotAllowed&field=code"
        done = await http.post(f"{url}/api/set-up", data={**form, "code": code})
        assert (done.status_code, done.headers["location"]) == (303, "/set-up")


async def test_it_starts_a_database_restarts_a_dead_worker_and_ends_everything_in_time(own_process: Process) -> None:
    """With an open tab, an open stream and an open request: SIGTERM ends all within 10 s."""
    own_process.start()
    text = own_process.output.read_text()
    assert "embedded PostgreSQL in" in text
    code = own_process.wait_for("/set-up and enter the code").partition("enter the code ")[2].split()[0]
    assert not any(code in value for value in worker_of(own_process).environ().values())

    worker = worker_of(own_process)
    worker.send_signal(signal.SIGKILL)
    own_process.wait_for("ended with -9; starting again", seconds=60)
    await until_it_answers(own_process.url)
    assert worker_of(own_process).pid != worker.pid
    await set_up(own_process.url, code)

    tab = Tab(own_process.url, None)
    await tab.connect("/_event")
    with socket.create_connection(("localhost", own_process.port)) as half_request:
        half_request.sendall(b"POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        family = psutil.Process(own_process.pid).children(recursive=True)
        own_process.end(signal.SIGTERM)
    await tab.client.disconnect()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    data = Path(own_process.environment["DATA_DIR"])
    assert not (data / "postgres" / "postmaster.pid").exists()
    assert (data / "secret_key").stat().st_mode & 0o077 == 0


def of_its_data(process: Process, *arguments: str) -> str:
    """Run the command line on the data folder of a process; returns what it printed."""
    environment = {**os.environ, "DATA_DIR": process.environment["DATA_DIR"], "REALTIME_PASSWORD": PASSWORD}
    command = [sys.executable, "-m", "realtime_ui", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def postmaster_of(process: Process) -> psutil.Process:
    """The first process of the embedded PostgreSQL."""
    file = Path(process.environment["DATA_DIR"]) / "postgres" / "postmaster.pid"
    return psutil.Process(int(file.read_text().split()[0]))


async def test_a_killed_database_comes_back_and_emits_ride_it_out(own_process: Process) -> None:
    """The parent starts it again, the worker finds it, the client's retries store each event once."""
    own_process.start()
    of_its_data(own_process, "users", "add", "ada@northwind.test", "--new-tenant", "Northwind", "--admin")
    key = of_its_data(own_process, "keys", "add", "tests")
    async with EventClient(own_process.url, key) as client:
        await client.emit("project.updated", {"projectId": "x"}, id="before")
        postmaster_of(own_process).send_signal(signal.SIGKILL)
        await client.emit("project.updated", {"projectId": "x"}, id="while it is away")
        own_process.wait_for("Database   runs again", seconds=120)
        await client.emit("project.updated", {"projectId": "x"}, id="after")
        page = await client.history("project:x", after=0)
    assert [message["id"] for message in page["messages"]] == ["before", "while it is away", "after"]
    own_process.end()


@pytest.fixture
def small_disk(data_dir: Path) -> Iterator[Path]:
    """A file system of 200 MB."""
    data_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(data_dir)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield data_dir
    subprocess.run(["umount", "--lazy", str(data_dir)], check=True)


async def test_a_full_disk_refuses_emits_for_as_long_as_it_is_full(app: App, small_disk: Path, tmp_path: Path) -> None:
    """With 503, whatever PostgreSQL makes of it; with room again all goes on, and nothing answered is missing."""
    process = Process(app_root(), {"DATA_DIR": str(small_disk / "data")}, tmp_path / "output", app.process.port)
    app.process.end()
    try:
        process.start()
        of_its_data(process, "users", "add", "ada@northwind.test", "--new-tenant", "Northwind", "--admin")
        key = of_its_data(process, "keys", "add", "tests")
        filler = small_disk / "filler"
        with filler.open("wb") as file, suppress(OSError):
            while True:
                file.write(b"x" * 1_000_000)
        answered: list[str] = []
        event = {"type": "project.updated", "payload": {"projectId": "x", "text": os.urandom(25_000).hex()}}
        async with httpx.AsyncClient(base_url=process.url, headers={"Authorization": f"Bearer {key}"}) as http:
            async with asyncio.timeout(90):
                status = 202
                while status == 202:
                    name = f"event {len(answered)}"
                    response = await http.post("/api/events", json={**event, "id": name}, timeout=30)
                    status = response.status_code
                    answered += [name] if status == 202 else []
            assert status == 503
            assert int(response.headers["retry-after"]) >= 1
            assert (await http.get("/api/health")).status_code == 200
        filler.unlink()
        async with EventClient(process.url, key, patience_s=60) as client:
            await client.emit("project.updated", {"projectId": "x"}, id="with room again")
            stored: list[str] = []
            while page := (await client.history("project:x", after=len(stored), limit=50))["messages"]:
                stored += [message["id"] for message in page]
        in_doubt = [name]
        assert stored in ([*answered, "with room again"], [*answered, *in_doubt, "with room again"])
        process.end()
    finally:
        app.process.start()


def test_a_killed_parent_takes_its_worker_with_it_and_the_next_one_takes_over(own_process: Process) -> None:
    """Port, database and all, at once."""
    own_process.start()
    worker, postmaster = worker_of(own_process), postmaster_of(own_process)
    own_process.end(signal.SIGKILL)
    _, alive = psutil.wait_procs([worker], timeout=60)
    assert not alive
    assert postmaster.is_running()
    own_process.start()
    assert postmaster_of(own_process).pid == postmaster.pid
    own_process.end()
    _, alive = psutil.wait_procs([postmaster], timeout=60)
    assert not alive


def test_ctrl_c_ends_it_too(own_process: Process) -> None:
    """And the database it started with it."""
    own_process.start()
    own_process.end(signal.SIGINT)
    assert not (Path(own_process.environment["DATA_DIR"]) / "postgres" / "postmaster.pid").exists()


def run(*options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Start the app, expecting it to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "realtime_ui", "serve", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """That names the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(PORT=str(taken.getsockname()[1]), DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "set PORT to another one" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"PORT": "seventy"}, "PORT"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "DATABASE_URL"),
        ({"REALTIME_PROVIDER": "pigeon"}, "REALTIME_PROVIDER"),
        ({"SECRET_KEY": "x"}, "SECRET_KEY is wrong: it is too short; give it at least 16 characters"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    """That names it."""
    done = run(**{"PORT": str(free_port()), "DATA_DIR": str(tmp_path / "data"), **environment})
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_it_says_that_it_is_ready_on_an_ipv6_address_and_past_a_proxy(own_process: Process) -> None:
    """The code of the first start stands behind it, so nobody could begin without."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"there is no IPv6 loopback here: {error}")
    own_process.environment |= {"HOST": "::1", "HTTP_PROXY": f"http://127.0.0.1:{free_port()}", "NO_PROXY": ""}
    own_process.start()
    try:
        assert "enter the code" in own_process.wait_for("enter the code", seconds=60)
    finally:
        own_process.end()


def test_two_on_one_data_folder_are_refused(own_process: Process, tmp_path: Path) -> None:
    """The first one's database would end under the second."""
    own_process.start()
    done = run(PORT=str(free_port()), DATA_DIR=own_process.environment["DATA_DIR"])
    own_process.end()
    assert done.returncode == 1
    assert "Another Realtime UI runs" in done.stderr
