"""The project page: rows once, in order, kept, older ones on demand."""

import asyncio
import uuid
from typing import Any

import httpx
from playwright.async_api import Page, expect

from realtime_ui.persistence.database import Database
from tests.ageing import let_go
from tests.app import App
from tests.bulk import fill_log, tenant_named
from tests.e2e.conftest import Open, unplug
from tests.stored import UNREADABLE, store_raw

# Remembers every row that ever stood in the feed, in the order in which it came.
REMEMBER = """
window.rows = [];
new MutationObserver((changes) => {
  for (const change of changes)
    for (const node of change.addedNodes)
      if (node.nodeType === 1)
        for (const row of [node, ...node.querySelectorAll('[data-seq]')])
          if (row.dataset?.seq) window.rows.push(Number(row.dataset.seq));
}).observe(document, { childList: true, subtree: true });
"""
# Remembers what panels said while they had nothing to show.
REMEMBER_EMPTY = """
window.empty = [];
new MutationObserver(() => {
  for (const each of document.querySelectorAll('.rt-empty')) window.empty.push(each.textContent);
}).observe(document, { childList: true, subtree: true });
"""


def project() -> str:
    """An id that no other test uses."""
    return uuid.uuid4().hex[:12]


def events(identity: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    """Numbered events of a project."""
    return [
        {"type": "project.updated", "payload": {"projectId": identity, "changes": {"step": n}}}
        for n in range(start, start + count)
    ]


async def post(app: App, body: list[dict[str, Any]]) -> None:
    """Emit a list over HTTP."""
    async with httpx.AsyncClient(timeout=60) as http:
        response = await http.post(f"{app.url}/api/events", json=body, headers={"Authorization": f"Bearer {app.key}"})
        assert response.status_code == 202, response.text


async def seqs(page: Page) -> list[int]:
    """The rows that stand in the feed."""
    found: list[int] = await page.eval_on_selector_all("[data-seq]", "rows => rows.map(r => Number(r.dataset.seq))")
    return found


async def attached(page: Page) -> None:
    """Wait until the feed is."""
    await expect(page.locator(".rt-feed")).to_have_attribute("data-status", "attached")


async def test_two_thousand_events_in_bursts_all_once_in_order_in_two_browsers(app: App, open_page: Open) -> None:
    """Both browsers agree on every row, and hold a bounded list of them."""
    identity = project()
    pages = []
    for email in ("ada@northwind.test", "max@northwind.test"):
        watched = await open_page("/sign-in", email)
        await watched.context.add_init_script(REMEMBER)
        await watched.page.goto(f"{app.url}/projects/{identity}")
        await attached(watched.page)
        pages.append(watched.page)
    for start in range(0, 2000, 100):
        half = events(identity, 100, start)
        await asyncio.gather(*(post(app, [event]) for event in half[:20]), post(app, half[20:]))
    for page in pages:
        await expect(page.locator("[data-seq='2000']")).to_be_visible()
        assert await page.evaluate("window.rows") == list(range(1, 2001))
        assert await seqs(page) == list(range(1501, 2001))


async def test_a_row_is_a_sentence_with_its_time_and_the_raw_event_on_demand(app: App, open_page: Open) -> None:
    """Known types read well; unknown ones by their name."""
    identity = project()
    payload = {"projectId": identity, "changes": {"status": "done", "risk": None}, "by": {"name": "Grace"}}
    await post(
        app,
        [
            {"type": "project.updated", "payload": payload},
            {"type": "project.budget_checked", "payload": {"projectId": identity}},
        ],
    )
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    first, second = page.locator("[data-seq='1']"), page.locator("[data-seq='2']")
    await expect(first).to_contain_text("Grace changed risk → nothing, status → done")
    assert len((await first.locator("time").inner_text()).split(":")) == 3
    await expect(second).to_contain_text("Project budget checked")
    await expect(first.locator("pre")).to_have_count(0)
    await first.get_by_role("button", name="Raw event 1").click()
    await expect(first.locator("pre")).to_contain_text(f'"projectId": "{identity}"')


async def test_older_rows_come_on_demand(app: App, open_page: Open) -> None:
    """The page begins with the last 50 and says how many there are above."""
    identity = project()
    await post(app, events(identity, 170))
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    assert await seqs(page) == list(range(121, 171))
    await page.get_by_role("button", name="Show older (120)").click()
    await expect(page.get_by_role("button", name="Show older (20)")).to_be_visible()
    assert await seqs(page) == list(range(21, 171))
    await page.get_by_role("button", name="Show older (20)").click()
    await expect(page.locator("[data-seq='1']")).to_be_attached()
    await expect(page.locator(".rt-older")).to_have_count(0)
    assert await seqs(page) == list(range(1, 171))


async def test_the_fields_are_what_the_log_says_and_follow_it(app: App, open_page: Open) -> None:
    """Those set long before the first row shown, too."""
    identity = project()
    await post(app, [{"type": "project.updated", "payload": {"projectId": identity, "changes": {"owner": "Ada"}}}])
    await post(app, events(identity, 80))
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    fields = page.locator(".rt-fields")
    await expect(fields).to_contain_text("Ada")
    await expect(fields).to_contain_text("79")
    # A field keeps its newest value however many rows come after, more than the list holds.
    await post(app, [{"type": "project.updated", "payload": {"projectId": identity, "changes": {"risk": "high"}}}])
    for start in range(0, 600, 200):
        await post(app, events(identity, 200, start))
    await expect(fields).to_contain_text("599")
    await expect(fields).to_contain_text("high")
    changes = {"owner": "Grace", "step": None}
    await post(app, [{"type": "project.updated", "payload": {"projectId": identity, "changes": changes}}])
    await expect(fields).to_contain_text("Grace")
    await expect(fields).not_to_contain_text("599")


async def test_the_fields_of_a_log_that_was_never_folded_come_while_it_is_read(app: App, open_page: Open) -> None:
    """Those set last at once, the others when the whole log has been read; the page never says that there is none."""
    identity = project()
    page = (await open_page("/", "max@northwind.test")).page
    await page.evaluate(REMEMBER_EMPTY)
    database = Database(app.database_url, pool=1)
    await fill_log(database, await tenant_named(database, "Northwind"), f"project:{identity}", 3_050)
    await database.close()
    await page.locator(f"[data-channel='project:{identity}'] a").click()
    fields = page.locator(".rt-fields")
    await expect(fields).to_contain_text("3050")
    await expect(fields).to_contain_text("3000")
    await expect(page.locator(".rt-panel-fields .rt-empty")).to_have_count(0)
    assert not [text for text in await page.evaluate("window.empty") if "No field" in text]


async def test_rows_stay_while_offline_and_what_was_missed_comes_after(app: App, open_page: Open) -> None:
    """The banner says so, and goes."""
    identity = project()
    await post(app, events(identity, 5))
    watched = await open_page(f"/projects/{identity}", "max@northwind.test")
    page = watched.page
    await attached(page)
    banner = page.get_by_role("status").filter(has_text="offline")
    await unplug(app, watched)
    await expect(banner).to_be_visible()
    await post(app, events(identity, 300, 5))
    assert await seqs(page) == [1, 2, 3, 4, 5]
    await watched.context.set_offline(False)
    await expect(page.locator("[data-seq='305']")).to_be_visible()
    await expect(banner).to_be_hidden()
    assert await seqs(page) == list(range(1, 306))
    await post(app, events(identity, 1, 305))
    await expect(page.locator("[data-seq='306']")).to_be_visible()
    watched.troubles.clear()  # the browser's own words about the network


async def test_what_the_log_no_longer_keeps_is_a_gap_that_is_told(app: App, open_page: Open) -> None:
    """With its size, between what was held and what came after."""
    identity = project()
    await post(app, events(identity, 5))
    watched = await open_page(f"/projects/{identity}", "max@northwind.test")
    await attached(watched.page)
    await unplug(app, watched)
    await post(app, events(identity, 20, 5))
    await let_go(app.database_url, f"project:{identity}", upto=15)
    await watched.context.set_offline(False)
    await expect(watched.page.locator("[data-seq='25']")).to_be_visible()
    await expect(watched.page.get_by_role("note")).to_have_text("10 messages are no longer kept (30 days)")
    assert await seqs(watched.page) == [*range(1, 6), *range(16, 26)]
    watched.troubles.clear()


async def test_a_reader_further_up_is_not_moved_and_hears_how_many_are_new(app: App, open_page: Open) -> None:
    """And one press leads to the end."""
    identity = project()
    await post(app, events(identity, 60))
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    scroller = page.locator(".rt-scroller")
    await scroller.evaluate(
        """box => new Promise(seen => {
            box.addEventListener("scroll", () => requestAnimationFrame(seen), {once: true});
            box.scrollTop = 100;
        })"""
    )
    await post(app, events(identity, 7, 60))
    await page.get_by_role("button", name="7 new messages").click()
    await expect(page.locator("[data-seq='67']")).to_be_in_viewport()
    await post(app, events(identity, 1, 67))
    await expect(page.locator("[data-seq='68']")).to_be_in_viewport()


async def test_both_namespaces_share_one_websocket(app: App, open_page: Open) -> None:
    """Also after moving to another page inside the app."""
    identity = project()
    await post(app, events(identity, 1))
    watched = await open_page("/", "max@northwind.test")
    await watched.page.locator(f"[data-channel='project:{identity}'] a").click()
    await attached(watched.page)
    assert len(watched.sockets) == 1


async def test_an_event_that_cannot_be_shown_stands_between_the_others(app: App, open_page: Open) -> None:
    """With its size and the reason, whether it was there before or comes now; the rows around it are as ever."""
    identity = project()
    await post(app, events(identity, 1))
    deep, large = UNREADABLE["900 levels"][1], UNREADABLE["300 kB"][1]
    await store_raw(app.database_url, f"project:{identity}", deep, large)
    await post(app, events(identity, 1, start=1))
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    await expect(page.locator("[data-seq='2']")).to_contain_text(
        "This event can’t be shown: 1.8 kB, nested too deeply."
    )
    await expect(page.locator("[data-seq='3']")).to_contain_text("This event can’t be shown: 300 kB, too large.")
    await store_raw(app.database_url, f"project:{identity}", deep)
    await post(app, events(identity, 1, start=2))
    await expect(page.locator("[data-seq='5']")).to_contain_text("nested too deeply")
    await expect(page.locator("[data-seq='6']")).to_contain_text("step → 2")
    assert await seqs(page) == [1, 2, 3, 4, 5, 6]
    await expect(page.locator(".rt-fields")).to_contain_text("step")
