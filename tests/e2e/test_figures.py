"""Pages say what is so: how old a figure is, by whose clock a time goes, what was saved."""

import asyncio
import re
import uuid

import pytest
import sqlalchemy as sa
from playwright.async_api import Locator, Page, WebSocketRoute, expect

from tests.app import App
from tests.e2e.conftest import Open
from tests.e2e.test_line import FRAME
from tests.e2e.test_project_page import attached, events, post
from tests.integration.test_database_away import frozen
from tests.integration.test_heartbeats import set_heartbeat
from tests.postgres import OwnPostgres

ADA = "ada@northwind.test"
MOMENTS = re.compile(r"^(just now|\d+ sec\. ago)$")
OTHER = """
    INSERT INTO realtime_workers (id, started_at, seen_at, state)
    SELECT 'other', now() - interval '1 hour', now(), state FROM realtime_workers LIMIT 1
"""
FIVE_MINUTES_AGO = """
    UPDATE realtime_channels SET last_activity_at = now() - interval '5 minutes' WHERE channel_name = :name
"""


def tile(page: Page, name: str) -> Locator:
    """A figure of the page about the workers."""
    return page.locator(".rt-tile").filter(has=page.get_by_text(name, exact=True))


async def test_figures_of_a_frozen_database_are_not_shown_as_new(
    app: App, own_port: int, own_postgres: OwnPostgres, open_page: Open
) -> None:
    """It is away, the lag is unknown, and what another worker last said is greyed and has its age."""
    with App.start(own_postgres.url, port=own_port) as own:
        watched = await open_page("/health", ADA, of=own)
        page = watched.page
        await expect(tile(page, "Database")).to_contain_text("answers")
        await expect(tile(page, "Hub lag")).to_contain_text("0 ms")
        with sa.create_engine(own_postgres.url, poolclass=sa.NullPool).begin() as connection:
            connection.execute(sa.text(OTHER))
        other = page.locator(".rt-workers tbody tr").filter(has_text="other")
        await expect(other).to_have_attribute("data-old", "false")
        with frozen(own_postgres):
            await expect(tile(page, "Database")).to_contain_text("away")
            await expect(tile(page, "Hub lag")).to_contain_text("unknown")
            await expect(other).to_have_attribute("data-old", "true")
            await expect(other).to_contain_text("as of ")
            await expect(tile(page, "Sockets")).to_have_attribute("data-old", "true")
            await expect(tile(page, "Sockets")).to_contain_text("as of ")
            await expect(tile(page, "Database")).to_have_attribute("data-old", "false")
            newcomer = await watched.context.new_page()
            await newcomer.goto(f"{own.url}/projects/x")
            await expect(newcomer.locator(".rt-dot")).to_have_text("Degraded")
            await expect(newcomer.locator(".rt-panel-fields")).to_contain_text("Loading…")
        await expect(newcomer.locator(".rt-panel-fields")).to_contain_text("No field has been set yet")
        await expect(newcomer.locator(".rt-dot")).to_have_text("Live")
        await newcomer.close()
        await expect(tile(page, "Database")).to_contain_text("answers")
        await expect(other).to_have_count(0)
        await expect(tile(page, "Sockets")).to_have_attribute("data-old", "false")
        await page.close()


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_relative_times_go_by_the_servers_clock(minutes: int, app: App, open_page: Open) -> None:
    """However wrong the device's own clock is."""
    old, new = uuid.uuid4().hex[:12], uuid.uuid4().hex[:12]
    for project in (old, new):
        await asyncio.to_thread(app.emit, ("project.updated", {"projectId": project}))
    with sa.create_engine(app.database_url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(FIVE_MINUTES_AGO), {"name": f"project:{old}"})
    watched = await open_page("/sign-in", ADA)
    page = watched.page
    await page.add_init_script(f"const now = Date.now; Date.now = () => now() + {minutes * 60_000};")
    await page.goto(app.url)
    await expect(page.locator(f"[data-channel='project:{old}'] .rt-ago")).to_have_text(re.compile("^[5-9] min. ago$"))
    await expect(page.locator(f"[data-channel='project:{old}']")).to_have_attribute("data-live", "false")
    await asyncio.to_thread(app.emit, ("project.updated", {"projectId": new}))
    await expect(page.locator(f"[data-channel='project:{new}'] .rt-ago")).to_have_text(MOMENTS)
    await page.get_by_role("link", name="Presence").click()
    await expect(page.locator(".rt-member time").first).to_have_text(MOMENTS)


async def test_heartbeat_settings_show_what_was_saved(app: App, open_page: Open) -> None:
    """Where it was saved, and on every other page that is open."""
    pages = [(await open_page("/connections", ADA)).page for _ in range(2)]
    timeouts = [page.get_by_label("user: timeout in seconds") for page in pages]
    for timeout in timeouts:
        await expect(timeout).to_have_value("90")
    try:
        await timeouts[0].fill("121.0004")
        await timeouts[0].press("Enter")
        await expect(pages[0].get_by_role("form", name="Heartbeat of user").get_by_role("status")).to_have_text("Saved")
        for timeout in timeouts:
            await expect(timeout).to_have_value("121")
    finally:
        set_heartbeat(app, "user", 30_000, 90_000)
    for timeout in timeouts:
        await expect(timeout).to_have_value("90")


async def test_a_page_whose_messages_come_late_does_not_say_that_it_is_live(app: App, open_page: Open) -> None:
    """It says by how much; and that it is live when they come in time again."""
    project = uuid.uuid4().hex[:12]
    watched = await open_page("/sign-in", ADA)
    page = watched.page
    slow = asyncio.Event()

    def through(line: WebSocketRoute) -> None:
        server = line.connect_to_server()

        def deliver(packet: str | bytes) -> None:
            if slow.is_set() and str(packet).startswith(FRAME):
                asyncio.get_running_loop().call_later(5, line.send, packet)
            else:
                line.send(packet)

        server.on_message(deliver)

    await page.route_web_socket(re.compile("/_event"), through)
    await page.goto(f"{app.url}/projects/{project}")
    await attached(page)
    dot, banner = page.locator(".rt-dot"), page.locator(".rt-banner")
    await post(app, events(project, 1))
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    await expect(dot).to_have_text("Live")
    slow.set()
    await post(app, events(project, 1, 1))
    await expect(dot).to_have_text("Behind")
    await expect(banner).to_contain_text(re.compile(r"was sent \d+ s ago"))
    await expect(page.locator("[data-seq='2']")).to_be_visible()
    slow.clear()
    await post(app, events(project, 1, 2))
    await expect(page.locator("[data-seq='3']")).to_be_visible()
    await expect(dot).to_have_text("Live")
    await page.close()
