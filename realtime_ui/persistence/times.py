"""Times: ms since the Unix epoch outside, TIMESTAMPTZ in the tables."""

from datetime import UTC, datetime
from typing import overload


def from_ms(ms: int | None) -> datetime | None:
    """For a column."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


@overload
def to_ms(time: datetime) -> int: ...
@overload
def to_ms(time: None) -> None: ...
def to_ms(time: datetime | None) -> int | None:
    """From a column."""
    return None if time is None else round(time.timestamp() * 1000)
