"""Waits between attempts."""

from realtime_ui.core.backoff import Backoff


def test_waits_double_up_to_the_longest_and_are_spread() -> None:
    """Each lies between a half of the full wait and all of it."""
    backoff = Backoff(1, 5)
    for full in (1, 2, 4, 5, 5):
        assert full / 2 <= backoff.next() <= full


def test_no_two_callers_wait_alike() -> None:
    """So that they do not all come back at the same moment."""
    assert len({Backoff(1, 5).next() for _ in range(20)}) > 1


def test_after_a_success_the_first_wait_is_short_again() -> None:
    """As at the beginning."""
    backoff = Backoff(1, 60)
    for _ in range(9):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1
