"""The browser's waits before a failed request is repeated."""

from tests import vendor


async def test_the_browser_retries_ever_later_and_not_all_tabs_at_once() -> None:
    """Each wait is a half to all of 1, 2, 4 … 30 s; one that replaces another, or a success, leaves none behind."""
    found = await vendor.run("backoff_checks.mjs")
    for wait, full in zip(found["waits"], (2_000, 8_000, 30_000, 30_000), strict=True):
        assert full / 2 <= wait <= full
    assert 1_000 <= found["after"] <= 2_000
    assert (found["retries"], found["left"]) == (5, 0)
    assert len({(await vendor.run("backoff_checks.mjs"))["after"] for _ in range(3)}) > 1
