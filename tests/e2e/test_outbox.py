"""What a person sends is never lost: kept in the browser until it is answered, in the log once, or shown as unsent."""

import asyncio
import signal
import uuid
from typing import Any

import psutil
import pytest
from playwright.async_api import Locator, Page, expect

from tests.app import PASSWORD, App, until_it_answers
from tests.e2e.conftest import Open, Watched
from tests.e2e.test_project_page import attached

OTHER = "A message of somebody else's"


def session() -> str:
    """An id that no other test uses."""
    return uuid.uuid4().hex[:12]


def worker_of(app: App) -> psutil.Process:
    """The app's only worker."""
    [worker] = psutil.Process(app.process.pid).children()
    return worker


def line(page: Page) -> Locator:
    """Where messages are written."""
    return page.get_by_role("textbox", name="Message")


async def send(page: Page, text: str) -> None:
    """Write a message and send it; the line is empty when it is kept."""
    await line(page).fill(text)
    await page.keyboard.press("Enter")
    await expect(line(page)).to_have_value("")


async def texts(app: App, identity: str) -> list[str]:
    """The texts in a session's log, in order."""
    return [row["data"]["text"] for row in await asyncio.to_thread(app.history, f"session:{identity}")]


async def settled(page: Page, identity: str, app: App, wanted: list[str]) -> None:
    """Wait until the page shows that many rows and nothing unsent; the log then has exactly these."""
    await expect(page.locator(f"[data-seq='{len(wanted)}']")).to_be_visible()
    await expect(page.locator(".rt-pending")).to_have_count(0)
    assert await texts(app, identity) == wanted


async def cut(app: App, watched: Watched) -> None:
    """Take a page's network away, the open socket included."""
    await watched.context.set_offline(True)
    worker_of(app).send_signal(signal.SIGKILL)
    await until_it_answers(app.url)


async def sign_in(watched: Watched, app: App, email: str) -> None:
    """Have the browser signed in as somebody."""
    name, _, value = app.cookie(email).partition("=")
    await watched.context.add_cookies([{"name": name, "value": value, "url": app.url, "httpOnly": True}])


@pytest.mark.parametrize("killed_after_ms", [0, 50])
async def test_messages_around_a_killed_worker_are_stored_once_in_order(
    app: App, open_page: Open, killed_after_ms: int
) -> None:
    """Those before, during and after it; whether or not the worker had stored what it never answered."""
    identity = session()
    watched = await open_page(f"/sessions/{identity}", "max@northwind.test")
    page = watched.page
    await attached(page)
    wanted = [f"message {n}" for n in range(6)]
    for n, text in enumerate(wanted):
        await send(page, text)
        if n == 2:
            await page.wait_for_timeout(killed_after_ms)
            worker_of(app).send_signal(signal.SIGKILL)
    await settled(page, identity, app, wanted)
    watched.troubles.clear()  # the browser's own words about the network


async def test_a_message_to_a_worker_that_hangs_is_shown_as_sending_and_stored_once(app: App, open_page: Open) -> None:
    """At the end of the feed, in all of the person's tabs, and nobody else's."""
    identity = session()
    watched = await open_page(f"/sessions/{identity}", "max@northwind.test")
    page, second = watched.page, await watched.context.new_page()
    await second.goto(page.url)
    other = (await open_page(f"/sessions/{identity}", "ada@northwind.test")).page
    for each in (page, second, other):
        await attached(each)
    worker = worker_of(app)
    worker.send_signal(signal.SIGSTOP)
    try:
        await send(page, "Hello")
        for each in (page, second):
            await expect(each.locator(".rt-pending[data-state='sending']")).to_have_text("sendingmax: Hello")
        await expect(other.locator(".rt-pending")).to_have_count(0)
        await expect(second.get_by_text("1 unsent")).to_be_visible()
    finally:
        worker.send_signal(signal.SIGCONT)
    for each in (page, second, other):
        await settled(each, identity, app, ["Hello"])


async def test_an_unsent_message_outlives_its_tab_and_a_sign_out_and_is_shown_to_its_person_alone(
    app: App, open_page: Open
) -> None:
    """Somebody else signs in in the same browser meanwhile; it goes out when the first is back."""
    identity = session()
    watched = await open_page(f"/sessions/{identity}", "max@northwind.test")
    page = watched.page
    await attached(page)
    await cut(app, watched)
    await send(page, "Kept")
    held = page.locator(".rt-pending[data-state='held']")
    await expect(held).to_contain_text("Not sent yet. It is kept in this browser.")
    await page.close()

    await watched.context.set_offline(False)
    await sign_in(watched, app, "ada@northwind.test")
    page = await watched.context.new_page()
    await page.goto(f"{app.url}/sessions/{identity}")
    await attached(page)
    await send(page, OTHER)
    await settled(page, identity, app, [OTHER])
    assert "Kept" not in await page.content()
    await expect(page.locator(".rt-unsent-count")).to_have_count(0)

    await sign_in(watched, app, "max@northwind.test")
    await page.goto(f"{app.url}/")  # from any page
    await page.goto(f"{app.url}/sessions/{identity}")
    await settled(page, identity, app, [OTHER, "Kept"])
    watched.troubles.clear()  # the browser's own words about the network


