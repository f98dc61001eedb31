"""Presence with real browsers: two people and their tabs, closed, reloaded, killed and frozen."""

import json
import re
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from playwright.async_api import BrowserContext, Locator, Page, WebSocket, async_playwright, expect

from tests import chromium
from tests.app import App, until_it_answers
from tests.e2e.conftest import TIMEOUT_MS, Open

GRACE_S = 5


class OwnBrowser:
    """A Chromium whose processes the test may stop and kill.

    Args:
        context: a signed-in profile.
        marker: stands on the command line of its processes.
    """

    def __init__(self, context: BrowserContext, marker: str) -> None:
        self.context = context
        self._marker = marker

    async def open(self, url: str) -> Page:
        """Open a page."""
        page = await self.context.new_page()
        await page.goto(url)
        return page

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for process in list(self._processes()):
            process.send_signal(number)

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["cmdline"]):
            if self._marker in " ".join(process.info["cmdline"] or ()):
                yield process
                yield from process.children(recursive=True)


@asynccontextmanager
async def own_browser(app: App, email: str) -> AsyncIterator[OwnBrowser]:
    """A browser of its own, signed in; it may have been killed or stopped when the block ends."""
    marker = f"--realtime-ui-test={uuid.uuid4().hex}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.ensure(), args=[*chromium.FLAGS, marker], timeout=60_000
        )
        context = await browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(TIMEOUT_MS)
        name, _, value = app.cookie(email).partition("=")
        await context.add_cookies([{"name": name, "value": value, "url": app.url, "httpOnly": True}])
        own = OwnBrowser(context, marker)
        try:
            yield own
        finally:
            own.send(signal.SIGKILL)


class Overheard:
    """The presence diffs that a page is sent.

    Args:
        page: not yet on the channel.
    """

    def __init__(self, page: Page) -> None:
        self.diffs: list[dict[str, Any]] = []
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._hear)

    def _hear(self, frame: str | bytes) -> None:
        if isinstance(frame, str) and frame.startswith('42/feed,["presence",'):
            self.diffs.append(json.loads(frame[len("42/feed,") :])[1])

    def came_and_went(self) -> list[str]:
        """Who joined (+) and left (-) since the last time."""
        found = [
            *(f"+{member['name']}" for diff in self.diffs for member in diff["joins"]),
            *(f"-{person}" for diff in self.diffs for person in diff["leaves"]),
        ]
        self.diffs.clear()
        return found


def avatar(page: Page, name: str) -> Locator:
    """Somebody in the stack at the page's head."""
    return page.locator(".rt-page-head li").filter(has_text=re.compile(rf"^\S+{name}\b"))


async def is_said(page: Page, name: str, words: str) -> None:
    """Wait until the stack says so of somebody."""
    await expect(avatar(page, name)).to_have_attribute("title", re.compile(words))


async def test_the_roster_is_right_whatever_becomes_of_the_tabs(app: App, open_page: Open) -> None:
    """Two people, three tabs; one is closed, one reloaded, one frozen, one killed."""
    path = f"/projects/{uuid.uuid4().hex[:12]}"
    ada = (await open_page("/sign-in", "ada@northwind.test")).page
    overheard = Overheard(ada)
    await ada.goto(app.url + path)
    await is_said(ada, "ada", r"online, 1 tab$")
    async with own_browser(app, "max@northwind.test") as first, own_browser(app, "max@northwind.test") as second:
        kept = await first.open(app.url + path)
        closed = await second.open(app.url + path)
        await is_said(ada, "max", "^\u2068max\u2069, online, 2 tabs$")
        await expect(avatar(kept, "ada")).to_be_visible()
        assert [each for each in overheard.came_and_went() if "max" in each] == ["+max"]

        await closed.close()
        await is_said(ada, "max", "1 tab$")
        assert overheard.came_and_went() == []

        await kept.reload()
        await is_said(kept, "max", "1 tab$")
        await ada.wait_for_timeout((GRACE_S + 1) * 1000)
        await is_said(ada, "max", "^\u2068max\u2069, online, 1 tab$")
        assert overheard.came_and_went() == []

        await second.open(app.url + path)
        await is_said(ada, "max", "2 tabs$")
        second.send(signal.SIGSTOP)
        await is_said(ada, "max", "1 tab$")
        second.send(signal.SIGCONT)
        await is_said(ada, "max", "2 tabs$")
        assert overheard.came_and_went() == []

        second.send(signal.SIGKILL)
        await is_said(ada, "max", "1 tab$")
        assert overheard.came_and_went() == []
        first.send(signal.SIGSTOP)
        await is_said(ada, "max", "^\u2068max\u2069, left")
        [left] = overheard.came_and_went()
        assert left.startswith("-")
        await expect(avatar(ada, "max")).to_have_attribute("data-state", "left")


