"""The app on a PostgreSQL with a standby that takes the primary's place, once with all there was and once without."""

from tests.app import App
from tests.chaos.failover import Kind, Plan, run


async def test_a_failover_is_told_to_all_and_a_switch_over_to_nobody(app: App, own_port: int) -> None:
    """Whoever follows shows the log at the end; what was answered is in it, but for what the failover lost."""
    report = await run(Plan([Kind.SWITCH_OVER, Kind.FAIL_OVER], seed=1), "memory", port=own_port)
    assert report.findings == [], str(report)
    switched, failed = report.rounds
    assert switched.lost == 0
    assert failed.lost > 0
