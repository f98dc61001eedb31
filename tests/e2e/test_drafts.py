"""Messages that are being written stream into the session page and give way to the final one."""

import uuid
from typing import Any

from playwright.async_api import expect

from tests.app import App
from tests.e2e.conftest import Open
from tests.e2e.test_project_page import attached, post, seqs


def chunk(session: str, message: str, index: int, text: str) -> dict[str, Any]:
    """A piece of a message."""
    payload = {"sessionId": session, "messageId": message, "index": index, "text": text, "author": {"name": "Ada"}}
    return {"type": "session.message.delta", "payload": payload}


def final(session: str, message: str, text: str) -> dict[str, Any]:
    """The message, whole."""
    payload = {"sessionId": session, "messageId": message, "text": text, "author": {"name": "Ada"}}
    return {"type": "session.message", "payload": payload}


async def test_chunks_become_a_draft_and_the_final_message_takes_its_place(app: App, open_page: Open) -> None:
    """In order of their index, each once, a hole told; what comes after the final message changes nothing."""
    session = uuid.uuid4().hex[:12]
    page = (await open_page(f"/sessions/{session}", "max@northwind.test")).page
    await attached(page)
    draft = page.locator("[data-draft='m1']")
    await post(app, [chunk(session, "m1", 0, "Hello "), chunk(session, "m1", 2, "there")])
    await expect(draft).to_contain_text("Ada: Hello …there")
    await post(app, [chunk(session, "m1", 1, "you "), chunk(session, "m1", 2, "there")])
    await expect(draft).to_contain_text("Ada: Hello you there")
    await expect(page.get_by_role("log").locator("[data-draft]")).to_have_count(0)
    await post(app, [final(session, "m1", "Hello you there!")])
    await expect(page.locator("[data-seq='1']")).to_contain_text("Ada: Hello you there!")
    await expect(draft).to_have_count(0)
    await post(app, [chunk(session, "m1", 3, "late"), chunk(session, "m2", 0, "Next")])
    await expect(page.locator("[data-draft='m2']")).to_contain_text("Ada: Next")
    await expect(draft).to_have_count(0)
    assert await seqs(page) == [1]


async def test_a_final_message_that_comes_first_leaves_no_draft(app: App, open_page: Open) -> None:
    """Nor does a page that is loaded meanwhile show what was never stored."""
    session = uuid.uuid4().hex[:12]
    watched = await open_page(f"/sessions/{session}", "max@northwind.test")
    page = watched.page
    await attached(page)
    await post(app, [final(session, "m1", "Done.")])
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    await post(app, [chunk(session, "m1", 0, "Do"), chunk(session, "m2", 0, "Other")])
    await expect(page.locator("[data-draft='m2']")).to_be_visible()
    await expect(page.locator("[data-draft='m1']")).to_have_count(0)
    await page.reload()
    await attached(page)
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    await expect(page.locator("[data-draft]")).to_have_count(0)
