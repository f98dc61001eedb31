"""Real browsers on the running app."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import psutil
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, WebSocket, async_playwright, expect

from tests import chromium
from tests.app import App, until_it_answers

TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.ensure(), args=chromium.FLAGS)
        yield browser
        await browser.close()


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Page
    context: BrowserContext
    troubles: list[str] = field(default_factory=list)
    sockets: list[WebSocket] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        """Remember errors of the console."""
        if message.type == "error":
            self.troubles.append(message.text)


async def unplug(app: App, watched: Watched) -> None:
    """Cut a page's network, the socket that is open included; the app itself goes on.

    Chromium keeps open WebSockets when it is set offline, so the worker behind them is killed, and its
    parent starts another.
    """
    await watched.context.set_offline(True)
    [worker] = psutil.Process(app.process.pid).children()
    worker.send_signal(signal.SIGKILL)
    await until_it_answers(app.url)


Open = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def open_page(app: App, browser: Browser) -> AsyncIterator[Open]:
    """A function that opens pages of the app, each in a browser profile of its own.

    At the end no page may have had an error on its console, but for those that a test took away.
    """
    pages: list[Watched] = []
    async with AsyncExitStack() as stack:

        async def open_page(
            path: str, email: str | None, *, width: int = 1200, scheme: str = "light", url: str = "", of: App = app
        ) -> Watched:
            context = await browser.new_context(
                viewport={"width": width, "height": 800},
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
            )
            stack.push_async_callback(context.close)
            context.set_default_timeout(TIMEOUT_MS)
            if email is not None:
                name, _, value = of.cookie(email).partition("=")
                await context.add_cookies([{"name": name, "value": value, "url": of.url, "httpOnly": True}])
            page = await context.new_page()
            watched = Watched(page, context)
            page.on("console", watched.heard)
            page.on("pageerror", lambda error: watched.troubles.append(str(error)))
            page.on("websocket", lambda socket: watched.sockets.append(socket))
            pages.append(watched)
            await page.goto(f"{url or of.url}{path}")
            return watched

        yield open_page
    assert [watched.troubles for watched in pages] == [[] for _ in pages]
