"""Reading: the place in a long list, long values, low windows, and addresses that lead nowhere."""

import pytest
from playwright.async_api import Page, expect

from realtime_ui.persistence.database import Database
from tests.app import App
from tests.bulk import fill_log, tenant_named
from tests.e2e.conftest import Open, unplug
from tests.e2e.test_project_page import attached, events, post, project, seqs


async def reader_at(page: Page, seq: int) -> float:
    """Where a row stands below the list's upper edge, in px."""
    script = """seq => document.querySelector(`[data-seq="${seq}"]`).getBoundingClientRect().top
        - document.querySelector('.rt-scroller').getBoundingClientRect().top"""
    return float(await page.evaluate(script, seq))


async def test_a_readers_place_holds_however_long_the_list_becomes(app: App, open_page: Open) -> None:
    """Over 3,000 rows, while further ones come; from there the list goes on, and a click leads to its end."""
    identity = project()
    database = Database(app.database_url, pool=1)
    await fill_log(database, await tenant_named(database, "Northwind"), f"project:{identity}", 3_400)
    await database.close()
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    for _ in range(31):
        shown = (await seqs(page))[0]
        await page.locator(".rt-older").click()
        await expect(page.locator(f"[data-seq='{max(1, shown - 100)}']")).to_be_attached()
    rows = await seqs(page)
    assert rows == list(range(rows[0], rows[0] + 3_000))
    await page.locator(f"[data-seq='{rows[0] + 40}']").scroll_into_view_if_needed()
    place = await reader_at(page, rows[0] + 40)
    for start in range(0, 300, 100):
        await post(app, events(identity, 100, start))
    await expect(page.locator(".rt-unseen")).to_contain_text("300 new messages")
    assert abs(await reader_at(page, rows[0] + 40) - place) < 2
    assert await seqs(page) == rows

    await page.locator(".rt-scroller").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    await expect(page.locator(f"[data-seq='{rows[-1] + 1}']")).to_be_attached()
    await expect(page.locator(f"[data-seq='{rows[-1]}']")).to_be_in_viewport()
    grown = await seqs(page)
    assert grown == list(range(grown[0], grown[0] + len(grown)))
    assert len(grown) <= 3_000

    await page.locator(".rt-unseen").click()
    await expect(page.locator("[data-seq='3700']")).to_be_in_viewport()
    assert (await seqs(page))[-1] == 3_700
    await post(app, events(identity, 1))
    await expect(page.locator("[data-seq='3701']")).to_be_in_viewport()
    assert len(await seqs(page)) <= 500


async def test_a_very_long_value_is_shown_in_part_until_it_is_asked_for(app: App, open_page: Open) -> None:
    """In the list and among the fields; the page stays as high as its window."""
    identity = project()
    text = "long words " * 4_600
    changes: dict[str, object] = {f"field {n}": n for n in range(60)}
    await post(app, [{"type": "project.updated", "payload": {"projectId": identity, "changes": {"text": text}}}])
    await post(app, [{"type": "project.updated", "payload": {"projectId": identity, "changes": changes}}])
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    row = page.locator("[data-seq='1'] .rt-sentence")
    await expect(row.get_by_role("button", name="Show all 50,607 characters")).to_be_visible()
    await expect(page.locator(".rt-field").first).to_be_visible()
    field = page.locator(".rt-field").filter(has=page.get_by_text("text", exact=True))
    await expect(field.get_by_role("button", name="Show all")).to_be_attached()
    assert len(await row.inner_text()) < 600
    assert await page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 0
    await row.get_by_role("button", name="Show all").click()
    await expect(row).to_contain_text(text.strip())
    await row.get_by_role("button", name="Show less").click()
    assert len(await row.inner_text()) < 600


LOW = [(1200, 256), (640, 400), (360, 256)]


@pytest.mark.parametrize(("width", "height"), LOW)
async def test_a_low_window_reaches_the_newest_row_and_the_composer(
    width: int, height: int, app: App, open_page: Open
) -> None:
    """Which is what a zoomed one is: nothing is cut off, and a message is sent and seen."""
    identity = project()
    await post(app, events(identity, 60))
    watched = await open_page(f"/projects/{identity}", "max@northwind.test", width=width)
    page = watched.page
    await page.set_viewport_size({"width": width, "height": height})
    await attached(page)
    await page.locator("[data-seq='60']").scroll_into_view_if_needed()
    await expect(page.locator("[data-seq='60']")).to_be_in_viewport(ratio=1)
    await page.goto(f"{app.url}/sessions/{identity}")
    await attached(page)
    composer = page.get_by_role("textbox", name="Message")
    await composer.scroll_into_view_if_needed()
    await expect(composer).to_be_in_viewport(ratio=1)
    await composer.fill("from a low window")
    await composer.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("from a low window")
    await expect(page.get_by_text("max: from a low window")).to_be_in_viewport(ratio=1)
    await expect(composer).to_be_in_viewport(ratio=1)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(("width", "height"), [(1200, 700), (360, 640), (640, 400)])
async def test_the_banner_covers_neither_the_newest_row_nor_the_composer(
    width: int, height: int, app: App, open_page: Open
) -> None:
    """The page makes room for it, and its list stays at its end."""
    identity = project()
    message = {"type": "session.message.posted", "payload": {"sessionId": identity, "author": "ann", "text": "hello"}}
    await post(app, [message] * 60)
    watched = await open_page(f"/sessions/{identity}", "max@northwind.test", width=width)
    page = watched.page
    await page.set_viewport_size({"width": width, "height": height})
    await attached(page)
    composer, newest, banner = page.locator(".rt-composer"), page.locator("[data-seq='60']"), page.locator(".rt-banner")
    await expect(newest).to_be_attached()
    await unplug(app, watched)
    await expect(banner).to_be_visible()
    await composer.evaluate("box => box.scrollIntoView({ block: 'nearest' })")
    await expect(composer).to_be_in_viewport(ratio=1)
    await expect(newest).to_be_in_viewport(ratio=1)
    edges = "box => { const { top, bottom } = box.getBoundingClientRect(); return [top, bottom]; }"
    [_, row_bottom], [composer_top, composer_bottom] = await newest.evaluate(edges), await composer.evaluate(edges)
    [banner_top, _] = await banner.evaluate(edges)
    assert row_bottom <= composer_top + 1
    assert composer_bottom <= banner_top
    await watched.context.set_offline(False)
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    watched.troubles.clear()  # the browser's own words about the network


async def test_an_address_that_leads_nowhere_is_a_page_with_a_way_home(app: App, open_page: Open) -> None:
    """With the status of one that is not there."""
    watched = await open_page("/sign-in", "max@northwind.test")
    page = watched.page
    answer = await page.goto(f"{app.url}/project/misspelt")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading", name="There is no page at this address")).to_be_visible()
    await expect(page.locator(".rt-bar .rt-brand")).to_be_visible()
    await expect(page.locator(".rt-bar")).to_contain_text("Live")
    await expect(page.locator(".rt-bar")).to_contain_text("max")
    await page.get_by_role("link", name="Go to the list of channels").click()
    await expect(page).to_have_url(f"{app.url}/")
    await expect(page.get_by_role("heading", name="There is no page at this address")).to_be_hidden()
    watched.troubles.clear()  # the browser's own word about the status
