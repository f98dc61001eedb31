"""A page while the server's database is away: it says so, keeps its rows, and goes on by itself."""

import asyncio
import uuid

import httpx
from playwright.async_api import expect

from tests.app import App
from tests.e2e.conftest import Open
from tests.postgres import OwnPostgres
from tests.tab import open_tab


async def test_the_page_says_degraded_while_the_database_is_away_and_goes_on_by_itself(
    app: App, own_port: int, own_postgres: OwnPostgres, open_page: Open
) -> None:
    """Rows stay; an emit is told to come again; what comes after is shown without a reload."""
    project = uuid.uuid4().hex[:12]
    body = {"type": "project.updated", "payload": {"projectId": project, "changes": {"step": 1}}}
    with App.start(own_postgres.url, port=own_port) as own:
        headers = {"Authorization": f"Bearer {own.key}"}
        async with httpx.AsyncClient(base_url=own.url, headers=headers, timeout=30) as http:
            assert (await http.post("/api/events", json=body)).status_code == 202
            cookie = await asyncio.to_thread(own.cookie, "max@northwind.test")
            async with open_tab(own.url, cookie):
                pass  # from now on this worker knows whose cookie it is
            watched = await open_page(f"/projects/{project}", "max@northwind.test", of=own)
            page = watched.page
            await expect(page.locator("[data-seq='1']")).to_be_visible()
            banner = page.locator(".rt-banner")
            dot = page.locator(".rt-dot")
            await expect(dot).to_have_text("Live")

            await asyncio.to_thread(own_postgres.stop)
            await expect(banner).to_contain_text("cannot reach its database")
            await expect(banner).to_have_attribute("data-kind", "degraded")
            await expect(dot).to_have_text("Degraded")
            refused = await http.post("/api/events", json=body)
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["retryable"] is True
            await expect(page.locator("[data-seq='1']")).to_be_visible()
            assert len(watched.sockets) == 1

            async with open_tab(own.url, cookie) as late:  # who comes now is told as well
                await late.until(lambda: late.health and "database" in late.health[-1]["degraded"])
                await asyncio.to_thread(own_postgres.start)
                await expect(banner).to_be_hidden()
                await expect(dot).to_have_text("Live")
                await late.until(lambda: late.health[-1]["degraded"] == [])
            assert (await http.post("/api/events", json=body)).status_code == 202
            await expect(page.locator("[data-seq='2']")).to_be_visible()
            assert len(watched.sockets) == 1
            await page.close()  # before the server goes
