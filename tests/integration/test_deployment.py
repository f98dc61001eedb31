"""What stands in `docs/DEPLOYMENT.md`: nginx in front of two machines, and the image."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from realtime_ui.settings import Settings
from tests.app import ROOT, App, Process, app_root, free_port, sign_in, until_it_answers
from tests.nginx import nginx
from tests.sse import listen
from tests.tab import open_tab
from tests.valkey import Valkey

ADA = "ada@northwind.test"
CHANNEL = "project:deployed"
EVENT = {"type": "project.updated", "payload": {"projectId": "deployed"}}
SETTINGS = {name.upper() for name in Settings.model_fields}


@dataclass
class House:
    """Two machines behind one address."""

    url: str
    key: str
    machines: tuple[Process, Process]

    async def emit(self) -> int:
        """Emit an event through the front; returns its seq."""
        async with httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}) as http:
            response = await http.post("/api/events", json=EVENT)
        assert response.status_code == 202, response.text
        return int(response.json()["events"][0]["channels"][0]["seq"])


@pytest.fixture
def house(app: App, own_port: int, tmp_path: Path) -> Iterator[House]:
    """Two apps on one database and one Valkey, behind nginx, whose address their pages were built for."""
    url = f"http://localhost:{own_port}"
    with Valkey.running() as valkey:
        shared = {
            "DATABASE_URL": app.database_url,
            "SECRET_KEY": "a secret for tests",
            "REALTIME_PROVIDER": "redis",
            "REDIS_URL": valkey.url,
            "PUBLIC_URL": url,
            "STREAMS_PER_ADDRESS": "1",
        }
        machines = [Process(app_root(), shared, tmp_path / f"output-{number}", free_port()) for number in (1, 2)]
        started: list[Process] = []
        try:
            for machine in machines:
                machine.start()
                started.append(machine)
            with nginx(own_port, *(machine.port for machine in machines)):
                yield House(url, app.key, (machines[0], machines[1]))
        finally:
            for machine in started:
                machine.end()


async def test_two_machines_behind_nginx_are_one_house(house: House) -> None:
    """WebSockets and streams pass at once; one machine goes, the other serves; a client's address is its own."""
    await until_it_answers(house.url)
    cookie = await asyncio.to_thread(sign_in, house.url, ADA)
    bearer = {"Authorization": f"Bearer {house.key}"}
    async with open_tab(house.url, cookie) as tab, listen(house.url, bearer, CHANNEL) as listener:
        await tab.sub(CHANNEL)
        for _ in range(3):
            seq = await house.emit()
            async with asyncio.timeout(60):  # a buffered stream would wait for more
                await listener.until(lambda seq=seq: seq in listener.seqs(CHANNEL))
                await tab.until(lambda seq=seq: seq in tab.seqs(CHANNEL))
    first, second = house.machines
    first.end()
    async with open_tab(house.url, cookie) as tab:
        await tab.sub(CHANNEL)
        seq = await house.emit()
        await tab.until(lambda: seq in tab.seqs(CHANNEL))
    await addresses_are_told_apart(house, bearer)
    first.start()
    second.end()
    await until_it_answers(house.url)  # nginx leaves a machine that was away alone for 2 s
    assert await house.emit() == seq + 1
    second.start()


async def addresses_are_told_apart(house: House, bearer: dict[str, str]) -> None:
    """One stream an address is allowed; whoever claims to be somebody else is still who they are."""

    async def status(source: str, claimed: str = "") -> int:
        headers = {**bearer, **({"X-Forwarded-For": claimed} if claimed else {})}
        transport = httpx.AsyncHTTPTransport(local_address=source)
        async with (
            httpx.AsyncClient(transport=transport, headers=headers) as http,
            http.stream("GET", f"{house.url}/api/stream", params={"channel": CHANNEL}) as response,
        ):
            if claimed == "" and response.is_success:
                return await status(source, "203.0.113.7")
            return response.status_code

    assert await status("127.0.0.2") == 429
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.3")
    async with (
        listen(house.url, bearer, CHANNEL),
        httpx.AsyncClient(transport=transport, headers=bearer) as http,
        http.stream("GET", f"{house.url}/api/stream", params={"channel": CHANNEL}) as response,
    ):
        assert response.is_success


async def test_while_no_machine_answers_an_event_source_is_told_to_come_back() -> None:
    """It would give up for good on a status; programs, which send their key, get one."""
    port = free_port()
    with nginx(port, free_port(), free_port()):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            async with asyncio.timeout(60):
                while True:
                    with suppress(httpx.TransportError):
                        response = await http.get("/api/stream?channel=project:x")
                        break
                    await asyncio.sleep(0.05)
            assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
            assert response.text == "retry: 3000\n\n"
            bearer = {"Authorization": "Bearer rk_x"}
            assert (await http.get("/api/stream?channel=project:x", headers=bearer)).status_code == 502
            assert (await http.get("/")).status_code == 502


def copied() -> list[str]:
    """What the Dockerfile copies from the folder of the app."""
    lines = [line.split()[1:] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    return [word for words in lines for word in words[:-1] if not word.startswith("--")]


def test_what_the_image_gets_is_enough_to_build_the_pages(tmp_path: Path) -> None:
    """And no more is sent to Docker; every variable in it is a setting."""
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in copied():
        assert f"!{name}" in allowed
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("external", "__pycache__"))
        else:
            shutil.copy(source, target)
    assert {line for line in allowed if line.startswith("!")} == {f"!{name}" for name in copied()}
    text = (ROOT / "Dockerfile").read_text()
    [settings] = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    assert {part.partition("=")[0] for part in settings.split()} <= SETTINGS
    build = [sys.executable, "-m", "realtime_ui", "build"]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=600)
    assert (tmp_path / ".web" / "build" / "client" / "index.html").exists()
    assert (tmp_path / "realtime_ui" / "persistence" / "migrate.py").exists()


def test_compose_names_settings_and_services_that_there_are() -> None:
    """It starts the app when the others answer, and keeps no secret."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    app = services["app"]
    assert set(app["environment"]) <= SETTINGS
    assert set(app["build"]["args"]) <= SETTINGS
    for name, condition in app["depends_on"].items():
        assert condition == {"condition": "service_healthy"}
        assert services[name]["healthcheck"]["test"]
        assert any(name in str(value) for value in app["environment"].values())
    assert app["environment"]["SECRET_KEY"].startswith("${")
    assert "--requirepass" in services["valkey"]["command"], "states are pickles"
    assert "${VALKEY_PASSWORD" in app["environment"]["REDIS_URL"]
    Settings(
        **{name.lower(): value for name, value in app["environment"].items()},
        _env_file=None,
    )


def test_the_document_names_settings_that_there_are() -> None:
    """Every word in capitals that has an underscore, or that is set to something, is one."""
    text = (ROOT / "docs" / "DEPLOYMENT.md").read_text()
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\b[A-Z]{3,}(?==)", text)) - {"POSTGRES_PASSWORD", "VALKEY_PASSWORD"}
    assert {"WORKERS", "REDIS_URL"} <= named
    assert named <= SETTINGS


def test_every_setting_is_in_a_document() -> None:
    """But for what the parent tells its workers."""
    texts = [(ROOT / name).read_text() for name in ("README.md", "docs/DEPLOYMENT.md")]
    named = set(re.findall(r"[A-Z]+(?:_[A-Z]+)*", " ".join(texts)))
    assert SETTINGS - named == {"SETUP_CODE"}
