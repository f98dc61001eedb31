"""The short form of the chaos run: every kind of fault at least once, within about a minute."""

import os
import random
import sys

import pytest

from tests.chaos.faults import NETWORK_FAULTS, SERVER_FAULTS, WIRE_FAULTS
from tests.chaos.run import Plan, run


@pytest.mark.parametrize("provider", ["flaky", "redis"])
async def test_nothing_is_lost_doubled_or_out_of_order_whatever_dies(provider: str) -> None:
    """Every watcher's list equals the log, and the log what was answered with 202; on redis with two workers."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    report = await run(
        Plan(seed=seed, seconds=45, longest_s=5, pause_s=(0.5, 3), browsers=2, provider=provider, settle_s=240)
    )
    sys.stdout.write(f"\n{report}\n")
    assert report.findings == [], str(report)
    wanted = (*SERVER_FAULTS, *NETWORK_FAULTS, *(WIRE_FAULTS if provider != "flaky" else ()))
    assert {each.fault.name for each in report.struck} == {fault.name for fault in wanted}
    assert report.stored >= len(report.sent.seqs) > 0
    assert report.tally.deliveries > report.stored
