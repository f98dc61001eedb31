"""What was typed into a form stays there when the form is refused, or nobody answers, and the page says so."""

import re
import signal

import psutil
from playwright.async_api import expect

from tests.app import PASSWORD, App
from tests.e2e.conftest import Open


async def test_a_refused_or_unanswered_sign_in_keeps_what_was_typed(app: App, open_page: Open) -> None:
    """A wrong password, then no network, then both right."""
    watched = await open_page("/sign-in", None)
    page = watched.page
    email, password = page.locator("input[name=email]"), page.locator("input[name=password]")
    await email.fill("max@northwind.test")
    await password.fill("wrong password")
    await page.click("button[type=submit]")
    await expect(page.get_by_role("alert")).to_have_text("The address or the password is wrong.")
    await expect(email).to_have_value("max@northwind.test")
    await expect(password).to_have_value("wrong password")
    await watched.context.set_offline(True)
    await password.fill(PASSWORD)
    await page.click("button[type=submit]")
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached. What you typed is still here")
    await watched.context.set_offline(False)
    await expect(password).to_have_value(PASSWORD)
    await page.click("button[type=submit]")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    watched.troubles.clear()  # the browser's own words about the network


async def test_a_form_that_was_sent_without_a_script_says_why_it_came_back(app: App, open_page: Open) -> None:
    """By the names in the address, and by no text that a link could bring."""
    watched = await open_page("/sign-in?problem=RateLimited&field=", None)
    await expect(watched.page.get_by_role("alert")).to_have_text("Too many tries. Wait a minute and try again.")
    await watched.page.goto(f"{app.url}/sign-in?problem=Pay+me&field=now")
    await expect(watched.page.get_by_role("alert")).to_have_text(re.compile("^That did not work"))


async def test_unanswered_heartbeat_settings_stay_as_typed(app: App, open_page: Open) -> None:
    """And say so."""
    page = (await open_page("/connections", "ada@northwind.test")).page
    form = page.get_by_role("form", name="Heartbeat of project")
    interval = form.get_by_label("project: interval in seconds")
    before = await interval.input_value()
    await interval.fill("17")
    [worker] = psutil.Process(app.process.pid).children()
    worker.send_signal(signal.SIGSTOP)
    try:
        await form.get_by_role("button", name="Save").click()
        await expect(form.get_by_role("alert")).to_contain_text("The server has not answered; try again.")
        await expect(interval).to_have_value("17")
    finally:
        worker.send_signal(signal.SIGCONT)
    await interval.fill(before)
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("status")).to_have_text("Saved")
