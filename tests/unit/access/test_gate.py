"""Cookies and names, before any database is asked."""

import pytest

from realtime_ui.access.gate import checked_email, session_token, without_session
from realtime_ui.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("realtime_session=abc", "abc"),
        ("theme=dark; realtime_session=abc; x=y", "abc"),
        ("theme=dark", None),
        ("", None),
        (None, None),
        ("realtime_session=", None),
        ('a={"x":1}; realtime_session=abc', "abc"),
        ("odd; b=c d; n[0]=1; realtime_session=abc", "abc"),
        ("other_realtime_session=abc", None),
    ],
)
def test_the_token_is_found_among_other_cookies(header: str | None, token: str | None) -> None:
    """And nothing else is taken for it."""
    assert (session_token(header) or None) == token


def test_the_session_cookie_is_taken_out_and_the_others_stay() -> None:
    """What Reflex shows to scripts must not hold it."""
    assert without_session("theme=dark; realtime_session=abc; x=y") == "theme=dark; x=y"
    assert without_session("realtime_session=abc") == ""


def test_addresses_are_compared_in_lower_case() -> None:
    """One person, however they type it."""
    assert checked_email(" Ada@Example.ORG ") == "ada@example.org"
    with pytest.raises(InvalidRequest):
        checked_email("ada")
