"""What is shown for an address that leads nowhere."""

import reflex as rx

from realtime_ui.components.shell import shell
from realtime_ui.pages.routes import HOME, NOT_FOUND
from realtime_ui.states.session import SessionState


@rx.page(NOT_FOUND, title="Not found · Realtime UI", on_load=SessionState.load)
def not_found() -> rx.Component:
    """The page, in the look of the others, with a way home."""
    return shell(
        rx.el.section(
            rx.el.h1("There is no page at this address"),
            rx.el.p("It may have been mistyped, or what it led to is gone."),
            rx.el.p(rx.link("Go to the list of channels", href=HOME)),
            class_name="rt-card rt-narrow rt-not-found",
            aria_label="Not found",
        )
    )
