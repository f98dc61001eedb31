"""The short form of the soak."""

import random
import sys

from tests.chaos.levels import Levels
from tests.chaos.soak import Plan, soak
from tests.chaos.soak_tabs import ENDS


async def test_sockets_tasks_subscriptions_memory_and_rows_come_back_to_where_they_were() -> None:
    """After tabs were opened, closed, lost and reloaded under traffic."""
    plan = Plan(
        seed=random.randrange(1_000_000),
        seconds=12,
        warm_up_s=6,
        tabs=20,
        longest_open_s=4,
        rate=50,
        state_s=2,
        settle_s=15,
        look_every_s=4,
    )
    report = await soak(plan, lambda line: None)
    sys.stdout.write(f"\n{report}\n")
    assert report.findings == [], str(report)
    assert all(report.counts.ends[how] > 0 for how in ENDS)
    assert report.counts.rows > report.events > 0
    highest = Levels.highest(report.meanwhile).counts
    assert min(highest[name] for name in ("TCP connections", "sockets", "subscriptions", "tasks")) >= plan.tabs / 2


def test_what_did_not_come_back_is_told() -> None:
    """Each count, and memory beyond what allocators keep."""
    before = Levels(100 * 2**20, {"TCP connections": 1, "threads": 9})
    assert Levels(110 * 2**20, {"TCP connections": 1, "threads": 8}).over(before) == []
    assert Levels(200 * 2**20, {"TCP connections": 2, "rows of new": 1}).over(before) == [
        "TCP connections: 2, before 1",
        "rows of new: 1, before 0",
        "memory: 200 MB, before 100 MB",
    ]
