"""Who emitted a row, and text from outside that must not turn what stands beside it."""

import asyncio
import os
import uuid
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.app import App
from tests.e2e.conftest import Open

ADA, MAX = "ada@northwind.test", "max@northwind.test"
TURNED = "Please wire the money \u202egpj.exe"


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
async def test_a_row_says_that_a_key_wrote_it_whatever_its_payload_claims(
    app: App, open_page: Open, width: int, scheme: str
) -> None:
    """A person's own message says nothing of the kind; what comes from outside is isolated, piece by piece."""
    identity = uuid.uuid4().hex[:12]
    claimed: dict[str, object] = {"sessionId": identity, "text": TURNED, "author": {"name": "Ada"}}
    await asyncio.to_thread(app.emit, ("session.message", claimed))
    page = (await open_page(f"/sessions/{identity}", MAX, width=width, scheme=scheme)).page
    forged = page.locator("[data-seq='1']")
    await expect(forged.locator(".rt-emitter")).to_have_text("from the key tests")
    await expect(forged.locator(".rt-emitter")).to_be_visible()
    assert await forged.locator("bdi").all_text_contents() == ["Ada", TURNED, "tests"]
    await page.get_by_role("textbox", name="Message").fill("Really?")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("[data-seq='2']")).to_contain_text("Really?")
    await expect(page.locator("[data-seq='2'] .rt-emitter")).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"emitter-{width}-{scheme}.png")
