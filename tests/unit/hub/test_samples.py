"""What a minute adds up to."""

import uuid
from dataclasses import dataclass

from realtime_ui.core.channels import ChannelName
from realtime_ui.hub.samples import Traffic
from realtime_ui.persistence.event_log import ChannelKey
from realtime_ui.persistence.health_samples import TrafficSample

A, B = uuid.UUID(int=1), uuid.UUID(int=2)


def key(tenant: uuid.UUID, name: str) -> ChannelKey:
    """A channel of a tenant."""
    return tenant, ChannelName.parse(name)


@dataclass
class Entry:
    """As much of an entry as is counted."""

    key: ChannelKey
    messages: int
    sampled: int = 0


def test_a_minute_is_summed_by_tenant_and_type() -> None:
    """Messages since the last one, connections as they are, latencies by rank, misses by number."""
    traffic = Traffic()
    entries = [Entry(key(A, "project:x"), 10), Entry(key(A, "project:y"), 5), Entry(key(B, "session:z"), 1)]
    for latency in range(1, 101):
        traffic.answered(key(A, "project:x"), latency)
    traffic.missed(key(B, "session:z"))
    assert sorted(traffic.take(entries), key=lambda each: each.tenant) == [
        TrafficSample(A, "project", 2, 15, 51, 96, 0),
        TrafficSample(B, "session", 1, 1, None, None, 1),
    ]
    entries[0].messages = 12
    assert traffic.take(entries[:2]) == [TrafficSample(A, "project", 2, 2, None, None, 0)]


def test_what_an_ended_connection_had_is_in_its_minute() -> None:
    """Once."""
    traffic = Traffic()
    gone = Entry(key(A, "project:x"), 8, sampled=3)
    traffic.read(gone)
    assert traffic.take([]) == [TrafficSample(A, "project", 0, 5, None, None, 0)]
    assert traffic.take([]) == []
