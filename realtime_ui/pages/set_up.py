"""The first start: with the terminal's code somebody becomes the first admin, and ends with a first key."""

import json
from typing import Any

import reflex as rx
from reflex_base.config import get_config

from realtime_ui.access.policy import Action, may
from realtime_ui.components.forms import field, native_form, problem_note
from realtime_ui.components.shell import copyable, shell
from realtime_ui.components.views import channel_list
from realtime_ui.core.principals import TENANT_SCOPES
from realtime_ui.pages.routes import CHANNEL_PAGES, HOME, SET_UP, SIGN_IN
from realtime_ui.runtime import current
from realtime_ui.states.principal import person_of
from realtime_ui.states.session import SessionState

EXAMPLE = {"type": "project.updated", "payload": {"projectId": "apollo", "changes": {"status": "in flight"}}}


class SetUpState(rx.State):
    """How far the set-up is. The first API key is shown once, to the admin's tab that made it."""

    step: str = ""
    key: str = ""
    url: str = ""

    @rx.var
    def line(self) -> str:
        """The curl line that sends a first event."""
        return (
            f"curl {self.url}/api/events \\\n"
            f"  -H 'Authorization: Bearer {self.key or '$API_KEY'}' \\\n"
            f"  -H 'Content-Type: application/json' \\\n"
            f"  -d '{json.dumps(EXAMPLE)}'"
        )

    @rx.event
    async def load(self) -> Any:
        """Show the form while nobody is there, the first key to the admin who was just made."""
        session = await self.get_state(SessionState)
        if await session._recognise() is not None:
            self.step = "key"
            return [SessionState.load, SetUpState.prepare]
        if await current().gate.needs_setup():
            self.step = "form"
            return None
        return rx.redirect(SIGN_IN)

    @rx.event
    async def prepare(self) -> None:
        """Make the tenant's first key, when an admin looks and there is none."""
        person = await person_of(self)
        if person is None or not may(person, Action.ADMINISTER, None, person.tenant):
            return
        runtime = current()
        self.url = get_config().api_url
        if not await runtime.people.has_key(person.tenant):
            self.key = await runtime.gate.add_key(person.tenant, "first key", TENANT_SCOPES)

    @rx.event
    async def make_key(self) -> None:
        """Make another key, for an admin whose first one was shown elsewhere."""
        person = await person_of(self)
        if person is None or not may(person, Action.ADMINISTER, None, person.tenant):
            return
        self.key = await current().gate.add_key(person.tenant, "made on the start page", TENANT_SCOPES)


def first_event() -> rx.Component:
    """The line that sends a first event, ready to copy, with a key in it where this tab has one."""
    return rx.el.section(
        rx.el.h2("Send your first event"),
        rx.el.p("Paste this into a terminal. The channel appears here the moment the event is stored."),
        copyable(SetUpState.line, label="The line that sends the first event"),
        rx.cond(
            SetUpState.key != "",
            rx.el.p("The API key in it is shown only now. Keep it like a password.", class_name="rt-note", role="note"),
            rx.cond(
                SessionState.is_admin,
                rx.el.p(
                    "Put your API key in, or ",
                    rx.el.button("make a new key", type="button", class_name="rt-link", on_click=SetUpState.make_key),
                    ".",
                ),
                rx.el.p("Ask an admin for an API key."),
            ),
        ),
        class_name="rt-card rt-first-event",
    )


def _form() -> rx.Component:
    return native_form(
        rx.el.h1("Set up Realtime UI"),
        rx.el.p("You are the first one here. The code stands in the terminal that started the app."),
        problem_note(),
        field("Code from the terminal", "code", auto_complete="one-time-code", auto_focus=True),
        field("Organization", "tenant", auto_complete="organization"),
        field("Your name", "name", auto_complete="name"),
        field("Your email", "email", type="email", auto_complete="email"),
        field("Password", "password", type="password", auto_complete="new-password", hint="At least 10 characters."),
        rx.el.button("Create", type="submit", class_name="rt-primary"),
        action="/api/set-up",
        class_name="rt-card rt-form",
    )


def _done() -> rx.Component:
    return rx.el.div(
        rx.el.h1("You are set up"),
        channel_list(
            CHANNEL_PAGES,
            rx.el.p("Waiting for the first event…", class_name="rt-empty rt-waiting"),
        ),
        first_event(),
        rx.el.p(rx.link("On to the start page", href=HOME)),
        class_name="rt-stack",
    )


@rx.page(SET_UP, title="Set up · Realtime UI", on_load=SetUpState.load)
def set_up() -> rx.Component:
    """The set-up page."""
    return shell(rx.match(SetUpState.step, ("form", _form()), ("key", _done()), rx.fragment()), wide=False)
