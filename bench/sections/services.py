"""The providers: on a real Redis, and at Ably's and Pusher's documented limits."""

from bench import limits, wire
from bench.results import Figures
from bench.say import say, verdict
from bench.stage import Ground

REDIS = 2


def redis(base: Ground) -> Figures:
    """What the provider on Redis costs beside bare redis-py, and whether two workers lose nothing."""
    say(f"\nRedis: publish to callback between two processes, {wire.RATE} messages/s of 1 KB x {wire.SECONDS} s")
    pair, workers = wire.measure(base)
    ratio = pair["ours"]["p99"] / pair["bare"]["p99"]
    verdict("p99, ours to the hub's callback / bare redis-py", ratio, REDIS)
    say(f"Two workers, {wire.CHANNELS} channels x {wire.EACH_RATE} events/s x {wire.SECONDS} s, emitted by both")
    for seen in workers["seen"]:
        whole = "in order, each once" if seen["ordered"] else "NOT in order or not each once"
        say(f"  {seen['seen']} of {workers['wanted']} seen, {whole}, settled {seen['settled_s']:.2f} s after the last")
    verdict("lost", sum(workers["wanted"] - seen["seen"] for seen in workers["seen"]), 0)
    return {**pair, "workers": workers}


def ably(base: Ground) -> Figures:
    """Ably at its limits."""
    return _whole(limits.ably(say))


def pusher(base: Ground) -> Figures:
    """Pusher at the default rate."""
    return _whole(limits.pusher(say))


def _whole(found: Figures) -> Figures:
    verdict("lost or out of order", found["sent"] - found["right"], 0)
    return found
