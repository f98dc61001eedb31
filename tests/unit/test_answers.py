"""What an answer's headers ask for."""

import time
from email.utils import formatdate

import pytest

from realtime_ui.answers import retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("1", 1.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("999999999", 999_999_999.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0.0),
        *((junk, 0.0) for junk in (None, "", "-5", "+1", "nan", "inf", "-inf", "1e3", "1e400", "1_0", "abc", "1, 2")),
        *((junk, 0.0) for junk in ("３", "9" * 30, "Wed, 99 Oct 2099 07:28:00 GMT", "Wed", "\x00", "x" * 10_000)),
    ],
)
def test_a_wait_is_a_number_of_seconds_and_everything_else_asks_for_none(value: str | None, seconds: float) -> None:
    """Never negative, never endless."""
    assert retry_after_s(value) == seconds


def test_a_wait_may_be_an_http_date() -> None:
    """The seconds until then."""
    assert 25 <= retry_after_s(formatdate(time.time() + 30, usegmt=True)) <= 30
