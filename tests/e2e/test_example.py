"""The example: another Reflex app with a live page of a few lines."""

import asyncio
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.async_api import expect

from tests.app import ROOT, App, Process, free_port, until_it_answers
from tests.e2e.conftest import Open
from tests.integration.test_heartbeats import set_heartbeat
from tests.waiting import until

BUSY = "const begun = performance.now(); while (performance.now() - begun < 8500);"


@pytest.fixture
def board(app: App, tmp_path: Path) -> Iterator[Process]:
    """The example, on the same database and under the same secret, as a second server."""
    environment = {"DATABASE_URL": app.database_url, "SECRET_KEY": "a secret for tests"}
    process = Process(ROOT / "examples" / "board", environment, tmp_path / "output", free_port())
    process.start()
    yield process
    process.end()


async def test_the_examples_page_is_live(app: App, board: Process, open_page: Open) -> None:
    """Its state says what to watch; rows come, client-side vars follow, `_on_messages` counts on the server."""
    identity = uuid.uuid4().hex[:12]
    for n in range(2):
        await asyncio.to_thread(app.emit, ("project.updated", {"projectId": identity, "changes": {"step": n}}))
    page = (await open_page(f"/boards/{identity}", "max@northwind.test", url=board.url)).page
    await expect(page.get_by_text("attached")).to_be_visible()
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    # Emitted at the other server: here the rows come by the sweep, from the log.
    for n in range(3):
        await asyncio.to_thread(app.emit, ("project.updated", {"projectId": identity, "changes": {"step": n}}))
    await expect(page.locator("[data-seq='5']")).to_be_visible()
    await expect(page.get_by_text("5 / 5")).to_be_visible()


async def test_the_examples_page_knows_when_its_line_is_silent(app: App, board: Process, open_page: Open) -> None:
    """In the browser while the socket is down; on the server, by `_on_timeout`, when the tab does not answer."""
    set_heartbeat(app, "project", 1_000, 6_000)
    try:
        watched = await open_page(f"/boards/{uuid.uuid4().hex[:12]}", "max@northwind.test", url=board.url)
        page = watched.page
        well = page.get_by_text("ms; silent so far: 0")
        await expect(well).to_be_visible()
        beats: list[str] = []
        watched.sockets[0].on("framereceived", lambda frame: beats.append(str(frame)))
        await until(lambda: any('"interval":1000' in frame for frame in beats))
        await page.evaluate(BUSY)  # a tab that hangs answers nothing
        await expect(page.get_by_text("silent so far: 1")).to_be_visible()

        await watched.context.set_offline(True)
        [worker] = psutil.Process(board.pid).children()
        worker.send_signal(signal.SIGKILL)
        await expect(page.get_by_text("No heartbeat for")).to_be_visible()
        await until_it_answers(board.url)
        await watched.context.set_offline(False)
        await expect(page.get_by_text("silent so far: 0")).to_be_visible()
        watched.troubles.clear()  # the browser's own words about the network
    finally:
        set_heartbeat(app, "project", 30_000, 90_000)


async def test_the_example_knows_who_is_there(app: App, board: Process, open_page: Open) -> None:
    """In the browser by diffs, and on the server by `_on_presence` and the truth that it asks for."""
    path = f"/boards/{uuid.uuid4().hex[:12]}"
    page = (await open_page(path, "max@northwind.test", url=board.url)).page
    await expect(page.get_by_text("1 here: max")).to_be_visible()
    other = (await open_page(path, "ada@northwind.test", url=board.url)).page
    for each in (page, other):
        await expect(each.get_by_text("2 here: ada, max")).to_be_visible()
    await other.close()
    await expect(page.get_by_text("1 here: max")).to_be_visible()


async def test_the_examples_page_sends_over_the_outbox(app: App, board: Process, open_page: Open) -> None:
    """From a form and from an event handler with a Var in it; what is sent while its worker hangs is kept."""
    identity = uuid.uuid4().hex[:12]
    page = (await open_page(f"/boards/{identity}", "max@northwind.test", url=board.url)).page
    await expect(page.get_by_text("attached")).to_be_visible()
    await page.get_by_role("textbox", name="Message").fill("Well done")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    [worker] = psutil.Process(board.pid).children()
    worker.send_signal(signal.SIGSTOP)
    try:
        await page.get_by_role("button", name="Applaud").click()
        await expect(page.locator(".rt-pending[data-state='sending']")).to_be_visible()
    finally:
        worker.send_signal(signal.SIGCONT)
    await expect(page.locator("[data-seq='2']")).to_be_visible()
    await expect(page.locator(".rt-pending")).to_have_count(0)
    rows = await asyncio.to_thread(app.history, f"project:{identity}")
    assert [(row["type"], row["data"]["author"]["name"]) for row in rows] == [
        ("project.commented", "max"),
        ("project.applauded", "max"),
    ]
    assert (rows[0]["data"]["text"], rows[1]["data"]["after"]) == ("Well done", 1)


async def test_a_page_without_a_feed_subscribes_and_hears_what_only_passes(
    app: App, board: Process, open_page: Open
) -> None:
    """`subscription` performs it: both hooks are called on the server, and ephemeral events are in the browser."""
    identity = uuid.uuid4().hex[:12]
    for _ in range(2):
        await asyncio.to_thread(app.emit, ("project.updated", {"projectId": identity}))
    page = (await open_page(f"/counters/{identity}", "max@northwind.test", url=board.url)).page
    await expect(page.get_by_text("2 stored, 0 passed")).to_be_visible()
    headers = {"Authorization": f"Bearer {app.key}"}
    async with httpx.AsyncClient(base_url=board.url, headers=headers, timeout=60) as http:
        for at in ("noon", "midnight"):
            body = {"type": "board.pointed", "payload": {"projectId": identity, "at": at}}
            assert (await http.post("/api/events", json=body)).json()["events"][0]["channels"][0]["seq"] is None
    await expect(page.get_by_text("2 stored, 2 passed")).to_be_visible()
    assert await page.get_by_text("Pointed at").all_text_contents() == ["Pointed at noon", "Pointed at midnight"]
    await page.reload()  # the tab's state counts on: what is stored comes again, what passed does not
    await expect(page.get_by_text("4 stored, 2 passed")).to_be_visible()
    await expect(page.get_by_text("Pointed at")).to_have_count(0)
