"""What is measured: a function a section, which takes the ground it stands on and returns its figures."""

from collections.abc import Callable

from bench.results import Figures
from bench.sections import curves, deliveries, load, presence, services, tab
from bench.stage import Ground

SECTIONS: dict[str, Callable[[Ground], Figures]] = {
    "delivery": deliveries.delivery,
    "crowd": deliveries.crowd,
    "streams": deliveries.streams,
    "length": deliveries.length,
    "curves": curves.curves,
    "memory": tab.memory,
    "idle": load.idle,
    "stopped": load.stopped,
    "presence": presence.presence,
    "ingest": load.ingest,
    "redis": services.redis,
    "dom": tab.to_dom,
    "ably": services.ably,
    "pusher": services.pusher,
}
