"""Reflex's configuration: which address, which package runner, no logic."""

from realtime_ui.build import reflex_config

config = reflex_config("realtime_ui")
