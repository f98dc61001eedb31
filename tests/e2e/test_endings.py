"""How a page's connection ends, what the page says of it, and how it comes back."""

import asyncio
import re
import signal
import uuid
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest
from playwright.async_api import Locator, Page, Route, expect

from realtime_ui.core.endings import Ending
from tests.app import PASSWORD, App, free_port
from tests.e2e.conftest import Open, Watched
from tests.e2e.test_project_page import attached, events, post
from tests.gateway import Gateway, Mode
from tests.tab import open_tab

MAX, ADA = "max@northwind.test", "ada@northwind.test"
SHOWN = "document.dispatchEvent(new Event('visibilitychange'))"


async def on_a_project(app: App, open_page: Open, *, url: str = "") -> tuple[Watched, str]:
    """Max's page of a new project, attached."""
    project = uuid.uuid4().hex[:12]
    watched = await open_page(f"/projects/{project}", MAX, of=app, url=url)
    await attached(watched.page)
    return watched, project


async def use_cookie(watched: Watched, app: App, cookie: str) -> None:
    """Have the browser hold another session's cookie, as after a sign-in in another tab."""
    name, _, value = cookie.partition("=")
    await watched.context.add_cookies([{"name": name, "value": value, "url": app.url, "httpOnly": True}])


async def cookie_of(watched: Watched) -> str:
    """The session's cookie that the browser holds."""
    [value] = [each["value"] for each in await watched.context.cookies() if each["name"] == "realtime_session"]
    return f"realtime_session={value}"


async def sign_out(app: App, cookie: str) -> None:
    """End a session, as its browser does."""
    async with httpx.AsyncClient() as http:
        response = await http.post(f"{app.url}/api/sign-out", headers={"Cookie": cookie, "Origin": app.url})
        assert response.status_code == 303


def banner(page: Page, words: str) -> Locator:
    """The banner, where it says so."""
    return page.locator(".rt-banner").filter(has_text=words)


LINK = """(href) => {
  const link = document.createElement('a');
  link.href = href;
  document.body.append(link);
  link.click();
}"""


LEADS = {"a download": "/elsewhere/file", "mail": "mailto:a@example.org", "no content": "/elsewhere/nothing"}


@pytest.mark.parametrize("leads", [*LEADS, "a dialog"])
async def test_a_page_that_was_asked_to_go_and_stayed_is_live(app: App, open_page: Open, leads: str) -> None:
    """Reflex closes its socket before a page may unload; a download link and `mailto:` never unload it."""
    watched, project = await on_a_project(app, open_page)
    page = watched.page
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.dismiss()))

    async def answer(route: Route) -> None:
        if route.request.url.endswith("/nothing"):
            await route.fulfill(status=204)
        else:
            await route.fulfill(body="x", headers={"Content-Disposition": "attachment; filename=a.txt"})

    await page.route(re.compile("/elsewhere/"), answer)
    unloading = "window.asked = new Promise((done) => addEventListener('beforeunload', () => setTimeout(done)))"
    await page.evaluate(f"() => {{ {unloading}; }}")
    if leads == "a dialog":
        await page.mouse.click(5, 200)  # no dialog without a gesture before it
        await page.evaluate("() => addEventListener('beforeunload', (event) => event.preventDefault())")
        await page.evaluate("() => setTimeout(() => { location.href = '/presence'; })")
    else:
        addresses = {
            "a download": "/elsewhere/file",
            "mail": "mailto:a@example.org",
            "no content": "/elsewhere/nothing",
        }
        await page.evaluate(LINK, addresses[leads])
    await page.evaluate("asked")
    await post(app, events(project, 1))
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    assert len(watched.sockets) == 1
    if leads == "a download":  # and it comes back from the next loss, as any page does
        [worker] = psutil.Process(app.process.pid).children()
        worker.send_signal(signal.SIGKILL)
        await expect(page.locator(".rt-dot")).to_have_text("Reconnecting")
        await expect(page.locator(".rt-dot")).to_have_text("Live")
        await post(app, events(project, 1, 1))
        await expect(page.locator("[data-seq='2']")).to_be_visible()
        watched.troubles.clear()  # the lost connection
    await page.close()


async def test_a_page_that_really_goes_closes_its_socket(app: App, open_page: Open) -> None:
    """At once: nobody watches who has left."""
    watched, project = await on_a_project(app, open_page)
    await post(app, events(project, 1))
    async with open_tab(app.url, app.cookie(ADA)) as tab:

        async def watching() -> list[int]:
            rows = (await tab.call("lobby"))["rows"]
            return [row["watching"] for row in rows if row["channel"] == f"project:{project}"]

        assert await watching() == [1]
        await watched.page.goto("about:blank")
        async with asyncio.timeout(60):
            while await watching() != [0]:
                await asyncio.sleep(0.1)


