"""The line between a page and the server: lost without a word, or too slow; nothing is missing afterwards."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.app import App, free_port
from tests.e2e.conftest import TIMEOUT_MS, Open
from tests.e2e.test_project_page import REMEMBER, attached, events, post
from tests.proxy import Proxy
from tests.tab import open_tab

LARGE = "x" * 60_000
FRAME = '42/feed,["frame",'


@dataclass
class Behind:
    """An app that browsers reach through a proxy."""

    app: App
    proxy: Proxy
    url: str


@pytest.fixture
async def behind_proxy(app: App, own_port: int) -> AsyncIterator[Behind]:
    """The app on another port; the one that its pages were built for is the proxy's."""
    url = f"http://localhost:{own_port}"
    with App.start(app.database_url, port=free_port(), PUBLIC_URL=url) as own:
        async with Proxy(own.process.port, own_port) as proxy:
            yield Behind(own, proxy, url)


async def test_a_line_that_was_lost_without_a_word_is_found_out_on_wake_up(
    behind_proxy: Behind, open_page: Open
) -> None:
    """A laptop that slept shows what it missed in seconds, says how much, and does not wait for the socket to die."""
    project = uuid.uuid4().hex[:12]
    watched = await open_page(f"/projects/{project}", "max@northwind.test", of=behind_proxy.app, url=behind_proxy.url)
    page = watched.page
    await attached(page)
    await post(behind_proxy.app, events(project, 2))
    await expect(page.locator("[data-seq='2']")).to_be_visible()
    behind_proxy.proxy.forget()
    await post(behind_proxy.app, events(project, 3, 2))
    await page.wait_for_timeout(1_000)
    await expect(page.locator("[data-seq='3']")).to_have_count(0)
    await expect(page.locator(".rt-dot")).to_have_text("Live")  # nobody knows better
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("[data-seq='5']")).to_be_visible()
    await expect(page.locator(".rt-banner")).to_have_text("Caught up: 3 messages.")
    await expect(page.locator(".rt-banner")).to_be_hidden()
    assert len(watched.sockets) == 2
    await page.close()


async def test_an_empty_frame_makes_a_page_ask_where_it_stands(app: App, open_page: Open) -> None:
    """It says that another epoch began; the page may be in that one already, and lack what came meanwhile."""
    project = uuid.uuid4().hex[:12]
    watched = await open_page("/sign-in", "max@northwind.test")
    page = watched.page
    begun = asyncio.Event()

    def through(line: WebSocketRoute) -> None:
        server = line.connect_to_server()

        def deliver(packet: str | bytes) -> None:
            if begun.is_set() and isinstance(packet, str) and packet.startswith(FRAME):
                frame = json.loads(packet.removeprefix(FRAME)[:-1])
                packet = f"{FRAME}{json.dumps({**frame, 'rows': []})}]"
            line.send(packet)

        server.on_message(deliver)

    await page.route_web_socket(re.compile("/_event"), through)
    await page.goto(f"{app.url}/projects/{project}")
    await attached(page)
    await post(app, events(project, 1))
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    begun.set()
    await post(app, events(project, 1, 1))
    await expect(page.locator("[data-seq='2']")).to_be_visible()


async def test_a_page_whose_line_is_too_slow_leaves_and_comes_back_by_seq(
    behind_proxy: Behind, open_page: Open
) -> None:
    """On the same socket, with every row once and in order."""
    project = uuid.uuid4().hex[:12]
    app = behind_proxy.app
    watched = await open_page("/sign-in", "max@northwind.test", of=app, url=behind_proxy.url)
    page = watched.page
    await watched.context.add_init_script(REMEMBER)
    await page.goto(f"{behind_proxy.url}/projects/{project}")
    await attached(page)
    sockets = len(watched.sockets)
    large = {"type": "project.updated", "payload": {"projectId": project, "text": LARGE}}
    async with open_tab(app.url, app.cookie("ada@northwind.test")) as tab:

        async def watching() -> int:
            rows = (await tab.call("lobby"))["rows"]
            return next((row["watching"] for row in rows if row["channel"] == f"project:{project}"), 1)

        behind_proxy.proxy.hang()
        sent = 0
        async with asyncio.timeout(60):
            while await watching():
                await post(app, [large] * 20)
                sent += 20
        await post(app, events(project, 5))
        behind_proxy.proxy.restore()
    await expect(page.locator(f"[data-seq='{sent + 5}']")).to_be_visible(timeout=4 * TIMEOUT_MS)
    assert await page.evaluate("window.rows") == list(range(1, sent + 6))
    await post(app, events(project, 1, 5))
    await expect(page.locator(f"[data-seq='{sent + 6}']")).to_be_visible()
    assert len(watched.sockets) == sockets
    await page.close()
