"""Many failovers and switch-overs in a row, on one worker and on two that share a Redis."""

import random
import sys

import pytest

from tests.chaos.failover import Kind, Plan, run


@pytest.mark.parametrize("provider", ["memory", "redis"])
async def test_each_failover_is_told_to_all_and_each_switch_over_to_nobody(provider: str) -> None:
    """In random order; at the end every list is the log."""
    seed = random.randrange(1_000_000)
    rounds = random.Random(seed).sample([Kind.FAIL_OVER, Kind.SWITCH_OVER] * 4, 8)
    report = await run(Plan(rounds, seed), provider)
    sys.stdout.write(f"\n{report}\n")
    assert report.findings == [], str(report)
    assert all((each.lost > 0) is (each.kind is Kind.FAIL_OVER) for each in report.rounds), str(report)
