"""Pusher at its documented limits: full batches of ten, at the rate that an app of ours sends."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

from realtime_ui.providers.base import WireMessage
from realtime_ui.providers.pusher import BATCH, PusherProvider
from tests.app import ROOT

CHANNELS, RATE, SECONDS = 4, 50, 60
ARRIVAL_S = 5


async def _carry(port: int) -> tuple[int, dict[str, list[tuple[int, float]]]]:
    """Publish on several channels, ten messages a call: how many were sent, and what another provider heard."""
    channels = [f"bench:project:{number}" for number in range(CHANNELS)]
    heard: dict[str, list[tuple[int, float]]] = {channel: [] for channel in channels}

    def hear(channel: str, message: WireMessage) -> None:
        heard[channel].append((message.data["n"], time.monotonic() - message.data["due"]))

    async def publish(channel: str) -> None:
        begun = time.monotonic()
        for first in range(0, RATE * SECONDS, BATCH):
            due = begun + first / RATE
            await asyncio.sleep(max(0, due - time.monotonic()))
            batch = [
                WireMessage(f"{channel}-{number}", "bench", {"n": number, "due": due}, 0, "", {})
                for number in range(first, first + BATCH)
            ]
            await one.publish(channel, *batch)

    one, other = (
        PusherProvider("1000", "pusher-key", "pusher-secret", host=f"127.0.0.1:{port}", tls=False, rate=500)
        for _ in range(2)
    )
    try:
        await asyncio.gather(one.connect("bench"), other.connect("bench"))
        for channel in channels:
            await other.subscribe(channel, hear)
        await asyncio.gather(*map(publish, channels))
        until = time.monotonic() + ARRIVAL_S
        while any(len(got) < RATE * SECONDS for got in heard.values()) and time.monotonic() < until:
            await asyncio.sleep(0.05)
    finally:
        await asyncio.gather(one.disconnect(), other.disconnect())
    return CHANNELS * RATE * SECONDS, heard


def carry(say: Callable[[str], None]) -> None:
    """Measure it against the server in tests/doubles, which refuses what passes the limits."""
    say(f"\nPusher: {CHANNELS} channels, {RATE} messages/s on each in calls of {BATCH}, {SECONDS} s")
    command = [sys.executable, "-m", "tests.doubles.pusher"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[2].strip(","))
            sent, heard = asyncio.run(_carry(port))
        finally:
            process.terminate()
    got = sum(len(messages) for messages in heard.values())
    ordered = all([number for number, _ in messages] == list(range(len(messages))) for messages in heard.values())
    latencies = sorted(latency for messages in heard.values() for _, latency in messages)
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    say(f"  {sent} sent, {got} received, {'in order' if ordered else 'NOT in order'}")
    say(f"  from when it was due to when it was heard: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
