"""The start page, sessions, signing in and out, and how all of it looks at the edges."""

import asyncio
import re
import uuid

import httpx
import pytest
from playwright.async_api import expect

from tests.app import PASSWORD, App
from tests.e2e.conftest import Open


async def emit(app: App, kind: str, payload: dict[str, object]) -> None:
    """Emit one event."""
    await asyncio.to_thread(app.emit, (kind, payload))


async def test_the_start_page_lists_channels_by_title_live(app: App, open_page: Open) -> None:
    """A new channel appears, its title and counts follow, the filter finds it."""
    identity, title = uuid.uuid4().hex[:12], f"Apollo {uuid.uuid4().hex[:6]}"
    await emit(app, "project.updated", {"projectId": uuid.uuid4().hex[:12]})  # without any channel, there is no list
    page = (await open_page("/", "max@northwind.test")).page
    await expect(page.get_by_role("heading", name="Channels")).to_be_visible()
    await emit(app, "project.updated", {"projectId": identity})
    row = page.locator(f"[data-channel='project:{identity}']")
    await expect(row).to_contain_text("1 event")
    await expect(row).to_contain_text("just now")
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {app.key}"}
        await http.put(f"{app.url}/api/channels/project:{identity}", json={"title": title}, headers=headers)
    await expect(row).to_contain_text(title)
    watcher = (await open_page(f"/projects/{identity}", "ada@northwind.test")).page
    await expect(watcher.get_by_role("heading", name=title)).to_be_visible()
    await expect(row).to_contain_text("1 watching")
    await page.get_by_label("Search channels").fill(title[-6:])
    await expect(page.locator(".rt-channels li")).to_have_count(1)
    await row.get_by_role("link").click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()


async def test_a_member_posts_on_a_session_and_others_see_it(app: App, open_page: Open) -> None:
    """Through the bus: it is in the log, under the member's name, whatever it holds."""
    identity = uuid.uuid4().hex[:12]
    max_ = (await open_page(f"/sessions/{identity}", "max@northwind.test")).page
    ada = (await open_page(f"/sessions/{identity}", "ada@northwind.test")).page
    await expect(max_.get_by_text("Nothing has happened here yet.")).to_be_visible()
    text = "<b>Hello</b> & good morning"
    await max_.get_by_role("textbox", name="Message").fill(text)
    await max_.keyboard.press("Enter")
    for page in (max_, ada):
        await expect(page.get_by_role("log")).to_contain_text(f"max: {text}")
    await expect(max_.get_by_role("textbox", name="Message")).to_have_value("")
    await emit(app, "obligation.changed", {"sessionId": identity, "title": "Review", "changes": {"status": "done"}})
    await expect(ada.get_by_role("log")).to_contain_text("Review: status → done")


async def test_signing_in_and_out_by_hand(app: App, open_page: Open) -> None:
    """A wrong password says so; after signing out another tab of the browser says so as well."""
    watched = await open_page("/", None)
    page = watched.page
    await page.wait_for_url(re.compile(r"/sign-in"))
    await page.fill("input[name=email]", "max@northwind.test")
    await page.fill("input[name=password]", "wrong password")
    await page.click("button[type=submit]")
    await expect(page.get_by_role("alert")).to_have_text("The address or the password is wrong.")
    await page.fill("input[name=email]", "max@northwind.test")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    other = await watched.context.new_page()
    await other.goto(f"{app.url}/projects/some-project")
    await expect(other.locator(".rt-feed")).to_have_attribute("data-status", "attached")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(other.get_by_role("status").filter(has_text="signed out")).to_be_visible()


