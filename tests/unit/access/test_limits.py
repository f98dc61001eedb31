"""Token buckets."""

import pytest

from realtime_ui.access import limits
from realtime_ui.access.limits import RateLimiter
from realtime_ui.core.errors import RateLimited
from tests.clock import ManualClock


async def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """Ten at once, then one a second, and the error says how long to wait."""
    clock = ManualClock()
    limiter = RateLimiter(rate=1, burst=10, clock=clock)
    for _ in range(10):
        limiter.spend("ada")
    with pytest.raises(RateLimited) as caught:
        limiter.spend("ada")
    assert caught.value.retry_after_s == pytest.approx(1)
    await clock.advance(1)
    limiter.spend("ada")
    with pytest.raises(RateLimited):
        limiter.spend("ada")


def test_one_caller_does_not_spend_anothers_tokens() -> None:
    """Buckets are by name."""
    limiter = RateLimiter(rate=1, burst=1, clock=ManualClock())
    limiter.spend("ada")
    limiter.spend("max")


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names forgets the longest unused ones, not everything."""
    monkeypatch.setattr(limits, "MAX_BUCKETS", 3)
    limiter = RateLimiter(rate=1, burst=1, clock=ManualClock())
    for name in "abc":
        limiter.spend(name)
    limiter.spend("d")
    limiter.spend("a")
    with pytest.raises(RateLimited):
        limiter.spend("d")
