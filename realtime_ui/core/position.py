"""Positions in a channel's log, and the one rule by which a reader goes on from one.

A position is the epoch, the seq of the last row that the reader has, and that row's tag. The seq alone does not
identify a row: after a failover to a standby that lacked the newest rows, other events take their numbers within the
same epoch. Tags tell them apart (`Message.tag`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from realtime_ui.core.messages import Head


@dataclass(frozen=True, slots=True)
class Position:
    """The last row that a reader has.

    Attributes:
        epoch: the epoch that `seq` counts in; "" for a channel that had no event yet.
        seq: the row's number; 0 before the first.
        tag: the row's tag; "" where it is not known, as at a row that is no longer kept.
    """

    EMPTY: ClassVar["Position"]

    epoch: str
    seq: int
    tag: str = ""

    def continues_in(self, epoch: str) -> bool:
        """Whether rows of an epoch may follow: it is the position's own, or the channel had no event yet."""
        return epoch == self.epoch or self == Position.EMPTY


Position.EMPTY = Position("", 0)


class Follow(StrEnum):
    """How a reader goes on from a position.

    FRESH: it has none, and begins near the head.
    RESUME: with the row after its position.
    GAP: with the first row kept; those between are gone.
    RESET: what it has belongs to another epoch; it begins as if it had nothing.
    DIVERGED: what it has is not what the log has, within the same epoch: the log went back. It begins as if it had
        nothing; see `RealtimeHub` for how everybody learns of it.
    """

    FRESH = "fresh"
    RESUME = "resume"
    GAP = "gap"
    RESET = "reset"
    DIVERGED = "diverged"


def follow(position: Position | None, head: Head, tag: str) -> Follow:
    """How a reader goes on.

    Args:
        position: where it stands, or None where it has nothing.
        head: where the log stands, read after the reader got to its position.
        tag: the tag of the log's row at the position's seq; "" where none stands there.
    """
    if position is None:
        return Follow.FRESH
    if not position.continues_in(head.epoch):
        return Follow.RESET
    if position.seq > head.last or (position.tag and tag and position.tag != tag):
        return Follow.DIVERGED
    return Follow.RESUME if position.seq >= head.first - 1 else Follow.GAP
