"""Names and titles that people see."""

import pytest

from realtime_ui.core.errors import InvalidRequest
from realtime_ui.core.names import checked_name


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "x" * 101,
        "line\nbreak",
        "nul\x00",
        "\x1b[31mred",
        "paid \u202etxt.exe",
        "\u2067turned",
        "zero\u200bwidth",
        "two\u2028lines",
        "half \ud83d",
    ],
)
def test_a_name_is_one_short_line_that_shows_all_it_has(value: str) -> None:
    """Anything else is refused, naming the field."""
    with pytest.raises(InvalidRequest) as caught:
        checked_name(value, field="tenant")
    assert caught.value.field == "tenant"
    assert caught.value.remedy


@pytest.mark.parametrize(
    "value", ["Ada", "Zoë O'Neil", "محمد", "می\u200cخواهم", "👩\u200d🚀 crew", "日本語", "x" * 100]
)
def test_names_of_all_scripts_are_taken(value: str) -> None:
    """With the joiners that some need."""
    assert checked_name(f" {value} ", field="name") == value
