"""How often a connection beats, after how long it counts as gone, and what that makes of one that is silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from realtime_ui.core.channels import ChannelType, clip
from realtime_ui.core.errors import InvalidEvent

MIN_INTERVAL_MS, MAX_INTERVAL_MS = 1_000, 600_000
MAX_TIMEOUT_MS = 3_600_000
LATE = 1.5
"""A connection is late that has not answered for so many intervals."""


class Liveness(StrEnum):
    """How a connection stands."""

    ALIVE = "alive"
    LATE = "late"
    STALE = "stale"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """What holds for a channel type, in ms."""

    interval_ms: int
    timeout_ms: int

    @classmethod
    def checked(cls, interval_ms: object, timeout_ms: object) -> "HeartbeatConfig":
        """Two numbers, if they make sense together.

        Raises:
            InvalidEvent: naming the field: no whole number, out of bounds, or a timeout below two intervals.
        """
        interval = _within(interval_ms, "interval_ms", MIN_INTERVAL_MS, MAX_INTERVAL_MS)
        timeout = _within(timeout_ms, "timeout_ms", 2 * MIN_INTERVAL_MS, MAX_TIMEOUT_MS)
        if timeout < 2 * interval:
            raise InvalidEvent(
                f"A timeout of {_figure(timeout)} s is less than two intervals of {_figure(interval)} s.",
                field="timeout_ms",
                remedy=f"Choose {_figure(2 * interval)} s or more, so that one lost beat ends nothing.",
            )
        return cls(interval, timeout)

    def liveness(self, silent_s: float) -> Liveness:
        """How a connection stands that last gave a sign so many seconds ago."""
        silent_ms = silent_s * 1000
        if silent_ms > self.timeout_ms:
            return Liveness.STALE
        return Liveness.LATE if silent_ms > LATE * self.interval_ms else Liveness.ALIVE


def _within(value: object, field: str, least: int, most: int) -> int:
    what = field.removesuffix("_ms")
    if type(value) is not int:
        raise InvalidEvent(f"The {what} is {clip(value)}.", field=field, remedy="Send a whole number of milliseconds.")
    if not least <= value <= most:
        raise InvalidEvent(
            f"The {what} is {_figure(value)} s.",
            field=field,
            remedy=f"Choose {_figure(least)} to {_figure(most)} s.",
        )
    return value


def _figure(ms: int) -> str:
    """A time in s in plain figures, whatever its size: `1.5`, `100,000,000`."""
    return f"{ms / 1000:,.3f}".rstrip("0").rstrip(".")


DEFAULTS: Mapping[ChannelType, HeartbeatConfig] = {
    ChannelType.PROJECT: HeartbeatConfig(30_000, 90_000),
    ChannelType.SESSION: HeartbeatConfig(30_000, 90_000),
    ChannelType.ORGANIZATION: HeartbeatConfig(60_000, 180_000),
    ChannelType.USER: HeartbeatConfig(30_000, 90_000),
    ChannelType.SYSTEM: HeartbeatConfig(60_000, 180_000),
}
"""What the specification says, for a type whose row is missing or makes no sense."""
