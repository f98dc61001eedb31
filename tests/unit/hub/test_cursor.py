"""Cursors: what goes out comes back the same, and what is no cursor is refused."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.channels import ID_PATTERN, ChannelName, ChannelType
from realtime_ui.core.errors import InvalidRequest
from realtime_ui.core.position import Position
from realtime_ui.hub.cursor import MAX_PLACE, Cursor, cursor_text, new_stream_id, place_text

channels = st.builds(ChannelName, st.sampled_from(ChannelType), st.from_regex(ID_PATTERN, fullmatch=True))
positions = st.one_of(
    st.just(Position("", 0)),
    st.builds(
        Position,
        st.uuids().filter(lambda epoch: epoch.int != 0).map(str),
        st.integers(min_value=0, max_value=2**62 - 1),
        st.from_regex(r"([0-9a-f]{15}[1-9a-f])?", fullmatch=True),
    ),
)


def text_of(stream: str, places: dict[ChannelName, Position]) -> str:
    """A cursor as a stream writes it."""
    return cursor_text(stream, [place_text(channel, position) for channel, position in places.items()])


# Of project:x at seq 7, as a stream of the first format gave it out.
FIRST_FORMAT = "AAAAAAAAAAAA.MzMzMzMzMzMzMzMzMzMzMwAAAAAAAAAHcHJvamVjdDp4"


def test_a_cursor_of_the_first_format_is_read() -> None:
    """Its rows have no tags."""
    cursor = Cursor.parse(FIRST_FORMAT, field="cursor", max_channels=1)
    assert cursor.stream == "A" * 12
    assert cursor.positions == {ChannelName.parse("project:x"): Position(str(uuid.UUID(bytes=b"3" * 16)), 7)}


@given(places=st.dictionaries(channels, positions, max_size=50))
def test_a_cursor_comes_back_as_it_went_out(places: dict[ChannelName, Position]) -> None:
    """With the stream's id and every channel's place."""
    stream = new_stream_id()
    cursor = Cursor.parse(text_of(stream, places), field="cursor", max_channels=50)
    assert (cursor.stream, cursor.positions) == (stream, places)


@given(
    text=st.one_of(
        st.text(max_size=400),
        st.from_regex(r"[A-Za-z0-9_-]{12}(\.[A-Za-z0-9_-]{0,60}){0,4}", fullmatch=True),
        st.binary(max_size=80).map(lambda raw: f"AAAAAAAAAAAA.{base64.urlsafe_b64encode(raw).decode()}"),
        st.binary(max_size=80).map(lambda raw: f"2.AAAAAAAAAAAA.{base64.urlsafe_b64encode(raw).decode()}"),
    )
)
def test_whatever_comes_in_is_read_or_refused_with_a_problem(text: str) -> None:
    """Nothing else is raised; what is read is within bounds."""
    try:
        cursor = Cursor.parse(text, field="Last-Event-ID", max_channels=3)
    except InvalidRequest:
        return
    assert len(cursor.positions) <= 3
    for channel, position in cursor.positions.items():
        assert ChannelName.parse(str(channel)) == channel
        assert 0 <= position.seq < 2**62
        assert position.epoch == "" or str(uuid.UUID(position.epoch)) == position.epoch


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "AAAAAAAAAAA",
        "AAAAAAAAAAAA.",
        "AAAAAAAAAAAA.x",
        "AAAAAAAAAAAA.é",
        "2",
        "2.AAAAAAAAAAAA." + FIRST_FORMAT.partition(".")[2],
        place_text(ChannelName.parse("project:x"), Position("", 1)),
        "2.AAAAAAAAAAAA" + 2 * ("." + place_text(ChannelName.parse("project:x"), Position("", 1))),
        "AAAAAAAAAAAA" + "A" * 3 * MAX_PLACE,
    ],
)
def test_what_no_stream_gave_out_is_refused(broken: str) -> None:
    """Empty, cut off, without its stream, a channel twice, or far too long."""
    with pytest.raises(InvalidRequest) as refused:
        Cursor.parse(broken, field="cursor", max_channels=3)
    assert refused.value.field == "cursor"


def test_as_many_channels_as_a_stream_may_have_fit() -> None:
    """With the longest names there are."""
    places = {ChannelName(ChannelType.ORGANIZATION, f"{n:0128}"): Position(str(uuid.uuid4()), n) for n in range(50)}
    text = text_of(new_stream_id(), places)
    assert Cursor.parse(text, field="cursor", max_channels=50).positions == places
    with pytest.raises(InvalidRequest):
        Cursor.parse(text, field="cursor", max_channels=49)
