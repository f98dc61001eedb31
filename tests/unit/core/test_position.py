"""The rule by which a reader goes on from where it stands."""

from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.messages import Head, row_tag
from realtime_ui.core.position import Follow, Position, follow


def tags(history: str, count: int) -> list[str]:
    """The tags of rows 1, 2, 3 … of one history."""
    return [row_tag(f"event-{seq}", ord(history) * 1_000 + seq) for seq in range(1, count + 1)]


@st.composite
def logs(draw: st.DrawFn) -> tuple[int, list[str], list[str], int]:
    """A log before and after a failover: what both have, all tags before and after, and the first seq kept."""
    common = draw(st.integers(0, 8))
    before = tags("a", common + draw(st.integers(0, 8)))
    after = tags("a", common) + tags("b", common + draw(st.integers(0, 8)))[common:]
    return common, before, after, draw(st.integers(1, len(after) + 1))


@given(logs(), st.data())
def test_a_reader_goes_on_exactly_where_it_has_what_the_log_has(
    log: tuple[int, list[str], list[str], int], data: st.DataObject
) -> None:
    """Whatever was lost, whatever took its numbers, and as far as the log still keeps the row to compare with."""
    common, before, after, first = log
    seq = data.draw(st.integers(0, len(before)))
    position = Position("e", seq, before[seq - 1] if seq else "")
    there = after[seq - 1] if first <= seq <= len(after) else ""
    how = follow(position, Head("e", first, len(after)), there)
    if seq > len(after) or (seq > common and seq >= first):
        assert how is Follow.DIVERGED
    else:
        assert how is (Follow.RESUME if seq >= first - 1 else Follow.GAP)


@given(logs(), st.integers(0, 20))
def test_another_epoch_is_a_reset_whatever_stands_there(log: tuple[int, list[str], list[str], int], seq: int) -> None:
    """Nothing of it is compared."""
    _, _, after, first = log
    assert follow(Position("e", seq, "tag"), Head("f", first, len(after)), "tag") is Follow.RESET
    assert follow(Position("e", seq), Head.EMPTY, "") is Follow.RESET


def test_who_watched_from_before_the_first_event_goes_on_with_it() -> None:
    """There was no epoch yet; what is no longer kept of what came since is a gap."""
    assert follow(Position("", 0), Head.EMPTY, "") is Follow.RESUME
    assert follow(Position("", 0), Head("e", 1, 5), "") is Follow.RESUME
    assert follow(Position("", 0), Head("e", 3, 5), "") is Follow.GAP


def test_who_has_nothing_begins() -> None:
    """Whatever there is."""
    assert follow(None, Head("e", 3, 5), "tag") is Follow.FRESH
    assert follow(None, Head.EMPTY, "") is Follow.FRESH
