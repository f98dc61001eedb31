"""The app: its pages and the realtime parts, put together."""

import reflex as rx

from realtime_ui.installer import install
from realtime_ui.pages import home, presence, project, session  # noqa: F401  (pages register themselves)

app = install(rx.App())
