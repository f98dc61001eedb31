"""Connection health: how the parts and the workers are, for operators."""

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
                SessionState.is_operator,
                health(),
                rx.el.p(
                    "This page shows the whole server, so only its operators see it: the admins of one organization, "
                    "which the setting OPERATOR_TENANT names.",
                    class_name="rt-empty",
                ),
            ),
        )
    )
