"""The first start: with the terminal's code somebody becomes the first admin, who can then make a first key."""

from typing import Any

import reflex as rx

from realtime_ui.components.forms import field, native_form, problem_note
from realtime_ui.components.shell import shell
from realtime_ui.components.views import channel_list, first_event
from realtime_ui.pages.routes import CHANNEL_PAGES, HOME, SET_UP, SIGN_IN
from realtime_ui.runtime import current
from realtime_ui.states.session import SessionState

EXAMPLE = {"type": "project.updated", "payload": {"projectId": "apollo", "changes": {"status": "in flight"}}}


class SetUpState(rx.State):
    """How far the set-up is."""

    step: str = ""

    @rx.event
    async def load(self) -> Any:
        """Show the form while nobody is there, the first steps to the admin who was just made."""
        session = await self.get_state(SessionState)
        if await session._recognise() is not None:
            self.step = "done"
            return SessionState.load
        if await current().gate.needs_setup():
            self.step = "form"
            return None
        return rx.redirect(SIGN_IN)


def _form() -> rx.Component:
    return native_form(
        rx.el.h1("Set up Realtime UI"),
        rx.el.p("You are the first one here. The code stands in the terminal that started the app."),
        problem_note(),
        field("Code from the terminal", "code", auto_complete="one-time-code", auto_focus=True),
        field("Organization", "tenant", auto_complete="organization"),
        field("Your name", "name", auto_complete="name"),
        field("Your email", "email", type="email", auto_complete="email"),
        field(
            "Password",
            "password",
            type="password",
            auto_complete="new-password",
            hint="At least 10 characters that nobody would try first.",
        ),
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
        first_event(EXAMPLE, SessionState.is_admin),
        rx.el.p(rx.link("On to the start page", href=HOME)),
        class_name="rt-stack",
    )


@rx.page(SET_UP, title="Set up · Realtime UI", on_load=SetUpState.load)
def set_up() -> rx.Component:
    """The set-up page."""
    return shell(rx.match(SetUpState.step, ("form", _form()), ("done", _done()), rx.fragment()), wide=False)
