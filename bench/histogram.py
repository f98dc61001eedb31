"""Latencies of many deliveries in little room, which several processes' can be added up."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

STEP = math.log(1.01)
LEAST_S = 1e-5


def histogram(latencies_s: Iterable[float]) -> dict[str, int]:
    """How many there are in each class; a class is a hundredth wide."""
    counts = Counter(math.floor(math.log(max(each, LEAST_S)) / STEP) for each in latencies_s)
    return {str(kind): count for kind, count in counts.items()}


def added(histograms: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """All of several together."""
    total: Counter[str] = Counter()
    for each in histograms:
        total.update(each)
    return dict(total)


def quantile(counts: Mapping[str, int], share: float) -> float | None:
    """The latency in s that a share of them is below; None where there is none."""
    wanted, passed = share * sum(counts.values()), 0
    for kind in sorted(map(int, counts)):
        passed += counts[str(kind)]
        if passed >= wanted:
            return math.exp((kind + 0.5) * STEP)
    return None
