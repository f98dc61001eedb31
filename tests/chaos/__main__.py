"""`make chaos`: the long form. Reads CHAOS_SECONDS (1200), CHAOS_SEED (any) and CHAOS_PROVIDER from the environment."""

import asyncio
import os
import random
import sys

from tests.chaos.run import Plan, run


def main() -> int:
    """Run, print the report; 1 when something was not so as promised."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    seconds = float(os.environ.get("CHAOS_SECONDS") or 1200)
    sys.stdout.write(f"Chaos for {seconds:.0f} s, CHAOS_SEED={seed}\n")
    sys.stdout.flush()
    plan = Plan(
        seed=seed,
        seconds=seconds,
        longest_s=60,
        pause_s=(1, 10),
        settle_s=120,
        provider=os.environ.get("CHAOS_PROVIDER") or "flaky",
    )
    report = asyncio.run(run(plan))
    sys.stdout.write(f"{report}\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
