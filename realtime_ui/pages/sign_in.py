"""The sign-in page: a plain form; the cookie comes from the API."""

import reflex as rx

from realtime_ui.components.forms import field, native_form, problem_note
from realtime_ui.components.shell import shell
from realtime_ui.pages.routes import SIGN_IN
from realtime_ui.states.session import SessionState


@rx.page(SIGN_IN, title="Sign in · Realtime UI", on_load=SessionState.welcome)
def sign_in() -> rx.Component:
    """The sign-in page."""
    return shell(
        native_form(
            rx.el.h1("Sign in"),
            problem_note(),
            field("Email", "email", type="email", auto_complete="email", auto_focus=True),
            field("Password", "password", type="password", auto_complete="current-password"),
            rx.el.input(type="hidden", name="next", value=rx.State.router.url.query_parameters["next"]),
            rx.el.button("Sign in", type="submit", class_name="rt-primary"),
            action="/api/sign-in",
            class_name="rt-card rt-form",
        ),
        wide=False,
    )
