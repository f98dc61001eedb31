"""Everybody who is online in the tenant: by person and by channel."""

import reflex as rx

from realtime_ui.components.presence import presence_roster
from realtime_ui.components.shell import shell
from realtime_ui.pages.routes import CHANNEL_PAGES, PRESENCE
from realtime_ui.states.session import SessionState


@rx.page(PRESENCE, title="Presence · Realtime UI", on_load=SessionState.load)
def presence() -> rx.Component:
    """The presence page."""
    return shell(rx.cond(SessionState.signed_in, presence_roster(CHANNEL_PAGES)))
