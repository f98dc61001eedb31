"""The browsers of the short forms."""

from tests.e2e.conftest import browser, open_page

__all__ = ["browser", "open_page"]
