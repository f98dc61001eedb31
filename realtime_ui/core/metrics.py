"""All metrics of a worker, counted where things happen and given out by `GET /api/metrics`.

Every label has a closed set of values, each made here, so that a series exists before its first event and a
caller's input never makes one. Several workers of one machine count together: each in files of its own in the folder
that the parent made (`PROMETHEUS_MULTIPROC_DIR`), which whoever is asked adds up. Gauges are set once a second.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from realtime_ui.core.errors import RealtimeError, Unavailable

disable_created_metrics()  # type: ignore[no-untyped-call]


def _counter(name: str, meaning: str, label: str, *values: str) -> Counter:
    """A counter with one label, its series begun."""
    counter = Counter(name, meaning, [label])
    for value in values:
        counter.labels(value)
    return counter


EMITS = _counter(
    "realtime_emits",
    "Events handed in, by how that ended.",
    "outcome",
    *("stored", "duplicate", "ephemeral", "refused", "unavailable"),
)
COMMITS = _counter(
    "realtime_commits", "Transactions that appended to the log, by how they ended.", "outcome", "stored", "failed"
)
COMMIT_ROWS = Histogram(
    "realtime_commit_rows",
    "Rows (an event on a channel) that shared one commit: the group size.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000),
)
COMMIT_SECONDS = Histogram(
    "realtime_commit_duration_seconds",
    "How long one append took, commit included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
PUBLISH_ERRORS = Counter("realtime_publish_errors", "Publishes that the provider did not take; each is tried again.")
PROVIDER_ERRORS = Counter("realtime_provider_errors", "Troubles of the provider, each counted when it begins.")
FOREIGN_MESSAGES = _counter(
    "realtime_foreign_messages",
    "What others published on our channels, by how that ended.",
    "outcome",
    *("recorded", "refused"),
)
ORPHANS_ADOPTED = Counter(
    "realtime_orphans_adopted", "Messages that another worker committed and this one published in its place."
)
HUB_GAPS_FILLED = Counter("realtime_hub_gaps_filled", "Holes in a channel's messages that were filled from the log.")
SWEEP_REPAIRS = Counter("realtime_sweep_repairs", "Channels that the sweep found behind the log.")
FRAMES = Counter("realtime_frames", "Frames handed on, whoever watches.")
DELIVERIES = Counter("realtime_deliveries", "Messages sent, one for each message and socket or stream.")
QUEUE_BOUNDS_HIT = Counter("realtime_queue_bounds_hit", "Times that something did not fit into a bounded queue.")
RESUMES = _counter(
    "realtime_resumes",
    "Subscriptions of sockets and streams, by how they began.",
    "kind",
    "fresh",
    "resume",
    "gap",
    "reset",
)
SOCKETS_REFUSED = Counter("realtime_sockets_refused", "Sockets that nobody signed in came with.")
BEATS = _counter(
    "realtime_beats",
    "Heartbeats over sockets: sent, answered, and missed (once for each silence of a connection on a channel).",
    "outcome",
    *("sent", "answered", "missed"),
)
BEAT_SECONDS = Histogram(
    "realtime_beat_duration_seconds",
    "From a heartbeat to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

SOCKETS = Gauge("realtime_sockets", "Sockets open on /feed.", multiprocess_mode="livesum")
STREAMS = Gauge("realtime_streams", "Server-Sent Events streams open on /api/stream.", multiprocess_mode="livesum")
SUBSCRIPTIONS = Gauge(
    "realtime_subscriptions", "Channels watched, counted for each socket.", multiprocess_mode="livesum"
)
CONNECTIONS_STALE = Gauge(
    "realtime_connections_stale", "Sockets silent for longer than their channel's timeout.", multiprocess_mode="livesum"
)
TASKS = Gauge("realtime_tasks", "Tasks on the event loop.", multiprocess_mode="livesum")
HUB_LAG_SECONDS = Gauge(
    "realtime_hub_lag_seconds",
    "How long some watched channel has been behind what is known.",
    multiprocess_mode="livemax",
)
DATABASE_UP = Gauge(
    "realtime_database_up", "1 while the database answers within 2 s, else 0.", multiprocess_mode="livemin"
)
PROVIDER_UP = Gauge("realtime_provider_up", "1 while the provider is connected, else 0.", multiprocess_mode="livemin")


@contextmanager
def failed_emits_counted(events: int) -> Iterator[None]:
    """Counts so many events as refused or unavailable when the block raises."""
    try:
        yield
    except RealtimeError as error:
        EMITS.labels(outcome_of(error)).inc(events)
        raise


def total(counter: Counter, *values: str) -> int:
    """What a counter has counted, under some values of its label where they are named."""
    [family] = counter.collect()
    return round(
        sum(
            sample.value
            for sample in family.samples
            if sample.name.endswith("_total") and (not values or set(sample.labels.values()) & set(values))
        )
    )


def outcome_of(error: RealtimeError) -> str:
    """Whether an emit was refused for what it is, or could not be stored for now."""
    return "unavailable" if isinstance(error, Unavailable) else "refused"


def exposition() -> bytes:
    """All metrics in Prometheus's text format: this worker's, or those of all workers of the machine."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
