"""Ably and Pusher at their documented limits, for a minute: whether all comes through, in order, and how soon.

Ably: 200 channels and 50 messages/s each way over a connection, 50 messages/s on a channel; the server in tests/doubles
refuses and drops what passes them. Pusher: ten messages in a call; for calls it documents no limit, so that the rate
is what PUSHER_RATE allows by default.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import httpx

from bench.results import Figures
from bench.stage import Failed
from realtime_ui.providers.ably import AblyProvider
from realtime_ui.providers.base import RealtimeProvider, WireMessage
from realtime_ui.providers.pusher import BATCH, PusherProvider
from realtime_ui.settings import Settings
from tests.app import ROOT

RATE, SECONDS = 50, 60
ABLY_CONNECTIONS, ABLY_CHANNELS = 4, 200
PUSHER_RATE = round(Settings.model_fields["pusher_rate"].default)
ARRIVAL_S = 5

Say = Callable[[str], None]
Heard = dict[str, list[tuple[int, float]]]
"""By channel: each message's number, and how late it was heard, in s."""


def ably(say: Say) -> Figures:
    """Connections with as many channels as they may have, one of which is as busy as connection and channel may be.

    Returns:
        how many were `sent`, `received`, and received in their place (`right`); p50 and p99 in ms.
    """

    def make(port: int) -> RealtimeProvider:
        endpoint = f"127.0.0.1:{port}/"
        return AblyProvider(
            "app.key:secret",
            endpoint=endpoint,
            tls=False,
            connection_channels=ABLY_CHANNELS,
            connection_rate=RATE,
        )

    def ended(port: int) -> None:
        state = httpx.get(f"http://127.0.0.1:{port}/control/state").raise_for_status().json()
        say(f"  {state['refused_by_rate']} refused and {state['lost_by_rate']} dropped by the service")

    say(
        f"\nAbly: {ABLY_CONNECTIONS} connections with {ABLY_CHANNELS} channels each,"
        f" {RATE} messages/s each way over each, {SECONDS} s"
    )
    channels = ABLY_CONNECTIONS * ABLY_CHANNELS
    return _measure(say, "tests.doubles.ably", make, channels, busy=ABLY_CHANNELS, together=1, ended=ended)


def pusher(say: Say) -> Figures:
    """Full batches of ten.

    Returns:
        how many were `sent`, `received`, and received in their place (`right`); p50 and p99 in ms.
    """

    def make(port: int) -> RealtimeProvider:
        host = f"127.0.0.1:{port}"
        return PusherProvider("1000", "pusher-key", "pusher-secret", host=host, tls=False, rate=PUSHER_RATE)

    channels = PUSHER_RATE // RATE
    say(f"\nPusher: {channels} channels, {RATE} messages/s on each in calls of {BATCH}, {SECONDS} s")
    return _measure(say, "tests.doubles.pusher", make, channels, busy=1, together=BATCH, ended=lambda port: None)


def _measure(
    say: Say,
    module: str,
    make: Callable[[int], RealtimeProvider],
    channels: int,
    *,
    busy: int,
    together: int,
    ended: Callable[[int], None],
) -> Figures:
    with subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[2].strip(","))
            heard = asyncio.run(_carry([make(port), make(port)], channels, busy, together))
            ended(port)
        finally:
            process.terminate()
    sent, got = len(heard) * RATE * SECONDS, sum(len(messages) for messages in heard.values())
    right = sum(number == at for messages in heard.values() for at, (number, _) in enumerate(messages))
    latencies = sorted(latency for messages in heard.values() for _, latency in messages)
    if not latencies:
        raise Failed(f"{module} brought nothing.")
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    say(f"  {sent} sent, {got} received, {right} of them in their place")
    say(f"  from when it was due to when it was heard: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return {"sent": sent, "received": got, "right": right, "p50_ms": p50, "p99_ms": p99}


async def _carry(providers: Sequence[RealtimeProvider], number: int, busy: int, together: int) -> Heard:
    """Publish with one provider on every `busy`th channel, so many messages in a call; what the other heard."""
    one, other = providers
    channels = [f"bench:project:{each}" for each in range(number)]
    heard: Heard = {channel: [] for channel in channels[::busy]}

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
        await asyncio.gather(*map(publish, heard))
        until = time.monotonic() + ARRIVAL_S
        while any(len(got) < RATE * SECONDS for got in heard.values()) and time.monotonic() < until:
            await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(one.disconnect(), other.disconnect())
    return heard