@pytest.mark.parametrize("path", ["/projects/a%20b", "/projects/..%2f", "/sessions/..%2f", "/sessions/%22%3Cb%3E"])
async def test_a_wrong_address_says_what_is_wrong_and_nothing_else(app: App, open_page: Open, path: str) -> None:
    """An id that the grammar does not know has no feed, no fields and no composer."""
    page = (await open_page(path, "max@northwind.test")).page
    await expect(page.get_by_role("alert")).to_contain_text("not a channel id")
    await expect(page.locator(".rt-feed, .rt-fields, .rt-panel, form:has(input), textarea")).to_have_count(0)
    await page.get_by_role("link", name="On to the start page").click()
    await expect(page.locator(".rt-channels, .rt-first-event").first).to_be_visible()


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("DatabaseUnavailable", "The database cannot be reached"),
        ("NotSignedOut", "This browser is signed out. The database could not be reached"),
        ("InvalidRequest&field=email", "The email is not an address"),
        ("toString&field=constructor", "That did not work"),
    ],
)
async def test_a_form_that_came_back_says_why(app: App, open_page: Open, problem: str, words: str) -> None:
    """In words of the page's own, whatever a link to it says."""
    page = (await open_page(f"/sign-in?problem={problem}", None)).page
    await expect(page.get_by_role("alert")).to_contain_text(words)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1600])
async def test_no_page_is_wider_than_its_window(app: App, open_page: Open, width: int, scheme: str) -> None:
    """From a phone to a wide screen, with long words in it; and the colours follow the scheme."""
    identity = f"{'long-' * 10}{width}-{scheme}"
    payload: dict[str, object] = {
        "projectId": identity,
        "sessionId": identity,
        "changes": {"x" * 60: "y" * 300},
        "text": "z" * 300,
    }
    await emit(app, "project.updated", payload)
    await emit(app, "session.message", payload)
    for path in ("/", f"/projects/{identity}", f"/sessions/{identity}"):
        watched = await open_page(path, "max@northwind.test", width=width, scheme=scheme)
        await expect(watched.page.locator(".rt-channels, .rt-row").first).to_be_visible()
        assert await watched.page.evaluate("document.documentElement.scrollWidth") <= width
        dark = await watched.page.evaluate("document.documentElement.classList.contains('dark')")
        assert dark is (scheme == "dark")


async def test_the_keyboard_reaches_everything(app: App, open_page: Open) -> None:
    """The first stop skips to the content; a channel opens by Enter."""
    identity = uuid.uuid4().hex[:12]
    await emit(app, "project.updated", {"projectId": identity})
    page = (await open_page("/", "max@northwind.test")).page
    await expect(page.locator(f"[data-channel='project:{identity}']")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to content")).to_be_focused()
    await page.locator(f"[data-channel='project:{identity}'] a").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_be_visible()


async def test_another_tenant_sees_an_empty_project_of_the_same_name(app: App, open_page: Open) -> None:
    """Nothing of the other one's."""
    identity = uuid.uuid4().hex[:12]
    await emit(app, "project.updated", {"projectId": identity, "changes": {"code": "secret"}})
    page = (await open_page(f"/projects/{identity}", "eve@contoso.test")).page
    await expect(page.get_by_text("Nothing has happened here yet.")).to_be_visible()
    assert "secret" not in await page.content()


async def test_the_next_person_in_a_tab_gets_nothing_of_the_last_ones_state(app: App, open_page: Open) -> None:
    """Reflex knows a tab by a token that outlives a sign-out; its state must not."""
    identity, title = uuid.uuid4().hex[:12], f"Secret plan {uuid.uuid4().hex[:6]}"
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {app.key}"}
        await http.put(f"{app.url}/api/channels/project:{identity}", json={"title": title}, headers=headers)
    watched = await open_page(f"/projects/{identity}", "max@northwind.test")
    page = watched.page
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))))
    await page.get_by_role("button", name="Sign out").click()
    await page.fill("input[name=email]", "eve@contoso.test")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await expect(page.get_by_text("Contoso")).to_be_visible()
    await page.wait_for_timeout(500)
    assert frames
    after_sign_in = "".join(frames).rpartition("Contoso")
    assert title not in after_sign_in[2]
    assert title not in await page.content()
