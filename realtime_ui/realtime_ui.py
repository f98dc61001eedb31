"""The app: its pages and the realtime parts, put together."""

import reflex as rx

from realtime_ui.installer import install
from realtime_ui.pages import (  # noqa: F401  (pages register themselves)
    connections,
    health,
    home,
    not_found,
    presence,
    project,
    session,
)

app = install(rx.App())
