"""Ably and Pusher at their documented limits, for a minute: whether all comes through, in order, and how soon.

The servers are those in tests/doubles, which refuse and drop what passes the limits.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import httpx

from realtime_ui.providers.ably import AblyProvider
from realtime_ui.providers.base import RealtimeProvider, WireMessage
from realtime_ui.providers.pusher import BATCH, PusherProvider
from tests.app import ROOT

CHANNELS, RATE, SECONDS = 4, 50, 60
ARRIVAL_S = 5

Say = Callable[[str], None]
Heard = dict[str, list[tuple[int, float]]]
"""By channel: each message's number, and how late it was heard, in s."""


def ably(say: Say) -> None:
    """50 messages a second out and in over each connection, a channel each."""

    def make(port: int) -> RealtimeProvider:
        endpoint = f"127.0.0.1:{port}/"
        return AblyProvider("app.key:secret", endpoint=endpoint, tls=False, connection_channels=1, connection_rate=RATE)

    def ended(port: int) -> None:
        state = httpx.get(f"http://127.0.0.1:{port}/control/state").raise_for_status().json()
        say(f"  {state['refused_by_rate']} refused and {state['lost_by_rate']} dropped by the service")

    say(f"\nAbly: {CHANNELS} channels, a connection each, {RATE} messages/s each way over each, {SECONDS} s")
    _measure(say, "tests.doubles.ably", make, together=1, ended=ended)


def pusher(say: Say) -> None:
    """Full batches of ten."""

    def make(port: int) -> RealtimeProvider:
        host = f"127.0.0.1:{port}"
        return PusherProvider("1000", "pusher-key", "pusher-secret", host=host, tls=False, rate=500)

    say(f"\nPusher: {CHANNELS} channels, {RATE} messages/s on each in calls of {BATCH}, {SECONDS} s")
    _measure(say, "tests.doubles.pusher", make, together=BATCH, ended=lambda port: None)


def _measure(
    say: Say,
    module: str,
    make: Callable[[int], RealtimeProvider],
    *,
    together: int,
    ended: Callable[[int], None],
) -> None:
    with subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[2].strip(","))
            heard = asyncio.run(_carry([make(port), make(port)], together))
            ended(port)
        finally:
            process.terminate()
    got = sum(len(messages) for messages in heard.values())
    ordered = all([number for number, _ in messages] == list(range(len(messages))) for messages in heard.values())
    latencies = sorted(latency for messages in heard.values() for _, latency in messages)
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    say(f"  {CHANNELS * RATE * SECONDS} sent, {got} received, {'in order' if ordered else 'NOT in order'}")
    say(f"  from when it was due to when it was heard: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


async def _carry(providers: Sequence[RealtimeProvider], together: int) -> Heard:
    """Publish with one provider, so many messages in a call; what the other heard."""
    one, other = providers
    channels = [f"bench:project:{number}" for number in range(CHANNELS)]
    heard: Heard = {channel: [] for channel in channels}

    def hear(channel: str, message: WireMessage) -> None:
        heard[channel].append((message.data["n"], time.monotonic() - message.data["due"]))

    async def publish(channel: str) -> None:
        begun = time.monotonic()
        for first in range(0, RATE * SECONDS, together):
            due = begun + first / RATE
            await asyncio.sleep(max(0, due - time.monotonic()))
            batch = [
                WireMessage(f"{channel}-{number}", "bench", {"n": number, "due": due}, 0, "", {})
                for number in range(first, first + together)
            ]
            await one.publish(channel, *batch)

    try:
        for provider, callback in ((one, lambda channel, message: None), (other, hear)):
            await provider.connect("bench")
            for channel in channels:
                await provider.subscribe(channel, callback)
        await asyncio.gather(*map(publish, channels))
        until = time.monotonic() + ARRIVAL_S
        while any(len(got) < RATE * SECONDS for got in heard.values()) and time.monotonic() < until:
            await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(one.disconnect(), other.disconnect())
    return heard