async def test_whoever_signs_out_is_told_what_becomes_of_unsent_messages(app: App, open_page: Open) -> None:
    """Before it happens; they may stay. Sent after the sign-out in another tab, a message is kept as well."""
    identity = session()
    watched = await open_page(f"/sessions/{identity}", "max@northwind.test")
    page = watched.page
    await attached(page)
    second = await watched.context.new_page()
    await second.goto(page.url)
    await attached(second)
    worker = worker_of(app)
    worker.send_signal(signal.SIGSTOP)
    try:
        await send(page, "one")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("alert")).to_contain_text(
            "1 message has not been sent. It is kept in this browser"
        )
        await page.get_by_role("button", name="Stay").click()
    finally:
        worker.send_signal(signal.SIGCONT)
    await settled(page, identity, app, ["one"])
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(second.locator(".rt-banner[data-kind='failed']")).to_be_visible()
    await send(second, "two")
    await expect(second.locator(".rt-pending")).to_contain_text("It is sent when you are signed in again.")
    await page.fill("input[name=email]", "max@northwind.test")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await expect(page.get_by_role("heading", name="Channels")).to_be_visible()
    await page.goto(f"{app.url}/sessions/{identity}")
    await settled(page, identity, app, ["one", "two"])


async def test_a_refused_message_stays_with_its_text_and_the_reason(app: App, open_page: Open) -> None:
    """To try again or to discard, over a reload too; those after it are sent."""
    identity = session()
    page = (await open_page(f"/sessions/{identity}", "max@northwind.test")).page
    await attached(page)
    await line(page).fill("half an emoji: ?")
    await page.evaluate("document.getElementById('message').value = 'half an emoji: \\ud83d'")
    await page.keyboard.press("Enter")
    refused = page.locator(".rt-pending[data-state='refused']")
    await expect(refused).to_contain_text("half an emoji")
    await expect(refused.get_by_role("alert")).to_contain_text("Not sent: payload holds a lone surrogate.")
    await send(page, "after it")
    await page.reload()
    await expect(page.locator("[data-seq='1']")).to_contain_text("after it")
    await refused.get_by_role("button", name="Try again").click()
    await expect(refused.get_by_role("alert")).to_be_visible()
    await refused.get_by_role("button", name="Discard").click()
    await settled(page, identity, app, ["after it"])
    await page.reload()
    await attached(page)
    await expect(refused).to_have_count(0)


async def test_a_long_message_is_sent_whole_or_refused_whole(app: App, open_page: Open) -> None:
    """5,000 characters arrive; what is beyond the bound stays in the line, with both figures."""
    identity = session()
    page = (await open_page(f"/sessions/{identity}", "max@northwind.test")).page
    await attached(page)
    long, longer = "ä" * 5_000, "x" * 70_000
    await send(page, long)
    await settled(page, identity, app, [long])
    await line(page).fill(longer)
    await expect(page.locator(".rt-composer-note")).to_contain_text("of 60,000 bytes")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("bytes; 60,000 is the limit.")
    await expect(line(page)).to_have_value(longer)


async def test_without_storage_a_page_keeps_messages_and_asks_before_it_goes(app: App, open_page: Open) -> None:
    """As in a private window; and only while something is unsent."""
    identity = session()
    watched = await open_page("/sign-in", "max@northwind.test")
    page = watched.page
    await watched.context.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('none here'); }")
    await page.goto(f"{app.url}/sessions/{identity}")
    await attached(page)
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def dismissed(dialog: Any) -> None:
        await asked.put(dialog.type)
        await dialog.dismiss()

    page.on("dialog", dismissed)
    await cut(app, watched)
    await send(page, "Kept here")
    await expect(page.locator(".rt-pending")).to_contain_text("Keep this page open.")
    await page.evaluate("location.href = '/'")
    assert await asyncio.wait_for(asked.get(), 60) == "beforeunload"
    await expect(page.locator(".rt-pending")).to_contain_text("Kept here")
    watched.troubles.clear()  # the browser's own words about the network
