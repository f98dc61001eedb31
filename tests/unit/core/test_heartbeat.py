"""What makes sense as a heartbeat, and what silence makes of a connection."""

import pytest

from realtime_ui.core.channels import ChannelType
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.core.heartbeat import DEFAULTS, HeartbeatConfig, Liveness


def test_the_defaults_are_the_specifications() -> None:
    """30 s and three missed beats, or 60 s for organizations and systems."""
    assert {kind: (each.interval_ms, each.timeout_ms) for kind, each in DEFAULTS.items()} == {
        ChannelType.PROJECT: (30_000, 90_000),
        ChannelType.SESSION: (30_000, 90_000),
        ChannelType.ORGANIZATION: (60_000, 180_000),
        ChannelType.USER: (30_000, 90_000),
        ChannelType.SYSTEM: (60_000, 180_000),
    }


@pytest.mark.parametrize(
    ("interval", "timeout", "field", "words"),
    [
        (999, 90_000, "interval_ms", "Choose 1 to 600 s"),
        (600_001, 3_600_000, "interval_ms", "Choose 1 to 600 s"),
        (30_000, 59_999, "timeout_ms", "Choose 60 s or more"),
        (1_000, 1_999, "timeout_ms", "Choose 2 to 3,600 s"),
        (1_000, 3_600_001, "timeout_ms", "Choose 2 to 3,600 s"),
        ("30000", 90_000, "interval_ms", "whole number"),
        (True, 90_000, "interval_ms", "whole number"),
        (30_000, None, "timeout_ms", "whole number"),
        (30_000, 90_000.5, "timeout_ms", "whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(
    interval: object, timeout: object, field: str, words: str
) -> None:
    """And with what to choose."""
    with pytest.raises(InvalidEvent) as refusal:
        HeartbeatConfig.checked(interval, timeout)
    assert refusal.value.field == field
    assert words in f"{refusal.value.remedy}"


@pytest.mark.parametrize(
    ("timeout_ms", "words"),
    [
        (100_000_000_000, "The timeout is 100,000,000 s."),
        (1_001, "The timeout is 1.001 s."),
        (0, "The timeout is 0 s."),
    ],
)
def test_times_are_told_in_plain_figures(timeout_ms: int, words: str) -> None:
    """However large or small."""
    with pytest.raises(InvalidEvent) as refusal:
        HeartbeatConfig.checked(30_000, timeout_ms)
    assert refusal.value.detail == words


def test_the_bounds_themselves_are_good() -> None:
    """A timeout of just two intervals, too."""
    assert HeartbeatConfig.checked(1_000, 2_000) == HeartbeatConfig(1_000, 2_000)
    assert HeartbeatConfig.checked(600_000, 3_600_000) == HeartbeatConfig(600_000, 3_600_000)


def test_silence_makes_a_connection_late_and_then_stale() -> None:
    """Late half an interval after the answer was due; stale only beyond the timeout."""
    config = HeartbeatConfig(30_000, 90_000)
    stands = {seconds: config.liveness(seconds) for seconds in (0, 45, 45.001, 90, 90.001)}
    assert list(stands.values()) == [Liveness.ALIVE, Liveness.ALIVE, Liveness.LATE, Liveness.LATE, Liveness.STALE]
