"""How much comes by in a second."""

import pytest

from realtime_ui.providers.meter import Meter
from tests.clock import ManualClock


async def test_a_steady_stream_is_measured_and_forgotten() -> None:
    """Within a tenth of what it is, and near nothing a while after its end."""
    clock = ManualClock()
    meter = Meter(clock)
    assert meter.rate == 0
    for _ in range(1500):
        await clock.advance(0.02)
        meter.count()
    assert meter.rate == pytest.approx(50, rel=0.1)
    await clock.advance(20)
    assert meter.rate < 0.1


async def test_what_is_expected_counts_until_it_shows() -> None:
    """And as much as it does then."""
    clock = ManualClock()
    meter = Meter(clock)
    meter.expect(50)
    for _ in range(500):
        assert meter.rate == pytest.approx(50, rel=0.1)
        await clock.advance(0.02)
        meter.count()


async def test_many_at_once_count_as_many() -> None:
    """As from a page of history."""
    clock = ManualClock()
    one, many = Meter(clock), Meter(clock)
    for _ in range(10):
        one.count()
    many.count(10)
    assert one.rate == pytest.approx(many.rate)
