"""The list of channels: every channel is reached, the active ones are on top, titles are new ones at once."""

import asyncio
import uuid

import httpx
import sqlalchemy as sa
from playwright.async_api import Page, expect

from realtime_ui.persistence.database import Database
from tests.app import App
from tests.bulk import tenant_named
from tests.e2e.conftest import Open
from tests.e2e.test_project_page import attached, events, post, project

_ADD = sa.text("""
    INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type, title, last_activity_at, created_at)
    SELECT gen_random_uuid(), :tenant, 'project:' || :word || '-' || n, 'project', 'Plan ' || n,
           now() - n * interval '1 day', now() - interval '9 years'
    FROM generate_series(1, :count) n
""")


async def add_channels(app: App, count: int) -> str:
    """Make channels that were active long ago, each a day before the other; what their ids begin with."""
    database, word = Database(app.database_url, pool=1), uuid.uuid4().hex[:8]
    values = {"tenant": await tenant_named(database, "Northwind"), "word": word, "count": count}
    async with database.single() as connection:
        await connection.execute(_ADD, values)
    await database.close()
    return word


async def rename(app: App, channel: str, title: str) -> None:
    """Give a channel a title over HTTP."""
    async with httpx.AsyncClient(timeout=60) as http:
        headers = {"Authorization": f"Bearer {app.key}"}
        response = await http.put(f"{app.url}/api/channels/{channel}", json={"title": title}, headers=headers)
        assert response.status_code == 200, response.text


async def listed(page: Page) -> list[str]:
    """The channels that stand in the list."""
    found: list[str] = await page.eval_on_selector_all(
        ".rt-channels [data-channel]", "rows => rows.map(row => row.dataset.channel)"
    )
    return found


async def test_the_list_loads_as_one_scrolls_and_a_search_finds_what_is_further_down(app: App, open_page: Open) -> None:
    """A channel that becomes active moves to the top, where it is once."""
    word = await add_channels(app, 350)
    page = (await open_page("/", "max@northwind.test")).page
    last = page.locator(f"[data-channel='project:{word}-350']")
    await expect(page.locator(".rt-channels li").nth(99)).to_be_attached()
    await expect(last).to_have_count(0)
    search = page.get_by_role("searchbox", name="Search channels")
    await search.fill(f"350 {word[:5]}")
    await expect(last).to_be_visible()
    await expect(page.locator(".rt-channels li")).to_have_count(1)
    await search.fill("nothing is called so")
    await expect(page.get_by_text("No channel matches")).to_be_visible()
    await search.fill("")
    async with asyncio.timeout(60):
        while not await last.count():
            await page.locator(".rt-channels li").last.scroll_into_view_if_needed()
            await asyncio.sleep(0.05)
    before = await listed(page)
    assert len(before) == len(set(before))
    assert [name for name in before if word in name] == [f"project:{word}-{n}" for n in range(1, 351)]
    await post(app, events(f"{word}-350", 1))
    await expect(page.locator(".rt-channels li").first).to_have_attribute("data-channel", f"project:{word}-350")
    assert sorted(await listed(page)) == sorted(before)


async def test_a_new_title_shows_wherever_the_channel_does(app: App, open_page: Open) -> None:
    """In the list, in what was searched for, on the channel's own page, and where people are listed by channel."""
    identity, word = project(), uuid.uuid4().hex[:8]
    await post(app, events(identity, 1))
    home = (await open_page("/", "ada@northwind.test")).page
    searched = (await open_page("/", "ada@northwind.test")).page
    own = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    people = (await open_page("/presence", "ada@northwind.test")).page
    await attached(own)
    await searched.get_by_role("searchbox", name="Search channels").fill(identity)
    row = f"[data-channel='project:{identity}']"
    await expect(searched.locator(row)).to_be_visible()
    await expect(home.locator(row)).to_be_visible()
    await expect(people.get_by_text(identity)).to_be_visible()
    for title in (f"First {word}", f"Second {word}"):
        await rename(app, f"project:{identity}", title)
        await expect(own.get_by_role("heading", name=title)).to_be_visible()
        await expect(home.locator(row)).to_contain_text(title)
        await expect(searched.locator(row)).to_contain_text(title)
        await expect(people.get_by_text(title)).to_be_visible()
