"""Reflex's configuration of the example."""

from realtime_ui.build import reflex_config

config = reflex_config("board")