async def test_whoever_signed_in_again_goes_on(app: App, open_page: Open) -> None:
    """With another WebSocket, since a socket keeps the cookie that it came with; nobody is told of a sign-out."""
    watched, project = await on_a_project(app, open_page)
    page, before = watched.page, await cookie_of(watched)
    await page.evaluate("window.same = true")
    await use_cookie(watched, app, await asyncio.to_thread(app.cookie, MAX))
    await sign_out(app, before)
    async with asyncio.timeout(60):
        while len(watched.sockets) < 2:
            await page.wait_for_timeout(50)
    await attached(page)
    await post(app, events(project, 1))
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    assert await page.evaluate("window.same")
    await page.close()


async def test_nobody_is_told_of_a_sign_out_while_the_server_does_not_say_who_is_signed_in(
    app: App, open_page: Open
) -> None:
    """It is asked again, and whoever signed in again goes on."""
    watched, project = await on_a_project(app, open_page)
    page, before = watched.page, await cookie_of(watched)
    asked = asyncio.Queue[str]()

    async def away(route: Route) -> None:
        await route.fulfill(status=502, content_type="text/html", body="Bad gateway")
        asked.put_nowait(route.request.url)

    await page.route(re.compile("/api/session$"), away)
    await use_cookie(watched, app, await asyncio.to_thread(app.cookie, MAX))
    await sign_out(app, before)
    for _ in range(2):
        await asyncio.wait_for(asked.get(), 60)
        await expect(page.locator(".rt-dot")).to_have_text("Reconnecting")
    await page.unroute_all()
    await attached(page)
    await post(app, events(project, 1))
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    watched.troubles.clear()  # the bad gateway
    await page.close()


async def test_a_tab_whose_browser_belongs_to_somebody_else_now_begins_anew(app: App, open_page: Open) -> None:
    """What the one before saw is not the next one's."""
    watched, project = await on_a_project(app, open_page)
    page, before = watched.page, await cookie_of(watched)
    await page.evaluate("window.same = true")
    await use_cookie(watched, app, await asyncio.to_thread(app.cookie, ADA))
    await sign_out(app, before)
    await expect(page.locator(".rt-person")).to_have_attribute("title", ADA)
    await attached(page)
    assert not await page.evaluate("window.same")
    assert page.url.endswith(f"/projects/{project}")
    await page.close()


async def test_who_signs_in_again_is_where_they_were(app: App, open_page: Open) -> None:
    """Through the banner's link, or in another tab, after which the page goes on by itself."""
    watched, project = await on_a_project(app, open_page)
    page = watched.page
    await sign_out(app, await cookie_of(watched))
    await expect(banner(page, Ending.SIGNED_OUT.value.says)).to_be_visible()
    await expect(page.locator(".rt-dot")).to_have_text("Closed")
    await use_cookie(watched, app, await asyncio.to_thread(app.cookie, MAX))
    await page.evaluate(SHOWN)
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    await sign_out(app, await cookie_of(watched))
    await watched.context.clear_cookies()
    await page.get_by_role("link", name="Sign in").click()
    await page.wait_for_url(re.compile(r"/sign-in/?\?next="))
    await expect(page.get_by_label("Password")).to_be_visible()
    await expect(page.get_by_role("link", name="Sign in")).to_have_count(0)
    await page.fill("input[name=email]", MAX)
    await page.fill("input[name=password]", "wrong password")
    await page.click("button[type=submit]")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.fill("input[name=email]", MAX)
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url(f"{app.url}/projects/{project}")
    await attached(page)
    await page.close()


async def test_a_link_leads_to_its_page_through_the_sign_in(app: App, open_page: Open) -> None:
    """And no link leads to another site through it."""
    watched = await open_page("/projects/deep?from=mail", None)
    page = watched.page
    await page.wait_for_url(re.compile(r"/sign-in/?\?next=%2Fprojects%2Fdeep"))
    await page.fill("input[name=email]", MAX)
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url(f"{app.url}/projects/deep?from=mail")
    await attached(page)
    for address in ("//evil.test/", "https://evil.test/", "/\\evil.test/"):
        await page.goto(f"{app.url}/sign-in?{httpx.QueryParams({'next': address})}")
        await page.wait_for_url(f"{app.url}/")
    await page.close()


async def test_a_server_that_stops_says_so(app: App, open_page: Open) -> None:
    """A deploy is no mystery, and the page comes back."""
    watched, project = await on_a_project(app, open_page)
    page = watched.page
    await asyncio.to_thread(app.process.end)
    try:
        await expect(banner(page, Ending.GOING_AWAY.value.says)).to_be_visible()
    finally:
        await asyncio.to_thread(app.process.start)
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    await post(app, events(project, 1))
    await expect(page.locator("[data-seq='1']")).to_be_visible()
    watched.troubles.clear()
    await page.close()


