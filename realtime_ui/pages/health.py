"""Connection health: how the parts and the workers are, for admins."""

import reflex as rx

from realtime_ui.components.monitor import health
from realtime_ui.components.shell import shell
from realtime_ui.pages.routes import HEALTH
from realtime_ui.states.session import SessionState


@rx.page(HEALTH, title="Health · Realtime UI", on_load=SessionState.load)
def page() -> rx.Component:
    """The health page."""
    return shell(
        rx.cond(
            SessionState.signed_in,
            rx.cond(
                SessionState.is_admin,
                health(),
                rx.el.p("How the servers are is for admins. Ask one of your organization.", class_name="rt-empty"),
            ),
        )
    )
