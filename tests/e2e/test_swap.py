"""One setting swaps what carries the messages, and nothing that anybody sees."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Page, expect
from socketio import AsyncServer

from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.app import App
from tests.conftest import no_sink
from tests.e2e.conftest import Open
from tests.services import KINDS, PROVIDERS, Service, service

OUTAGE_S = 20


@dataclass
class Ground:
    """An app, and another worker of the same deployment, whose events reach the app's pages over the provider."""

    app: App
    worker: Runtime
    service: Service | None
    tenant: uuid.UUID

    async def emit(self, project: str, first: int, count: int, **more: str) -> None:
        """Let the other worker emit numbered events."""
        for number in range(first, first + count):
            payload = {"projectId": project, "changes": {"step": number}, **more}
            await self.worker.bus.emit("project.updated", payload, self.tenant)


@asynccontextmanager
async def ground(name: str, database_url: str, port: int) -> AsyncIterator[Ground]:
    """Both, on a provider."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(service(name) if name in KINDS else nullcontext())
        environment = running.environment if running else {"REALTIME_PROVIDER": name}
        apps = ExitStack()  # in a thread: the network to the service lives on this loop
        app = await asyncio.to_thread(apps.enter_context, App.start(database_url, port=port, **environment))
        stack.push_async_callback(asyncio.to_thread, apps.close)
        values = {key.lower(): value for key, value in environment.items()}
        settings = Settings.model_validate({**values, "database_url": database_url, "secret_key": "a secret for tests"})
        worker = await stack.enter_async_context(Runtime(settings, AsyncServer(async_mode="asgi"), no_sink))
        ada = await worker.gate.by_token(app.cookie("ada@northwind.test").partition("=")[2])
        assert ada is not None
        yield Ground(app, worker, running, ada.tenant)


async def rows(page: Page) -> list[int]:
    """The numbers of the rows on a page, top to bottom."""
    return [int(each) for each in await page.locator("[data-seq]").evaluate_all("all => all.map(e => e.dataset.seq)")]


@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_same_page_on_every_provider(name: str, database_url: str, own_port: int, open_page: Open) -> None:
    """Two people see each other and the same rows, whichever worker emitted them, once and in order."""
    project = uuid.uuid4().hex[:12]
    async with ground(name, database_url, own_port) as here:
        ada = (await open_page(f"/projects/{project}", "ada@northwind.test", of=here.app)).page
        max_ = (await open_page(f"/projects/{project}", "max@northwind.test", of=here.app)).page
        for page in (ada, max_):
            await expect(page.locator(".rt-dot")).to_have_text("Live")
            await expect(page.get_by_label(re.compile("2 people"))).to_be_visible()
        here.app.emit(("project.updated", {"projectId": project, "changes": {"step": 1}}))
        await here.emit(project, 2, 30)
        await here.emit(project, 32, 1, note="n" * 30_000)  # more than some wires take
        for page in (ada, max_):
            await expect(page.locator("[data-seq='32']")).to_be_visible()
            await expect(page.locator(".rt-fields")).to_contain_text("32")
            seqs = await rows(page)
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        await max_.reload()
        await expect(max_.locator("[data-seq='32']")).to_be_visible()
        async with httpx.AsyncClient(base_url=here.app.url) as http:
            ready = (await http.get("/api/ready")).json()
        assert ready["provider"] == {"name": name, "status": "connected"}
        for page in (ada, max_):
            await page.close()


@pytest.mark.parametrize("name", KINDS)
async def test_a_provider_that_is_away_for_20_s_costs_nobody_a_message(
    name: str, database_url: str, own_port: int, open_page: Open
) -> None:
    """In mid-stream: the banner tells and clears, an admin reads why, nothing is missing, nothing twice."""
    project = uuid.uuid4().hex[:12]
    async with ground(name, database_url, own_port) as here:
        assert here.service is not None
        page = (await open_page(f"/projects/{project}", "max@northwind.test", of=here.app)).page
        health = (await open_page("/health", "ada@northwind.test", of=here.app)).page
        banner = page.locator(".rt-banner")
        sent = 0

        async def stream(seconds: float) -> None:
            nonlocal sent
            for _ in range(round(seconds * 5)):
                sent += 1
                await here.emit(project, sent, 1)
                await asyncio.sleep(0.2)

        await stream(2)
        await expect(page.locator(f"[data-seq='{sent}']")).to_be_visible()
        here.service.network.cut()
        await here.service.kill()
        streaming = asyncio.create_task(stream(OUTAGE_S))
        await expect(banner).to_contain_text("Messages between servers are slow")
        await expect(page.locator(f"[data-seq='{sent}']")).to_be_visible()
        await expect(health.get_by_role("alert")).to_contain_text("The provider is in trouble since")
        await streaming
        await here.service.start()
        here.service.network.restore()
        await stream(2)
        await expect(banner).to_be_hidden()
        await expect(health.get_by_text("The provider was last in trouble at")).to_be_visible()
        await stream(2)
        await expect(page.locator(f"[data-seq='{sent}']")).to_be_visible()
        seqs = await rows(page)
        assert seqs == list(range(sent - len(seqs) + 1, sent + 1))
        async with httpx.AsyncClient(base_url=here.app.url) as http:
            key = {"Authorization": f"Bearer {here.app.key}"}
            history = (await http.get(f"/api/channels/project:{project}/history?limit=1000", headers=key)).json()
        assert [each["data"]["changes"]["step"] for each in history["messages"]] == list(range(1, sent + 1))
        for each in (page, health):
            await each.close()
