"""Several workers with a real browser: the example's state and hooks, while one worker after the other dies."""

import asyncio
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.app import ROOT, App, Process, free_port
from tests.e2e.conftest import Open
from tests.integration.test_workers import until_both, workers_of
from tests.valkey import Valkey


@pytest.fixture
def boards(app: App, tmp_path: Path) -> Iterator[App]:
    """The example with two workers, on the database of the app."""
    with Valkey.running() as valkey:
        environment = {
            "DATABASE_URL": app.database_url,
            "SECRET_KEY": "a secret for tests",
            "REALTIME_PROVIDER": "redis",
            "REDIS_URL": valkey.url,
            "WORKERS": "2",
        }
        process = Process(ROOT / "examples" / "board", environment, tmp_path / "output", free_port())
        process.start()
        try:
            yield App(process, app.database_url, app.keys)
        finally:
            process.end()


async def test_a_page_outlives_every_worker_with_its_state(boards: App, open_page: Open) -> None:
    """What it counted on the server goes on counting; the other person is there all the time; no row is missed."""
    identity = uuid.uuid4().hex[:12]
    event: tuple[str, dict[str, object]] = ("project.updated", {"projectId": identity})
    pages = [
        await open_page(f"/boards/{identity}", f"{name}@northwind.test", of=boards) for name in ("max", "ada", "ada")
    ]
    for watched in pages:
        await expect(watched.page.get_by_text("attached")).to_be_visible()
        await expect(watched.page.get_by_text("2 here: ada, max")).to_be_visible()
    await asyncio.to_thread(boards.emit, *[event] * 3)
    tokens = [await watched.page.evaluate("sessionStorage.getItem('token')") for watched in pages]
    for watched in pages:
        await expect(watched.page.get_by_text("3 / 3")).to_be_visible()
    last = 3
    for worker in workers_of(boards):
        worker.send_signal(signal.SIGKILL)
        await until_both(boards)
        await asyncio.to_thread(boards.emit, event)
        last += 1
        for watched in pages:
            await expect(watched.page.get_by_text(f"{last} / {last}")).to_be_visible()
            await expect(watched.page.get_by_text("2 here: ada, max")).to_be_visible()
    assert [await watched.page.evaluate("sessionStorage.getItem('token')") for watched in pages] == tokens
    for watched in pages:
        watched.troubles.clear()  # the browser's own words about the sockets that broke
