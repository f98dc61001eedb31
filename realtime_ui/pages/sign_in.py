"""The sign-in page: a plain form; the cookie comes from the API."""

from typing import Any

import reflex as rx

from realtime_ui.components.forms import field, native_form, problem_note
from realtime_ui.components.shell import shell
from realtime_ui.pages.routes import HOME, SET_UP, SIGN_IN
from realtime_ui.runtime import current
from realtime_ui.states.principal import person_of


class SignInState(rx.State):
    """Sends those away who have no business here."""

    @rx.event
    async def load(self) -> Any:
        """To the start page when signed in, to the set-up while nobody can sign in."""
        if await person_of(self) is not None:
            return rx.redirect(HOME)
        if await current().gate.needs_setup():
            return rx.redirect(SET_UP)
        return None


@rx.page(SIGN_IN, title="Sign in · Realtime UI", on_load=SignInState.load)
def sign_in() -> rx.Component:
    """The sign-in page."""
    return shell(
        native_form(
            rx.el.h1("Sign in"),
            problem_note(),
            field("Email", "email", type="email", auto_complete="email", auto_focus=True),
            field("Password", "password", type="password", auto_complete="current-password"),
            rx.el.button("Sign in", type="submit", class_name="rt-primary"),
            action="/api/sign-in",
            class_name="rt-card rt-form",
        ),
        wide=False,
    )
