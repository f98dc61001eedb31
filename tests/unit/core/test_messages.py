"""Events: what is let in, and what would spoil a group and is not."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent, TooLarge
from realtime_ui.core.messages import MAX_PAYLOAD_BYTES, Event, Message
from realtime_ui.core.payloads import Unreadable

TENANT = uuid.UUID(int=1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=10,
)


def event(payload: object, kind: object = "project.updated", id: object = None) -> Event:
    """An event by the tests."""
    return Event.create(kind, payload, TENANT, id=id, emitted_by="tests")


@given(JSON)
def test_any_json_payload_is_kept_as_it_is(value: object) -> None:
    """What is stored reads back equal."""
    made = event({"projectId": "x", "value": value})
    assert json.loads(made.payload_json) == {"projectId": "x", "value": value}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"a": float("nan")}, "NaN"),
        ({"a": float("inf")}, "NaN, Infinity"),
        ({"a": "b\0c"}, "NUL"),
        ({"a\0": 1}, "NUL"),
        ({"a": "\ud800"}, "surrogate"),
        ({"a": object()}, "JSON"),
    ],
)
def test_a_poisoned_payload_is_refused(payload: object, words: str) -> None:
    """PostgreSQL could not store it, and its whole group would fail."""
    with pytest.raises(InvalidEvent, match=words) as caught:
        event(payload)
    assert caught.value.field == "payload"


def test_the_six_letters_of_an_escape_are_no_nul() -> None:
    r"""The text \u0000, written with a backslash, is ordinary text."""
    assert json.loads(event({"a": "\\u0000"}).payload_json) == {"a": "\\u0000"}


def test_a_payload_above_its_bound_is_too_large() -> None:
    """The bound counts bytes, not characters."""
    event({"a": "x" * (MAX_PAYLOAD_BYTES - 10)})
    with pytest.raises(TooLarge):
        event({"a": "é" * (MAX_PAYLOAD_BYTES // 2)})


@pytest.mark.parametrize(
    "kind", [None, "", "project", "Project.updated", "project..x", "project.", "x." + "y" * 100, 3]
)
def test_a_type_is_dotted_lower_case_words(kind: object) -> None:
    """Anything else is refused, naming `type`."""
    with pytest.raises(InvalidEvent) as caught:
        event({}, kind)
    assert caught.value.field == "type"


@pytest.mark.parametrize("id", ["", "x" * 129, "tab\t", "ä", 5])
def test_an_id_is_short_visible_ascii(id: object) -> None:
    """Anything else is refused, naming `id`."""
    with pytest.raises(InvalidEvent) as caught:
        event({}, id=id)
    assert caught.value.field == "id"


def test_an_event_without_an_id_is_given_one() -> None:
    """Two events made alike are two events."""
    assert event({}).id != event({}).id


def test_an_unreadable_message_says_so_in_place_of_its_data() -> None:
    """A readable one has no such member."""
    channel = ChannelName.parse("project:x")
    row = Message(TENANT, channel, 1, "epoch", "id", "project.updated", {"a": 1}, 2).row()
    assert row == {
        "seq": 1,
        "id": "id",
        "type": "project.updated",
        "data": {"a": 1},
        "timestamp": 2,
        "emitted_by": None,
    }
    hidden = Message(TENANT, channel, 1, "epoch", "id", "project.updated", {}, 2, Unreadable(1_520, "depth"))
    assert hidden.row() == {**row, "data": None, "unreadable": {"bytes": 1_520, "reason": "depth"}}
