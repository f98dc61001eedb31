"""The pages of the monitor: connections and their heartbeats, and the health of the workers."""

import asyncio
import re
import uuid

import pytest
import sqlalchemy as sa
from playwright.async_api import Page, expect

from tests.app import App
from tests.e2e.conftest import Open
from tests.integration.test_heartbeats import set_heartbeat

ADA, MAX = "ada@northwind.test", "max@northwind.test"


def project() -> tuple[str, str]:
    """A project's page, and its channel."""
    identity = uuid.uuid4().hex[:12]
    return f"/projects/{identity}", f"project:{identity}"


async def test_a_connection_comes_lives_and_goes_before_an_admins_eyes(app: App, open_page: Open) -> None:
    """Its person, browser, latency and messages; from the row to its channel; gone when the tab closes."""
    path, channel = project()
    page = (await open_page("/connections", ADA)).page
    await expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    watched = await open_page(path, MAX)
    row = page.locator(f"[data-channel='{channel}']")
    await expect(row).to_have_attribute("data-state", "alive")
    await expect(row).to_contain_text("max")
    await expect(row).to_contain_text("HeadlessChrome")
    await expect(row.locator(".rt-latency")).to_contain_text(re.compile(r"\d+ ms"))
    event: tuple[str, dict[str, object]] = ("project.updated", {"projectId": channel[8:]})
    await asyncio.to_thread(app.emit, *[event] * 3)
    await expect(row.locator("[data-name=messages]")).to_have_text("3")
    await expect(row.get_by_role("link", name=channel[8:])).to_have_attribute("href", path)
    await watched.context.close()
    await expect(row).to_have_attribute("data-state", "gone")
    await page.get_by_role("button", name="alive").click()
    await expect(row).to_have_count(0)
    await page.get_by_role("button", name="alive").click()
    await row.get_by_role("link", name=channel[8:]).click()
    await expect(page.get_by_role("log")).to_be_visible()


async def test_the_filter_finds_by_any_word_and_a_name_by_a_click(app: App, open_page: Open) -> None:
    """And says so where nothing matches."""
    path, channel = project()
    await open_page(path, MAX)
    page = (await open_page("/connections", ADA)).page
    row = page.locator(f"[data-channel='{channel}']")
    await row.get_by_role("button", name="max", exact=True).click()
    await expect(page.get_by_label("Filter connections")).to_have_value("max")
    await expect(row).to_be_visible()
    await page.get_by_label("Filter connections").fill(f"linux {channel[8:]}")
    await expect(page.locator("[data-channel]")).to_have_count(1)
    await page.get_by_label("Filter connections").fill("no such thing")
    await expect(page.get_by_text("No connection matches.")).to_be_visible()


async def test_a_silent_tab_is_shown_as_late_and_then_stale(app: App, open_page: Open) -> None:
    """As seen on a page beside it; and it is well again when it speaks."""
    path, channel = project()
    page = (await open_page("/connections", ADA)).page
    tab = (await open_page(path, MAX)).page
    row = page.locator(f"[data-channel='{channel}']")
    set_heartbeat(app, "project", 1_000, 5_000)
    try:
        await expect(row.get_by_role("img", name=re.compile("the last [3-9]"))).to_be_visible()
        busy = asyncio.create_task(
            tab.evaluate("const begun = performance.now(); while (performance.now() - begun < 8000);")
        )
        await expect(row).to_have_attribute("data-state", "late")
        await expect(row).to_have_attribute("data-state", "stale")
        await busy
        await expect(page.locator(f"[data-channel='{channel}'][data-state='alive']")).to_have_count(1)
    finally:
        set_heartbeat(app, "project", 30_000, 90_000)


async def test_an_admin_closes_a_connection_and_its_page_says_so(app: App, open_page: Open) -> None:
    """It comes back when the page is loaded anew."""
    path, channel = project()
    page = (await open_page("/connections", ADA)).page
    tab = (await open_page(path, MAX)).page
    row = page.locator(f"[data-channel='{channel}']")
    await row.get_by_role("button", name="Close").click()
    await expect(tab.get_by_role("status").filter(has_text="An admin closed this connection")).to_be_visible()
    await expect(row).to_have_attribute("data-state", "gone")
    await tab.reload()
    await expect(tab.locator(".rt-feed")).to_have_attribute("data-status", "attached")


async def test_an_admin_sets_a_heartbeat_and_hears_what_is_wrong(app: App, open_page: Open) -> None:
    """In words, at the field; what is right is saved and holds for the next page."""
    page = (await open_page("/connections", ADA)).page
    form = page.get_by_role("form", name="Heartbeat of user")
    timeout = form.get_by_label("user: timeout in seconds")
    await expect(form.get_by_role("button", name="Save")).to_be_disabled()
    await timeout.fill("50")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("less than two intervals of 30 s")
    await expect(timeout).to_have_attribute("aria-invalid", "true")
    await timeout.fill("120")
    await timeout.press("Enter")
    await expect(form.get_by_role("status")).to_have_text("Saved")
    again = (await open_page("/connections", ADA)).page
    await expect(again.get_by_label("user: timeout in seconds")).to_have_value("120")
    set_heartbeat(app, "user", 30_000, 90_000)


