"""Sees to it that there is a Chromium for the browser tests, or ends with what to install.

One on PATH is taken; else Debian's package is installed where that may be done.
"""

import sys

from tests import debian

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def ensure() -> str:
    """The path of a Chromium, installed now if it must be.

    Raises:
        SystemExit: there is none and it cannot be installed here.
    """
    if path := debian.ensure(NAMES, "chromium"):
        return path
    raise SystemExit("The browser tests need Chromium: put `chromium` on PATH (Debian: apt-get install chromium).")


if __name__ == "__main__":
    sys.stdout.write(f"Chromium: {ensure()}\n")
