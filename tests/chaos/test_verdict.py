"""The verdict itself: it finds what must not be, and nothing else."""

import pytest

from tests.chaos.generator import Sent
from tests.chaos.verdict import Channel, Tally, caught_up_at, check_list, check_log
from tests.chaos.watcher import Shown

LOG = Channel(["a", "b", "c", "d"], [10.0, 20.0, 30.0, 40.0])


def shown(*seqs: int, ids: str = "abcd") -> Shown:
    """A list with these rows, each a second after its commit."""
    result = Shown("watcher", "steady", "project:x")
    for seq in seqs:
        result.add(seq, ids[seq - 1], seq * 10.0 + 1)
    return result


@pytest.mark.parametrize("seqs", [(1, 2, 3, 4), (3, 4)])
def test_a_list_that_is_the_log_from_its_first_row_on_is_well(seqs: tuple[int, ...]) -> None:
    """Wherever it begins."""
    tally = Tally()
    check_list(shown(*seqs), LOG, tally)
    assert tally == Tally(deliveries=len(seqs))


@pytest.mark.parametrize(
    ("seqs", "losses", "doubles", "disorders"),
    [
        ((1, 2, 4), 1, 0, 0),
        ((1, 2, 3), 1, 0, 0),
        ((), 4, 0, 0),
        ((1, 2, 2, 3, 4), 0, 1, 0),
        ((1, 3, 2, 4), 0, 0, 1),
        ((2, 3, 4, 1), 0, 0, 1),
    ],
)
def test_a_loss_a_double_and_a_disorder_are_found(
    seqs: tuple[int, ...], losses: int, doubles: int, disorders: int
) -> None:
    """And told with watcher, channel and seq."""
    tally = Tally()
    check_list(shown(*seqs), LOG, tally)
    assert (tally.losses, tally.doubles, tally.disorders) == (losses, doubles, disorders)
    assert [finding.words.startswith("watcher (steady)") for finding in tally.findings] == [True]


def test_a_list_must_begin_where_the_server_said() -> None:
    """A lost first row is a loss; a list that began at the head may be empty."""
    tally = Tally()
    late = shown(3, 4)
    late.after = 1
    check_list(late, LOG, tally)
    assert tally.losses == 1
    empty = shown()
    empty.after = 4
    check_list(empty, LOG, tally)
    assert tally.losses == 1


def test_another_event_under_a_seq_is_a_loss() -> None:
    """Ids are compared, not only numbers."""
    tally = Tally()
    check_list(shown(1, 2, 3, 4, ids="abxd"), LOG, tally)
    assert tally.losses == 1


def test_a_list_closed_before_the_end_need_not_reach_it() -> None:
    """Up to where it went it must be whole."""
    tally = Tally()
    check_list(shown(1, 2), LOG, tally, to_the_end=False)
    assert tally.findings == []


@pytest.mark.parametrize(
    ("log", "answered", "words"),
    [
        (["a"], {"a": 1, "b": 2}, "b was answered"),
        (["b", "a"], {"a": 1, "b": 2}, "a was answered"),
        (["a", "b", "b"], {"a": 1, "b": 2}, "b was answered"),
        (["a", "b", "z"], {"a": 1, "b": 2}, "z stands at"),
        (["a", "b", "b"], {"a": 1}, "b was sent once"),
    ],
)
def test_a_log_that_is_not_what_was_answered_is_found(log: list[str], answered: dict[str, int], words: str) -> None:
    """An answered event is there once, at its seq; what was never sent is not."""
    sent = Sent({"a": "project:x", "b": "project:x"}, answered)
    findings = check_log({"project:x": Channel(log)}, sent)
    assert any(finding.words.startswith(words) for finding in findings)


def test_what_was_sent_and_never_answered_may_be_there_or_not() -> None:
    """Once."""
    sent = Sent({"a": "project:x", "b": "project:x"}, {"a": 1})
    assert check_log({"project:x": Channel(["a"])}, sent) == []
    assert check_log({"project:x": Channel(["a", "b"])}, sent) == []


def test_recovery_is_told_by_the_first_event_after_a_fault() -> None:
    """By when it was shown."""
    assert caught_up_at(shown(1, 2, 3, 4), LOG, 25.0) == 31.0
    assert caught_up_at(shown(1, 2, 3, 4), LOG, 45.0) is None
    assert caught_up_at(shown(4), LOG, 25.0) is None