async def test_a_member_sees_their_own_connections_and_no_more(app: App, open_page: Open) -> None:
    """No charts, no settings, no button; and no page about the servers."""
    path, _ = project()
    await open_page(path, ADA)
    page = (await open_page(path, MAX)).page
    await expect(page.locator(".rt-feed")).to_have_attribute("data-status", "attached")
    await page.get_by_role("link", name="Connections").click()
    await expect(page.get_by_role("heading", name="Your connections")).to_be_visible()
    assert set(await page.locator(".rt-who .rt-link").all_text_contents()) <= {"max"}
    await expect(page.get_by_role("button", name="Close")).to_have_count(0)
    await expect(page.get_by_role("heading", name="Heartbeats")).to_have_count(0)
    await expect(page.get_by_role("link", name="Health")).to_have_count(0)
    await page.goto(f"{app.url}/health")
    await expect(page.get_by_text("only its operators see it")).to_be_visible()


async def test_another_tenants_admin_sees_its_connections_and_nothing_of_the_server(app: App, open_page: Open) -> None:
    """Its own charts and buttons, but no heartbeats to set; the page about the servers says whose it is."""
    page = (await open_page("/connections", "eve@contoso.test")).page
    await expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    await expect(page.get_by_label("The last hour by channel type")).to_be_visible()
    await expect(page.get_by_role("heading", name="Heartbeats")).to_have_count(0)
    await expect(page.get_by_role("link", name="Health")).to_have_count(0)
    await page.goto(f"{app.url}/health")
    await expect(page.get_by_text("OPERATOR_TENANT")).to_be_visible()
    await expect(page.locator(".rt-workers")).to_have_count(0)


def past_hour(app: App) -> None:
    """Samples of a worker that has ended since."""
    with sa.create_engine(app.database_url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(
            sa.text("""
                INSERT INTO realtime_health_samples
                    (worker, minute, sockets, streams, stale, hub_lag_ms, refused, dropped)
                SELECT 'before', date_trunc('minute', now()) - make_interval(mins => n), 40 + n % 5, 3, 0, n, 1, 0
                FROM generate_series(2, 50) n ON CONFLICT DO NOTHING
            """)
        )
        connection.execute(
            sa.text("""
                INSERT INTO realtime_traffic_samples (worker, minute, tenant_id, channel_type, connections, messages,
                                                      latency_p50_ms, latency_p95_ms, missed)
                SELECT 'before', date_trunc('minute', now()) - make_interval(mins => n), t.id, 'project',
                       40, 7, 12, 30, 0
                FROM generate_series(2, 50) n, tenants t WHERE t.name = 'Northwind' ON CONFLICT DO NOTHING
            """)
        )


async def test_health_tells_of_the_workers_and_of_the_hour_before_they_began(app: App, open_page: Open) -> None:
    """Charts come from the table, so they outlast a restart."""
    past_hour(app)
    page = (await open_page("/health", ADA)).page
    await expect(page.locator(".rt-tile").filter(has_text="Database")).to_contain_text("answers")
    await expect(page.locator(".rt-tile").filter(has_text="Provider")).to_contain_text("connected")
    await expect(page.locator(".rt-workers tbody tr")).to_have_count(1)
    chart = page.get_by_role("img", name=re.compile("Sockets and streams"))
    await expect(chart.locator("polyline")).not_to_have_count(0)
    sockets = page.locator(".rt-tile").filter(has=page.get_by_text("Sockets", exact=True)).locator("dd")
    await expect(sockets).to_have_text(re.compile(r"[1-9]\d*"))


async def latest(page: Page, title: str) -> str:
    """What a chart says of the newest minute."""
    return await page.get_by_role("img", name=re.compile(title)).get_attribute("aria-label") or ""


async def test_charts_say_their_values_in_words(app: App, open_page: Open) -> None:
    """For those who cannot see lines."""
    past_hour(app)
    page = (await open_page("/connections", ADA)).page
    await expect(page.get_by_role("img", name=re.compile("Latency, median"))).to_be_visible()
    assert re.search(r"Latency, median: .*\d+ ms", await latest(page, "Latency, median"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
async def test_no_page_of_the_monitor_is_wider_than_its_window(
    app: App, open_page: Open, width: int, scheme: str
) -> None:
    """With a long name in it."""
    past_hour(app)
    await open_page(f"/projects/{'long-' * 12}{width}", MAX)
    for path, sign in (("/connections", "[data-channel]"), ("/health", ".rt-workers")):
        page = (await open_page(path, ADA, width=width, scheme=scheme)).page
        await expect(page.locator(sign).first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
