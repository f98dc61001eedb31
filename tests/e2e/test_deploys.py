"""Two versions of the app: what a new one means for pages of the former one, alone and behind nginx beside it."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.app import ROOT, App, Process, app_root, copy_of_the_app, free_port, sign_in, until_it_answers
from tests.e2e.conftest import Open, Watched
from tests.nginx import nginx

MAX = "max@northwind.test"
HEADING, NEW_HEADING = 'rx.el.h2("Activity")', 'rx.el.h2("Activity, newly built")'
SCRIPT = re.compile(r"/assets/_projects_[^/]*\.js")
NOTICE = "#realtime-ui-new-version"


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another version of the app, not yet built."""
    folder = copy_of_the_app(tmp_path_factory.mktemp("next") / "app")
    for name in ("realtime_ui", "alembic"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("external", "__pycache__"))
    shutil.copy(ROOT / "alembic.ini", folder)
    page = folder / "realtime_ui" / "pages" / "project.py"
    source = page.read_text()
    assert source.count(HEADING) == 1
    page.write_text(source.replace(HEADING, NEW_HEADING))
    return folder


def version(root: Path, app: App, tmp_path: Path, port: int, url: str) -> Process:
    """A process of one of the versions, on the app's database, for browsers that come by `url`."""
    environment = {
        "DATABASE_URL": app.database_url,
        "SECRET_KEY": "a secret for tests",
        "PUBLIC_URL": url,
        "DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT if root == app_root() else root),
    }
    return Process(root, environment, tmp_path / f"output-{port}-{root.parent.name}", port)


def documents_of(page: Page) -> list[str]:
    """The addresses of all pages that are loaded from now on."""
    documents: list[str] = []
    page.on("request", lambda request: documents.append(request.url) if request.resource_type == "document" else None)
    return documents


@pytest.fixture
def project(app: App) -> str:
    """A project with an event."""
    app.emit(("project.updated", {"projectId": "deployed", "n": 1}))
    return "deployed"


async def test_a_tab_outlives_an_update_and_finds_its_scripts(
    project: str, app: App, own_port: int, next_version: Path, tmp_path: Path, open_page: Open
) -> None:
    """It goes on with its own build; a page that is loaded after the update is of the new one."""
    url = app.url
    former = version(app_root(), app, tmp_path, own_port, url)
    former.start()
    try:
        watched = await open_page("/", None)
        await signed_in(watched, url)
        page = watched.page
        await page.goto(url)
        await expect(page.locator(f'a[href="/projects/{project}"]')).to_be_visible()
        documents = documents_of(page)
    finally:
        former.end()
    new = version(next_version, app, tmp_path, own_port, url)
    await asyncio.to_thread(new.start)
    try:
        await expect(page.locator(".rt-dot")).to_have_text("Live")
        await page.locator(f'a[href="/projects/{project}"]').click()
        await expect(page.get_by_role("heading", name="Activity", exact=True)).to_be_visible()
        assert documents == []
        await page.reload()
        await expect(page.get_by_role("heading", name="Activity, newly built")).to_be_visible()
        watched.troubles.clear()  # of the connection that was lost
        await page.close()
    finally:
        new.end()


async def signed_in(watched: Watched, url: str) -> None:
    """Give a page the cookie of a session."""
    name, _, value = (await asyncio.to_thread(sign_in, url, MAX)).partition("=")
    await watched.context.add_cookies([{"name": name, "value": value, "url": url, "httpOnly": True}])


async def before_a_click(open_page: Open, project: str) -> tuple[Watched, Page, Locator]:
    """The start page, and on it the link to a project whose script the page has not loaded yet."""
    watched = await open_page("/", MAX)
    link = watched.page.locator(f'a[href="/projects/{project}"]')
    await expect(link).to_be_visible()
    return watched, watched.page, link


async def gone(route: Route) -> None:
    """Answer as a server that has not the file."""
    await route.fulfill(status=404, content_type="text/html", body="not here")


async def test_where_a_script_is_gone_the_clicked_address_is_loaded_once(
    project: str, app: App, open_page: Open
) -> None:
    """Then the page says that there is a new version; its button leads there once the script can be had."""
    watched, page, link = await before_a_click(open_page, project)
    documents = documents_of(page)
    missing = 0

    async def once(route: Route) -> None:
        nonlocal missing
        missing += 1
        await (gone(route) if missing == 1 else route.continue_())

    await page.route(SCRIPT, once)
    await link.click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    assert documents == [f"{app.url}/projects/{project}"]

    await page.route(SCRIPT, gone)
    await page.goto(app.url)
    await expect(link).to_be_visible()
    documents.clear()
    await link.click()
    await expect(page.locator(NOTICE)).to_contain_text("A new version is ready.")
    assert documents == []  # a minute has not passed since the last automatic one
    await page.unroute_all()
    await page.get_by_role("button", name="Reload").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    assert documents == [f"{app.url}/projects/{project}"]
    watched.troubles.clear()  # the missing scripts
    await page.close()


