"""`python -m realtime_ui`."""

from realtime_ui.cli import app

app(prog_name="realtime_ui")