async def test_a_page_too_many_says_so_and_comes_in_when_another_is_closed(
    own_port: int, database_url: str, open_page: Open
) -> None:
    """By itself, after half a minute or so."""
    with App.start(database_url, port=own_port, SOCKETS_PER_PERSON="1") as own:
        first, project = await on_a_project(own, open_page)
        second = await open_page("", MAX, url="about:blank", of=own)
        page = second.page
        await page.clock.install()
        await page.goto(f"{own.url}/projects/{project}")
        await expect(banner(page, "You have 1 pages open, and no more may be.")).to_be_visible()
        await expect(page.locator(".rt-dot")).not_to_have_text("Live")
        await first.page.close()
        after_ms = Ending.TOO_MANY_CONNECTIONS.value.after_ms
        await page.clock.fast_forward(2 * after_ms)
        await attached(page)
        await expect(page.locator(".rt-dot")).to_have_text("Live")
        await post(own, events(project, 1))
        await expect(page.locator("[data-seq='1']")).to_be_visible()
        second.troubles.clear()
        await page.close()


async def test_live_is_said_only_while_something_comes(app: App, open_page: Open) -> None:
    """A worker that stands still keeps its sockets open."""
    watched, _ = await on_a_project(app, open_page)
    page = watched.page
    [worker] = psutil.Process(app.process.pid).children()
    worker.suspend()
    try:
        await expect(page.locator(".rt-dot")).to_have_text("Not answering")
        await expect(banner(page, "not answering")).to_be_visible()
    finally:
        worker.resume()
    await expect(page.locator(".rt-dot")).to_have_text("Live")
    watched.troubles.clear()
    await page.close()


async def test_older_messages_that_do_not_come_are_asked_for_again(app: App, open_page: Open) -> None:
    """Whatever answers in the app's place: another page, half an answer, nobody."""
    project = uuid.uuid4().hex[:12]
    await post(app, events(project, 80))
    watched = await open_page(f"/projects/{project}", MAX)
    page = watched.page
    await attached(page)
    answers = [
        {"status": 200, "content_type": "text/html", "body": "<form>Please sign in</form>"},
        {"status": 204},
        {"status": 200, "content_type": "application/json", "body": '{"messages": [{"se'},
        {"status": 200, "content_type": "application/json", "body": "{}"},
        {"status": 502, "content_type": "text/html", "body": "Bad gateway"},
    ]

    async def answer(route: Route) -> None:
        await route.fulfill(**answers.pop(0))  # type: ignore[arg-type]

    await page.route(re.compile("/history"), answer)
    await page.get_by_role("button", name="Show older").click()
    while True:
        await expect(page.get_by_role("alert")).to_contain_text("Older messages could not be loaded.")
        again = page.get_by_role("button", name="Try again")
        await expect(again).to_be_enabled()
        left = len(answers)
        if not left:
            break
        await again.click()
        async with asyncio.timeout(60):
            while len(answers) == left:
                await page.wait_for_timeout(20)
    await page.unroute(re.compile("/history"))
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("[data-seq='1']")).to_be_attached()
    await expect(page.get_by_role("alert")).to_have_count(0)
    watched.troubles.clear()  # the bad gateway
    await page.close()


@pytest.fixture
async def gateway(app: App, own_port: int) -> AsyncIterator[tuple[App, Gateway, str]]:
    """An app that browsers reach through a gateway."""
    url = f"http://localhost:{own_port}"
    with App.start(app.database_url, port=free_port(), PUBLIC_URL=url) as own:
        async with Gateway(own.process.port, own_port) as gateway:
            yield own, gateway, url


async def test_what_a_network_puts_in_the_apps_place_is_told(
    gateway: tuple[App, Gateway, str], open_page: Open
) -> None:
    """A sign-in page, another server, or no WebSockets; never that the device is offline. And the page comes back."""
    app, between, url = gateway
    watched, project = await on_a_project(app, open_page, url=url)
    page = watched.page
    obstacles = {
        Mode.PAGE: "A sign-in page of your network answers",
        Mode.REDIRECT: "A sign-in page of your network answers",
        Mode.UNAUTHORIZED: "A sign-in page of your network answers",
        Mode.ANOTHER_SERVER: "Another server answers",
        Mode.NO_UPGRADE: "This network blocks WebSockets",
        Mode.STRIP_UPGRADE: "This network blocks WebSockets",
        Mode.SWALLOW_UPGRADE: "This network blocks WebSockets",
    }
    for number, (mode, words) in enumerate(obstacles.items(), 1):
        between.become(mode)
        await expect(banner(page, words)).to_be_visible()
        reload = page.get_by_role("button", name="Reload")
        await expect(reload).to_have_count(1 if "sign-in" in words else 0)
        between.become(Mode.OPEN)
        await expect(page.locator(".rt-dot")).to_have_text("Live")
        await post(app, events(project, 1, number))
        await expect(page.locator(f"[data-seq='{number}']")).to_be_visible()
    watched.troubles.clear()
    await page.close()
