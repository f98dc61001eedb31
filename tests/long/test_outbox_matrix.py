"""What a person sends around every kind of failure: each message ends in the log once, in order, and on the page."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Page, expect

from tests.app import PASSWORD, App, until_it_answers
from tests.e2e.conftest import Open, Watched
from tests.e2e.test_outbox import cut, send, session, settled, worker_of
from tests.e2e.test_project_page import attached

EMAIL = "max@northwind.test"
HANG_S = 12
STOP_S = 30


@dataclass
class Stage:
    """A person on a session's page, and what they have sent."""

    app: App
    watched: Watched
    page: Page
    identity: str = field(default_factory=session)
    sent: list[str] = field(default_factory=list)

    async def say(self, times: int = 1) -> None:
        """Send numbered messages."""
        for _ in range(times):
            self.sent.append(f"message {len(self.sent)}")
            await send(self.page, self.sent[-1])

    async def open(self) -> None:
        """Load the session's page."""
        await self.page.goto(f"{self.app.url}/sessions/{self.identity}")
        await attached(self.page)

    def signal_worker(self, number: signal.Signals) -> None:
        """Send the worker a signal."""
        worker_of(self.app).send_signal(number)


Fault = Callable[[Stage], Awaitable[None]]


def killed(after_ms: int) -> Fault:
    """The worker is killed so long after a message was sent; before it where that is negative."""

    async def fault(stage: Stage) -> None:
        if after_ms < 0:
            stage.signal_worker(signal.SIGKILL)
        await asyncio.sleep(max(0, -after_ms) / 1000)
        await stage.say()
        await asyncio.sleep(max(0, after_ms) / 1000)
        if after_ms >= 0:
            stage.signal_worker(signal.SIGKILL)
        await stage.say(2)
        await until_it_answers(stage.app.url)

    return fault


async def hung(stage: Stage) -> None:
    """The worker stands still."""
    stage.signal_worker(signal.SIGSTOP)
    await stage.say(2)
    await asyncio.sleep(HANG_S)
    await stage.say()
    stage.signal_worker(signal.SIGCONT)


async def stopped(stage: Stage) -> None:
    """The whole app is away, and started again."""
    await asyncio.to_thread(stage.app.process.end)
    await stage.say(2)
    await asyncio.sleep(STOP_S)
    await stage.say()
    await asyncio.to_thread(stage.app.process.start)


async def offline(stage: Stage) -> None:
    """The browser has no network."""
    await cut(stage.app, stage.watched)
    await stage.say(3)
    await stage.watched.context.set_offline(False)


async def signed_out(stage: Stage) -> None:
    """The session ends in another tab; the person signs in again there."""
    other = await stage.watched.context.new_page()
    await other.goto(stage.app.url)
    await other.get_by_role("button", name="Sign out").click()
    await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    await stage.say(3)
    await other.fill("input[name=email]", EMAIL)
    await other.fill("input[name=password]", PASSWORD)
    await other.click("button[type=submit]")
    await expect(other.get_by_role("heading", name="Channels")).to_be_visible()
    await stage.open()
    await other.close()


async def reloaded(stage: Stage) -> None:
    """The page is reloaded before there is an answer."""
    stage.signal_worker(signal.SIGSTOP)
    await stage.say(2)
    reload = asyncio.ensure_future(stage.page.reload())
    stage.signal_worker(signal.SIGKILL)
    await asyncio.wait([reload])  # the browser may say that the connection was refused
    await until_it_answers(stage.app.url)
    await stage.open()


async def closed(stage: Stage) -> None:
    """The tab is closed before there is an answer, and opened again once the worker was replaced."""
    stage.signal_worker(signal.SIGSTOP)
    await stage.say(2)
    await stage.page.close()
    stage.signal_worker(signal.SIGKILL)
    await until_it_answers(stage.app.url)
    stage.page = await stage.watched.context.new_page()
    await stage.open()


FAULTS: dict[str, Fault] = {
    **{f"killed {after_ms} ms after": killed(after_ms) for after_ms in (-50, 0, 50, 400)},
    "hung": hung,
    "stopped": stopped,
    "offline": offline,
    "signed out": signed_out,
    "reloaded": reloaded,
    "closed": closed,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_each_message_around_a_failure_is_stored_once_in_order(app: App, open_page: Open, name: str) -> None:
    """Before, during and after it, three times over."""
    watched = await open_page("/sign-in", EMAIL)
    stage = Stage(app, watched, watched.page)
    await stage.open()
    for _ in range(3):
        await stage.say()
        await FAULTS[name](stage)
        await stage.say()
        await settled(stage.page, stage.identity, app, stage.sent)
    watched.troubles.clear()  # the browser's own words about the network
