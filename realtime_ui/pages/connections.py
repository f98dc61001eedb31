"""The heartbeat monitor: who is connected, and whether their line is alive."""

import reflex as rx

from realtime_ui.components.monitor import connections
from realtime_ui.components.shell import shell
from realtime_ui.pages.routes import CHANNEL_PAGES, CONNECTIONS
from realtime_ui.states.session import SessionState


@rx.page(CONNECTIONS, title="Connections · Realtime UI", on_load=SessionState.load)
def page() -> rx.Component:
    """The monitor's page."""
    return shell(rx.cond(SessionState.signed_in, connections(CHANNEL_PAGES)))
