"""Channel names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.channels import ID_PATTERN, ChannelName, ChannelType, checked_id, clip
from realtime_ui.core.errors import InvalidEvent

IDS = st.from_regex(ID_PATTERN, fullmatch=True)


@given(st.sampled_from(ChannelType), IDS)
def test_a_name_reads_back_as_it_was_written(kind: ChannelType, identity: str) -> None:
    """Parsing what `str` gave is the same name."""
    name = ChannelName(kind, identity)
    assert ChannelName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "project", "project:", ":x", "planet:x", "project:a b", "project:ä", "project:" + "x" * 129),
        *("project:.", "project:..", "project:x\n", None, 7, {}, [[[[[["deep"]]]]]]),
    ],
)
def test_what_is_no_name_is_refused_with_its_field(text: object) -> None:
    """The error says which field was wrong and what to do."""
    with pytest.raises(InvalidEvent) as caught:
        ChannelName.parse(text, field="channel")
    assert caught.value.field == "channel"
    assert caught.value.remedy


def test_a_missing_id_reads_differently_from_a_wrong_one() -> None:
    """'Missing' is said only when nothing was there."""
    with pytest.raises(InvalidEvent, match="missing"):
        checked_id(None, field="payload.projectId")
    with pytest.raises(InvalidEvent, match="not a channel id"):
        checked_id("a/b", field="payload.projectId")


def test_a_uuid_becomes_the_entity_id_and_other_ids_do_not() -> None:
    """The column is a UUID; ids need not be."""
    text = "7f2c1d1e-7c1f-4d2a-9a57-0d8f6a6f2f11"
    assert str(ChannelName(ChannelType.PROJECT, text).entity_id) == text
    assert ChannelName(ChannelType.PROJECT, "abc123").entity_id is None


def test_dots_are_refused_only_where_they_are_the_whole_id() -> None:
    """Browsers take `.` and `..` out of an address; other ids with dots are ordinary. A stored one is still read."""
    for identity in ("...", "a.", ".a", "..a", "v1.2"):
        assert ChannelName.parse(f"project:{identity}").id == identity
    for identity in (".", ".."):
        with pytest.raises(InvalidEvent, match="not a channel id"):
            checked_id(identity, field="payload.projectId")
        assert ChannelName.stored(f"project:{identity}").id == identity


def test_a_refused_value_is_shown_short_however_deep_it_is() -> None:
    """Showing it must not recurse to its end."""
    deep: object = "x" * 500
    for _ in range(5_000):
        deep = [deep]
    for value in (deep, {"a": deep}, "y" * 5_000):
        assert len(clip(value)) <= 80