async def test_after_a_worker_was_killed_everybody_is_there_again_by_themselves(app: App, open_page: Open) -> None:
    """Its tabs come back to another and say where they are, and how."""
    path = f"/sessions/{uuid.uuid4().hex[:12]}"
    ada = await open_page(path, "ada@northwind.test")
    max_ = await open_page(path, "max@northwind.test")
    await is_said(ada.page, "max", "online, 1 tab$")
    [worker] = psutil.Process(app.process.pid).children()
    worker.send_signal(signal.SIGKILL)
    await expect(ada.page.locator(".rt-dot")).not_to_have_text("Live")
    await until_it_answers(app.url)
    for page in (ada.page, max_.page):
        for name in ("ada", "max"):
            await is_said(page, name, "online, 1 tab$")
    await max_.page.get_by_role("textbox", name="Message").press_sequentially("Still here")
    await expect(ada.page.locator(".rt-typing")).to_have_text("max is typing…")
    for watched in (ada, max_):
        watched.troubles.clear()  # the refused connections meanwhile


async def test_who_types_is_said_and_ends(app: App, open_page: Open) -> None:
    """To the others, without a word to screen readers; after the last key, and on sending."""
    path = f"/sessions/{uuid.uuid4().hex[:12]}"
    ada = (await open_page(path, "ada@northwind.test")).page
    max_ = (await open_page("/sign-in", "max@northwind.test")).page
    await max_.clock.install()
    await max_.goto(app.url + path)
    line = ada.locator(".rt-typing")
    await expect(avatar(ada, "max")).to_be_visible()
    await max_.get_by_role("textbox", name="Message").press_sequentially("Hel")
    await expect(line).to_have_text("max is typing…")
    await expect(line).to_have_attribute("aria-live", "off")
    await expect(max_.locator(".rt-typing")).to_be_empty()
    await expect(line).to_be_empty()
    await max_.clock.pause_at(await max_.evaluate("Date.now() / 1000 + 1"))  # so that the pause after a key never ends
    await max_.keyboard.type("lo")
    await expect(line).to_have_text("max is typing…")
    await max_.keyboard.press("Enter")
    await expect(line).to_be_empty()
    await max_.clock.resume()
    await expect(ada.get_by_role("log")).to_contain_text("max: Hello")


def member(page: Page, name: str) -> Locator:
    """A person's row, by the name in it: an id beside it may hold the same letters."""
    named = page.locator(".rt-member-name").filter(has_text=re.compile(f"^{name}"))
    return page.locator(".rt-member").filter(has=named)


async def test_the_presence_page_shows_everybody_by_person_and_by_channel(app: App, open_page: Open) -> None:
    """Where, with what; the filter finds, and a row leads to its page."""
    identity = uuid.uuid4().hex[:12]
    await open_page(f"/projects/{identity}", "max@northwind.test")
    page = (await open_page("/", "ada@northwind.test")).page
    await page.get_by_role("link", name="Presence").click()
    roster = page.locator(".rt-roster")
    row = member(page, "max")
    await expect(row).to_contain_text("online")
    await expect(row).to_contain_text(identity)
    await expect(row).to_contain_text("desktop")
    await expect(member(page, "ada")).to_contain_text("Elsewhere in the app")
    await page.get_by_label("Filter people").fill(identity)
    await expect(roster.locator(".rt-member")).to_have_count(1)
    await page.get_by_label("Filter people").fill("nobody at all")
    await expect(roster).to_contain_text("Nobody matches")
    await page.get_by_label("Filter people").fill("")
    await page.get_by_role("button", name="By channel").click()
    await expect(roster.locator(f"[data-channel='project:{identity}']")).to_contain_text("1 person")
    await roster.get_by_role("link", name=re.compile(identity)).click()
    await expect(avatar(page, "ada")).to_be_visible()
    await expect(avatar(page, "max")).to_be_visible()


async def test_a_tab_that_nobody_uses_is_away_and_back_at_once(app: App, open_page: Open) -> None:
    """After five minutes without a key or a pointer."""
    path = f"/projects/{uuid.uuid4().hex[:12]}"
    ada = (await open_page(path, "ada@northwind.test")).page
    watched = await open_page("/sign-in", "max@northwind.test")
    await watched.page.clock.install()
    await watched.page.goto(app.url + path)
    await is_said(ada, "max", "online")
    await watched.page.clock.fast_forward("05:10")
    await is_said(ada, "max", "away")
    await watched.page.mouse.move(50, 60)
    await is_said(ada, "max", "online")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1600])
async def test_no_presence_view_is_wider_than_its_window(app: App, open_page: Open, width: int, scheme: str) -> None:
    """Long names of channels included."""
    await open_page(f"/projects/{'a-long-name-' * 8}", "max@northwind.test")
    page = (await open_page("/presence", "ada@northwind.test", width=width, scheme=scheme)).page
    for view in ("By person", "By channel"):
        await page.get_by_role("button", name=view).click()
        await expect(member(page, "max").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
