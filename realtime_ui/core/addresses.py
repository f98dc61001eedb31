"""Addresses of this site that come from outside, such as where to go on after signing in."""

import re

MAX_ADDRESS = 2_000
HOME = "/"
# Browsers drop control characters from addresses and read a backslash as a slash: "/\\t/evil.test" is another site.
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f-\x9f]*")
_NEVER = re.compile(r"/(api|sign-in|set-up|_event)(?![^/?#])")


def local_address(text: object) -> str:
    """A path of this site with its query and fragment; the start page for anything else.

    Args:
        text: what came in: from a link, a form or nowhere.

    Returns:
        `text` where it is a path of a page, else `/`: never another origin, the API, or the sign-in page itself.
    """
    if not isinstance(text, str) or len(text) > MAX_ADDRESS or not _PATH.fullmatch(text) or _NEVER.match(text):
        return HOME
    return text
