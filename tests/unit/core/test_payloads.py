"""Payloads: how deep and how large one may be, and what of the database's is shown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.errors import InvalidEvent, TooLarge
from realtime_ui.core.payloads import MAX_DEPTH, MAX_PAYLOAD_BYTES, Unreadable, dumps, is_too_deep, read_stored

TREES = st.recursive(
    st.text('[]{}"\\a', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"', max_size=2), inner, max_size=3),
)


def nested(levels: int) -> Any:
    """Objects and arrays within each other, so many levels deep."""
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


def depth_of(value: Any) -> int:
    """How deep a small value is."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(TREES, st.integers(0, 12))
def test_depth_is_that_of_the_structure_whatever_stands_in_strings(value: Any, limit: int) -> None:
    """Brackets, quotes and backslashes inside strings count for nothing."""
    for text in (json.dumps(value), json.dumps(value, indent=1)):
        assert is_too_deep(text, limit) is (depth_of(value) > limit)


@pytest.mark.parametrize("text", ["[" * 1_000_000, '["' * 100_000, '{"a":' * 50_000, '"' + "[" * 100, "]" * 100])
def test_text_that_is_no_json_is_measured_too(text: str) -> None:
    """Nothing recurses, and nothing is raised; a string that never ends does not hide brackets."""
    assert is_too_deep(text) is (text[0] != "]")


def test_a_payload_has_at_most_64_levels() -> None:
    """The error names the field and the limit, at whatever depth."""
    assert json.loads(dumps(nested(MAX_DEPTH), field="payload")) == nested(MAX_DEPTH)
    for levels in (MAX_DEPTH + 1, 260, 940, 5_000, 100_000):
        with pytest.raises(InvalidEvent, match=r"^payload is nested more than 64 levels deep\.$") as caught:
            dumps(nested(levels), field="payload")
        assert caught.value.field == "payload"


def test_numbers_count_with_the_digits_that_the_database_writes() -> None:
    """13,000 times 1e300 is 65 kB as sent, and 4 MB as stored."""
    dumps({"a": [1e300] * 100}, field="payload")
    for number in (1e300, 1e-300):
        with pytest.raises(TooLarge):
            dumps({"a": [number] * (MAX_PAYLOAD_BYTES // 100)}, field="payload")


@pytest.mark.parametrize("text", ["5a1e-657910ab1234", "1e-" + "9" * 5_000, '\\"1e+999999', "\n1e+99999"])
def test_text_that_looks_like_a_large_number_is_text(text: str) -> None:
    """A UUID may, whose message was then refused as too large."""
    payload = {text: text, "n": 1e20}
    assert json.loads(dumps(payload, field="payload")) == payload


@pytest.mark.parametrize("levels", [65, 260, 900, 5_000])
def test_a_stored_payload_that_is_too_deep_is_unreadable(levels: int) -> None:
    """It is answered with its size in place of its content."""
    text = json.dumps([]).replace("[]", "[" * levels + "]" * levels)
    assert read_stored(text, len(text)) == ({}, Unreadable(len(text), "depth"))


def test_a_stored_payload_that_no_reader_takes_is_unreadable() -> None:
    """Numbers beyond a double, or beyond Python's bound on digits; and what was too large to be read at all."""
    assert read_stored('{"a": 1' + "0" * 400 + ".5}", 9) == ({}, Unreadable(9, "number"))
    assert read_stored('{"a": 1' + "0" * 5_000 + "}", 9) == ({}, Unreadable(9, "number"))
    assert read_stored(None, 9) == ({}, Unreadable(9, "size"))


def test_any_other_stored_payload_is_read() -> None:
    """Whether or not it is an object."""
    for text, value in (('{"a": 1.5}', {"a": 1.5}), ("[1]", [1]), ("null", None)):
        assert read_stored(text, len(text)) == (value, None)