@pytest.mark.parametrize("what", ["of its route", "of every page"])
async def test_an_address_whose_script_stays_missing_is_not_loaded_again_and_again(
    what: str, project: str, app: App, open_page: Open
) -> None:
    """Twice at most; then the page says why it is empty, and goes on at a click once the script is there."""
    watched = await open_page("/sign-in", MAX)
    page = watched.page
    await page.route(SCRIPT if what == "of its route" else re.compile(r"/assets/root-[^/]*\.js"), gone)
    documents = documents_of(page)
    await page.goto(f"{app.url}/projects/{project}")
    await expect(page.locator(NOTICE)).to_contain_text("A new version is ready.")
    assert documents == [f"{app.url}/projects/{project}"] * 2
    await page.unroute_all()
    await page.get_by_role("button", name="Reload").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    watched.troubles.clear()  # the missing scripts
    await page.close()


async def test_a_script_of_somebody_else_that_cannot_be_loaded_reloads_nothing(app: App, open_page: Open) -> None:
    """Such as one that a blocker keeps away, or that the CSP refuses."""
    watched = await open_page("/", MAX)
    page = watched.page
    documents = documents_of(page)
    failed = await page.evaluate("""
        Promise.all(["https://elsewhere.example/a.js", "/elsewhere/b.js"].map((src) => new Promise((resolve) => {
          document.head.append(Object.assign(document.createElement("script"), { src, onerror: () => resolve(src) }));
        })))
    """)
    assert len(failed) == 2
    await page.evaluate("fetch(location.href, { method: 'HEAD', cache: 'no-store' })")  # what would come first
    await expect(page.locator(NOTICE)).to_have_count(0)
    assert documents == []
    watched.troubles.clear()  # the scripts
    await page.close()


async def test_a_page_stays_where_the_server_of_its_next_script_does_not_answer(
    project: str, app: App, open_page: Open
) -> None:
    """The browser's own error page would take its place."""
    watched, page, link = await before_a_click(open_page, project)
    await watched.context.set_offline(True)
    await link.click()
    await expect(page.locator(NOTICE)).to_contain_text("the server does not answer")
    await expect(link).to_be_visible()
    await watched.context.set_offline(False)
    await page.get_by_role("button", name="Reload").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    watched.troubles.clear()  # of being offline
    await page.close()


async def test_where_a_networks_sign_in_page_answers_for_a_script_it_is_shown(
    project: str, app: App, open_page: Open
) -> None:
    """Its redirect leads to another site, which no script of the page may read, but which a load of the page shows."""
    watched, page, link = await before_a_click(open_page, project)
    sign_in = "http://login.localhost:9/start"

    async def redirected(route: Route) -> None:
        await route.fulfill(status=302, headers={"location": sign_in})

    async def shown(route: Route) -> None:
        await route.fulfill(content_type="text/html", body="<h1>Sign in to the network</h1>")

    await watched.context.route(SCRIPT, redirected)
    await watched.context.route(f"{app.url}/projects/*", redirected)
    await watched.context.route(f"{sign_in}*", shown)
    await link.click()
    await expect(page.get_by_role("heading", name="Sign in to the network")).to_be_visible()
    watched.troubles.clear()  # the missing script
    await page.close()


async def test_a_click_is_answered_where_the_server_of_its_script_never_does(
    project: str, app: App, open_page: Open
) -> None:
    """The page asks for so long and then says so; a later click asks again."""
    watched, page, link = await before_a_click(open_page, project)

    over = asyncio.Event()

    async def never(route: Route) -> None:
        await over.wait()
        await route.abort()

    await page.route(SCRIPT, gone)
    await page.route(f"{app.url}/projects/*", never)
    await link.click()
    await expect(page.locator(NOTICE)).to_contain_text("the server does not answer")
    over.set()
    await page.unroute_all(behavior="wait")
    await page.get_by_role("button", name="Reload").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    watched.troubles.clear()  # the missing script
    await page.close()


@pytest.fixture
def two_versions(app: App, own_port: int, next_version: Path, tmp_path: Path) -> Iterator[str]:
    """One machine with each version behind nginx; the address that the pages of both were built for."""
    url = f"http://localhost:{own_port}"
    machines = [
        version(root, app, folder, free_port(), url)
        for root, folder in ((app_root(), tmp_path / "one"), (next_version, tmp_path / "two"))
    ]
    started: list[Process] = []
    try:
        for machine in machines:
            machine.output.parent.mkdir()
            machine.start()
            started.append(machine)
        with nginx(own_port, *(machine.port for machine in machines)):
            yield url
    finally:
        for machine in started:
            machine.end()


async def test_while_machines_run_different_versions_every_page_loads(
    project: str, two_versions: str, open_page: Open
) -> None:
    """Whichever machine is asked for a page, and whichever then for its scripts."""
    await until_it_answers(two_versions)
    watched = await open_page("/sign-in", None)
    await signed_in(watched, two_versions)
    page = watched.page
    documents = documents_of(page)
    for number in range(12):
        await page.goto(f"{two_versions}/projects/{project}" if number % 2 else two_versions)
        shown = page.get_by_role("heading", name="Activity") if number % 2 else page.locator(f"a[href$='/{project}']")
        await expect(shown).to_be_visible()
    assert len(documents) == 12
    assert watched.troubles == []
    await page.close()
