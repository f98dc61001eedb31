"""Metrics."""

import pytest
from prometheus_client import REGISTRY, Metric

from realtime_ui.core import metrics
from realtime_ui.core.errors import Conflict, DatabaseUnavailable, RealtimeError


def ours() -> list[Metric]:
    """The house's own metrics."""
    return [metric for metric in REGISTRY.collect() if metric.name.startswith("realtime_")]


def test_every_series_is_there_from_the_start_and_labels_are_a_closed_set() -> None:
    """A rate needs a zero to begin at; and nothing that comes from outside is a label."""
    labels = {(key, value) for metric in ours() for sample in metric.samples for key, value in sample.labels.items()}
    assert {(key, value) for key, value in labels if key != "le"} == {
        *(("outcome", value) for value in ("stored", "duplicate", "ephemeral", "refused", "unavailable", "failed")),
        *(("outcome", value) for value in ("sent", "answered", "missed")),
        ("outcome", "recorded"),
        *(("kind", value) for value in ("fresh", "resume", "gap", "reset")),
        *(("reason", value) for value in ("malformed", "bound")),
    }


def test_every_metric_says_what_it_counts() -> None:
    """In a sentence."""
    assert len(ours()) >= 18
    assert all(metric.documentation.endswith(".") for metric in ours())


@pytest.mark.parametrize(("error", "outcome"), [(Conflict("x"), "refused"), (DatabaseUnavailable("x"), "unavailable")])
def test_a_failed_emit_counts_all_its_events(error: RealtimeError, outcome: str) -> None:
    """Under why it failed."""

    def count() -> float:
        return REGISTRY.get_sample_value("realtime_emits_total", {"outcome": outcome}) or 0

    before = count()
    with pytest.raises(RealtimeError), metrics.failed_emits_counted(7):
        raise error
    assert count() - before == 7
