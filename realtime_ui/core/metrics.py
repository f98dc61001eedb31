"""All metrics, counted where things happen and given out by `GET /api/metrics`.

Every label has a closed set of values, each made here, so that a series exists before its first event and a
caller's input never makes one. Several workers count into files of a folder that their parent made, and whichever is
asked adds them up; the parent names the folder in the variable that prometheus_client looks for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

from realtime_ui.core.errors import RealtimeError, Unavailable

disable_created_metrics()  # type: ignore[no-untyped-call]


SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def _counter(name: str, meaning: str, label: str, *values: str) -> Counter:
    """A counter with one label, its series begun."""
    counter = Counter(name, meaning, [label])
    for value in values:
        counter.labels(value)
    return counter


def _gauge(name: str, meaning: str, together: Literal["livesum", "livemax", "livemin"]) -> Gauge:
    """A gauge, with what several workers' make together."""
    return Gauge(name, meaning, multiprocess_mode=together)


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
LOG_DIVERGED = Counter(
    "realtime_log_diverged", "Times that the log of a channel was found to have gone back, as after a lossy failover."
)
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
HANDSHAKES_REFUSED = _counter(
    "realtime_handshakes_refused",
    "WebSockets refused before they were of any use: no page of ours, or too many for one person or address.",
    "reason",
    *("malformed", "bound"),
)
EVENTS_REFUSED = Counter(
    "realtime_events_refused", "Socket events that named no handler, were malformed, too large or too many."
)
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

SOCKETS = _gauge("realtime_sockets", "Sockets open on /feed.", "livesum")
STREAMS = _gauge("realtime_streams", "Server-Sent Events streams open on /api/stream.", "livesum")
SUBSCRIPTIONS = _gauge("realtime_subscriptions", "Channels watched, counted for each socket.", "livesum")
CONNECTIONS_STALE = _gauge(
    "realtime_connections_stale", "Sockets silent for longer than their channel's timeout.", "livesum"
)
TASKS = _gauge("realtime_tasks", "Tasks on the event loop.", "livesum")
HUB_LAG_SECONDS = _gauge(
    "realtime_hub_lag_seconds", "How long some watched channel has been behind what is known.", "livemax"
)
DATABASE_UP = _gauge("realtime_database_up", "1 while the database answers within 2 s, else 0.", "livemin")
PROVIDER_UP = _gauge("realtime_provider_up", "1 while the provider is connected, else 0.", "livemin")


def exposition() -> bytes:
    """All of it as Prometheus reads it, of all workers of this machine."""
    if SHARED_FOLDER not in os.environ:
        return generate_latest()
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


def forget_gauges(worker: int, folder: str) -> None:
    """What a worker that has ended showed is so no more; what it counted stays.

    Args:
        worker: its process id.
        folder: where the workers count.
    """
    multiprocess.mark_process_dead(worker, folder)  # type: ignore[no-untyped-call]


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
