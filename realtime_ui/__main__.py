"""`python -m realtime_ui`, and the command `realtime-ui`."""

import sys

from realtime_ui.extras import MissingExtra, needs


def main() -> None:
    """Run the command line."""
    try:
        with needs("server", "The command realtime-ui"):
            from realtime_ui.cli import app
    except MissingExtra as error:
        sys.exit(str(error))
    app(prog_name="realtime-ui")


if __name__ == "__main__":
    main()
