"""Pages over a log whose beginning is gone, and over one that was restored from a backup."""

import asyncio
from typing import Any

import sqlalchemy as sa
from playwright.async_api import Page, expect

from tests.ageing import go_back, let_go
from tests.app import App, command
from tests.e2e.conftest import Open, unplug
from tests.e2e.test_project_page import attached, events, post, project, seqs

NOTE = "Older messages are no longer kept (30 days)."


def change(identity: str, **changes: Any) -> dict[str, Any]:
    """An event that sets fields of a project."""
    return {"type": "project.updated", "payload": {"projectId": identity, "changes": changes}}


async def fields(page: Page) -> dict[str, str]:
    """What the page says of the project now."""
    found: dict[str, str] = await page.eval_on_selector_all(
        ".rt-field", "all => Object.fromEntries(all.map(one => [...one.children].map(each => each.textContent)))"
    )
    return found


async def test_the_list_says_where_the_log_begins(app: App, open_page: Open) -> None:
    """Above the first message kept, once all older ones that there are have come."""
    identity = project()
    await post(app, events(identity, 100))
    await let_go(app.database_url, f"project:{identity}", upto=20)
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    assert await seqs(page) == list(range(51, 101))
    await expect(page.get_by_role("note")).to_have_count(0)
    await page.get_by_role("button", name="Show older (30)").click()
    await expect(page.get_by_role("note")).to_have_text(NOTE)
    await expect(page.locator(".rt-older")).to_have_count(0)
    assert await seqs(page) == list(range(21, 101))


async def test_a_channel_whose_every_message_is_gone_says_so(app: App, open_page: Open) -> None:
    """It is not one where nothing ever happened; and its fields are known."""
    identity = project()
    await post(app, [change(identity, owner="Ada")])
    await let_go(app.database_url, f"project:{identity}", upto=1)
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    await expect(page.get_by_role("note")).to_have_text(NOTE)
    await expect(page.locator(".rt-panel-feed .rt-empty")).to_have_count(0)
    await expect(page.locator(".rt-fields")).to_contain_text("Ada")
    await post(app, [change(identity, owner="Grace")])
    await expect(page.locator("[data-seq='2']")).to_be_visible()
    await expect(page.get_by_role("note")).to_have_text(NOTE)
    assert await fields(page) == {"owner": "Grace"}


async def test_fields_that_changed_inside_a_gap_are_right_after_it(app: App, open_page: Open) -> None:
    """Although no row that the page ever gets tells of them."""
    identity = project()
    await post(app, [change(identity, owner="Ada", risk="low")])
    watched = await open_page(f"/projects/{identity}", "max@northwind.test")
    await attached(watched.page)
    await expect(watched.page.locator(".rt-fields")).to_contain_text("low")
    await unplug(app, watched)
    await post(app, [change(identity, risk="high"), *events(identity, 2)])
    await let_go(app.database_url, f"project:{identity}", upto=2)
    await watched.context.set_offline(False)
    await expect(watched.page.get_by_role("note")).to_have_text("1 message is no longer kept (30 days)")
    await expect(watched.page.locator(".rt-fields")).to_contain_text("high")
    assert await fields(watched.page) == {"owner": "Ada", "risk": "high", "step": "1"}
    watched.troubles.clear()  # the browser's own words about the network


async def test_a_page_over_a_restored_log_shows_just_that_log(app: App, open_page: Open) -> None:
    """No row and no field of the one before is left, though their numbers were higher; and it goes on."""
    identity = project()
    await post(app, [change(identity, owner="Ada", risk="low"), *events(identity, 60)])
    await post(app, [change(identity, owner="Max", lost=n) for n in range(9)])
    watched = await open_page(f"/projects/{identity}", "max@northwind.test")
    page = watched.page
    await attached(page)
    await expect(page.locator("[data-seq='70']")).to_be_visible()
    await expect(page.locator(".rt-fields")).to_contain_text("lost")

    # A backup made after message 61 comes back, in the order that docs/OPERATIONS.md gives.
    await asyncio.to_thread(app.process.end)
    with sa.create_engine(app.database_url, poolclass=sa.NullPool).begin() as connection:
        channel = "channel_id = (SELECT id FROM realtime_channels WHERE channel_name = :name)"
        for statement in (
            "DELETE FROM realtime_events_log WHERE seq > 61 AND",
            "UPDATE realtime_channel_heads SET last_seq = 61, published_seq = 61, published_runs = '{}' WHERE",
        ):
            connection.execute(sa.text(f"{statement} {channel}"), {"name": f"project:{identity}"})
    assert "new epoch" in await asyncio.to_thread(command, app.database_url, "log", "new-epochs")
    await asyncio.to_thread(app.process.start)

    await expect(page.locator("[data-seq='70']")).to_have_count(0)
    await expect(page.locator(".rt-fields")).to_contain_text("Ada")  # set long before the first row shown
    assert await seqs(page) == list(range(12, 62))
    assert await fields(page) == {"owner": "Ada", "risk": "low", "step": "59"}
    await post(app, [change(identity, risk="high"), change(identity, step=4)])
    await expect(page.locator("[data-seq='63']")).to_be_visible()
    await expect(page.locator("[data-seq='62']")).to_contain_text("risk → high")
    assert await seqs(page) == list(range(12, 64))
    assert await fields(page) == {"owner": "Ada", "risk": "high", "step": "4"}
    watched.troubles.clear()  # the browser's own words about the server that was away


async def test_a_page_whose_log_went_back_shows_what_the_log_has_and_says_so(app: App, open_page: Open) -> None:
    """As after a failover that lost the newest rows, with other events under their numbers; rows, and fields."""
    identity = project()
    await post(app, [change(identity, owner="Ada"), *events(identity, 14), change(identity, owner="Max")])
    page = (await open_page(f"/projects/{identity}", "max@northwind.test")).page
    await attached(page)
    await expect(page.locator(".rt-fields")).to_contain_text("Max")
    await expect(page.locator(".rt-restored")).to_have_count(0)
    await go_back(app.database_url, f"project:{identity}", 15)
    for step in (20, 21):
        await post(app, [change(identity, step=step)])
    await expect(page.locator(".rt-restored")).to_contain_text("went back to an earlier state")
    await expect(page.locator("[data-seq='16']")).to_contain_text("20")
    await expect(page.locator("[data-seq='17']")).to_contain_text("21")
    assert await seqs(page) == list(range(1, 18))
    await expect(page.locator(".rt-fields")).to_contain_text("Ada")
    assert await fields(page) == {"owner": "Ada", "step": "21"}
    await page.locator(".rt-restored button").click()
    await expect(page.locator(".rt-restored")).to_have_count(0)
    await expect(page.locator(".rt-dot")).to_have_text("Live")
