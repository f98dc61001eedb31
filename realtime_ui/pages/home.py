"""The start page: the tenant's channels, live; while there is none, how to send the first event."""

import reflex as rx

from realtime_ui.components.shell import shell
from realtime_ui.components.views import channel_list, first_event
from realtime_ui.pages.routes import CHANNEL_PAGES, HOME
from realtime_ui.pages.set_up import EXAMPLE
from realtime_ui.states.session import SessionState


@rx.page(HOME, title="Realtime UI", on_load=SessionState.load)
def home() -> rx.Component:
    """The start page."""
    first = first_event(EXAMPLE, SessionState.is_admin)
    return shell(rx.cond(SessionState.signed_in, channel_list(CHANNEL_PAGES, first)))
