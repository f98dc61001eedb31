"""How long to wait before a failed attempt is repeated."""

import random


def spread(wait_s: float) -> float:
    """A wait in s, shortened at random by up to a half, so that not all who wait end it at once."""
    return wait_s * random.uniform(0.5, 1)


class Backoff:
    """Waits that double from `first_s` to `longest_s`, each shortened at random by up to a half.

    Args:
        first_s: the first wait, in s.
        longest_s: no wait is longer.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    def next(self) -> float:
        """How long to wait now, in s."""
        wait_s = spread(self._next_s)
        self._next_s = min(self._next_s * 2, self._longest_s)
        return wait_s

    def reset(self) -> None:
        """An attempt succeeded: begin again with the first wait."""
        self._next_s = self._first_s
