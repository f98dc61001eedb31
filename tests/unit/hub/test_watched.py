"""One channel's order: once, in a row, whatever comes how."""

import uuid
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Head, Message
from realtime_ui.core.position import Position
from realtime_ui.hub.watched import KNOWN_TAGS, Watched
from realtime_ui.persistence.event_log import Look

KEY = (uuid.UUID(int=1), ChannelName.parse("project:x"))


def message(seq: int, epoch: str = "e") -> Message:
    """A message."""
    return Message(*KEY, seq, epoch, f"id-{seq}", "project.updated", {}, 1)


def at(epoch: str, last: int) -> Look:
    """A log that keeps all up to there."""
    return Look(Head(epoch, 1, last), message(last, epoch).tag if last else "")


def taken(watched: Watched) -> list[int]:
    """The seqs that gathered."""
    frame = watched.take()
    return [each.seq for each in frame.messages] if frame else []


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 12), max_size=12))
def test_any_order_with_any_doubles_gathers_in_order(order: list[int], doubles: list[int]) -> None:
    """Each once; the log is asked only while something is missing."""
    watched = Watched(KEY)
    assert watched.begin_at(at("e", 0))
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
    assert watched.begin_at(at("e", 4))
    assert taken(watched) == [5, 6]


def test_a_hole_at_the_start_is_the_logs_to_fill() -> None:
    """Nothing is gathered over it."""
    watched = Watched(KEY)
    watched.accept(message(7))
    assert not watched.begin_at(at("e", 4))
    assert taken(watched) == []
    watched.accept_from_log([message(5), message(6)])
    assert taken(watched) == [5, 6, 7]


def test_a_page_that_begins_later_says_that_the_rest_is_no_longer_kept() -> None:
    """The channel goes on behind the gap."""
    watched = Watched(KEY)
    watched.begin_at(at("e", 2))
    watched.accept_from_log([message(9), message(10)])
    assert taken(watched) == [9, 10]
    assert watched.accept(message(11))


def test_another_epoch_is_the_logs_to_explain() -> None:
    """Until then nothing of it is gathered; then it begins anew."""
    watched = Watched(KEY)
    watched.begin_at(at("e", 5))
    watched.accept(message(6))
    assert not watched.accept(message(7, "other"))
    watched.restart_at(at("other", 7))
    assert taken(watched) == []
    assert watched.accept(message(8, "other"))
    assert taken(watched) == [8]


@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_nothing_follows_on_a_row_that_another_message_contradicts(kept: int, lost: int, all_at_once: bool) -> None:
    """Until the log was asked about the row that was handed on, which is then found to be another."""
    watched = Watched(KEY)
    assert watched.begin_at(at("e", kept))
    for seq in range(kept + 1, kept + lost + 1):
        assert watched.accept(message(seq))
    assert taken(watched) == list(range(kept + 1, kept + lost + 1))
    stood = watched.position
    others = [replace(message(seq), id=f"other-{seq}") for seq in range(kept + 1, kept + lost + 4)]
    results = [watched.accept(other) for other in (others if all_at_once else others[:1])]
    assert not any(results)
    assert taken(watched) == []
    assert watched.position == stood
    watched.restart_at(at("f", kept + lost + 3))
    assert watched.accept(message(kept + lost + 4, "f"))


def test_a_double_is_no_contradiction_however_old() -> None:
    """What came over the wire a second time is passed over, also where its tag is not remembered any more."""
    watched = Watched(KEY)
    watched.begin_at(at("e", 0))
    for seq in range(1, KNOWN_TAGS + 20):
        assert watched.accept(message(seq))
    for seq in range(1, KNOWN_TAGS + 20):
        assert watched.accept(message(seq))


def test_behind_a_gap_there_is_nothing_to_compare_with() -> None:
    """Until the next message."""
    watched = Watched(KEY)
    watched.begin_at(at("e", 3))
    watched.pass_over(7)
    assert watched.position == Position("e", 7, "")
    assert watched.accept(replace(message(7), id="other"))
    assert watched.accept(message(8))
    assert watched.position == Position("e", 8, message(8).tag)
