"""One channel's order: once, in a row, whatever comes how."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Head, Message
from realtime_ui.hub.watched import Watched

KEY = (uuid.UUID(int=1), ChannelName.parse("project:x"))


def message(seq: int, epoch: str = "e") -> Message:
    """A message."""
    return Message(*KEY, seq, epoch, f"id-{seq}", "project.updated", {}, 1)


def taken(watched: Watched) -> list[int]:
    """The seqs that gathered."""
    frame = watched.take()
    return [each.seq for each in frame.messages] if frame else []


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 12), max_size=12))
def test_any_order_with_any_doubles_gathers_in_order(order: list[int], doubles: list[int]) -> None:
    """Each once; the log is asked only while something is missing."""
    watched = Watched(KEY)
    assert watched.begin_at(Head("e", 1, 0))
    gathered: list[int] = []
    for seq in [*order, *doubles]:
        complete = watched.accept(message(seq))
        assert complete or watched.last < watched.seen
        gathered += taken(watched)
    assert gathered == list(range(1, 13))


def test_what_comes_before_the_head_is_known_waits() -> None:
    """And what the head has already is dropped."""
    watched = Watched(KEY)
    for seq in (4, 6, 5):
        assert watched.accept(message(seq))
    assert watched.begin_at(Head("e", 1, 4))
    assert taken(watched) == [5, 6]


def test_a_hole_at_the_start_is_the_logs_to_fill() -> None:
    """Nothing is gathered over it."""
    watched = Watched(KEY)
    watched.accept(message(7))
    assert not watched.begin_at(Head("e", 1, 4))
    assert taken(watched) == []
    watched.accept_from_log([message(5), message(6)])
    assert taken(watched) == [5, 6, 7]


def test_a_page_that_begins_later_says_that_the_rest_is_no_longer_kept() -> None:
    """The channel goes on behind the gap."""
    watched = Watched(KEY)
    watched.begin_at(Head("e", 1, 2))
    watched.accept_from_log([message(9), message(10)])
    assert taken(watched) == [9, 10]
    assert watched.accept(message(11))


def test_another_epoch_is_the_logs_to_explain() -> None:
    """Until then nothing of it is gathered; then it begins anew."""
    watched = Watched(KEY)
    watched.begin_at(Head("e", 1, 5))
    watched.accept(message(6))
    assert not watched.accept(message(7, "other"))
    watched.restart_at(Head("other", 1, 7))
    assert taken(watched) == []
    assert watched.accept(message(8, "other"))
    assert taken(watched) == [8]
