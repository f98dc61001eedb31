"""The way of a stranger: an empty database, the set-up page, the first event, a row."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.app import PASSWORD, App, Process, app_root


@pytest.fixture
def fresh(app: App, data_dir: Path, tmp_path: Path) -> Iterator[Process]:
    """The app as in a clean clone, on an embedded database of its own."""
    process = Process(app_root(), {"DATA_DIR": str(data_dir)}, tmp_path / "output", app.process.port)
    app.process.end()
    process.start()
    yield process
    process.end()
    app.process.start()


async def test_from_the_set_up_page_to_the_first_row(fresh: Process, browser: Browser) -> None:
    """The code from the terminal, a key, the curl line as it stands there, and the event on two pages."""
    code = fresh.wait_for("enter the code").rpartition("enter the code ")[2].strip()
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(fresh.url)
    await page.wait_for_url(re.compile(r"/set-up"))
    fields = {"tenant": "Northwind", "name": "Ada", "email": "ada@northwind.test", "password": PASSWORD}

    await page.fill("input[name=code]", "WRONG-ONE")
    for name, value in fields.items():
        await page.fill(f"input[name={name}]", value)
    await page.click("text=Create")
    await expect(page.get_by_role("alert")).to_contain_text("not the one in the terminal")

    await page.fill("input[name=code]", code)
    for name, value in fields.items():
        await expect(page.locator(f"input[name={name}]")).to_have_value(value)
    await page.click("text=Create")
    line = page.get_by_label("The line that sends the first event")
    await expect(line).to_contain_text("Bearer $API_KEY")
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))))
    await page.reload()
    await expect(line).to_contain_text("Bearer $API_KEY")
    await page.get_by_role("button", name="Create a key").click()
    await expect(line).to_contain_text("Bearer rk_")
    assert not any("rk_" in frame for frame in frames), "the key is no state"
    await expect(page.get_by_text("Waiting for the first event")).to_be_visible()

    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_text("Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == await line.inner_text()

    project = await context.new_page()
    await project.goto(f"{fresh.url}/projects/apollo")
    await expect(project.get_by_text("Nothing has happened here yet.")).to_be_visible()

    curl = await asyncio.create_subprocess_exec("bash", "-c", await line.inner_text(), stdout=subprocess.PIPE)
    answer, _ = await curl.communicate()
    assert b'"seq":1' in answer

    await expect(page.locator("[data-channel='project:apollo']")).to_contain_text("1 event")
    await expect(project.get_by_role("log")).to_contain_text("status → in flight")
    await expect(project.locator(".rt-fields")).to_contain_text("in flight")
    await page.reload()
    await expect(line).to_contain_text("Bearer $API_KEY")  # shown once
    await context.close()
