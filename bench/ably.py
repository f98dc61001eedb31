"""Ably at its documented limits: every connection sends and gets as many messages a second as one may."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

import httpx

from realtime_ui.providers.ably import AblyProvider
from realtime_ui.providers.base import WireMessage
from tests.app import ROOT

CHANNELS, RATE, SECONDS = 4, 50, 60
ARRIVAL_S = 5


async def _carry(port: int, key: str) -> tuple[int, dict[str, list[tuple[int, float]]]]:
    """Publish on channels that each have a connection of their own: how many were sent, and what another heard."""
    channels = [f"bench:project:{number}" for number in range(CHANNELS)]
    heard: dict[str, list[tuple[int, float]]] = {channel: [] for channel in channels}

    def hear(channel: str, message: WireMessage) -> None:
        heard[channel].append((message.data["n"], time.monotonic() - message.data["due"]))

    async def publish(channel: str) -> None:
        begun = time.monotonic()
        for number in range(RATE * SECONDS):
            due = begun + number / RATE
            await asyncio.sleep(max(0, due - time.monotonic()))
            data = {"n": number, "due": due}
            await one.publish(channel, WireMessage(f"{channel}-{number}", "bench", data, 0, "", {}))

    one, other = (
        AblyProvider(key, endpoint=f"127.0.0.1:{port}/", tls=False, connection_channels=1, connection_rate=RATE)
        for _ in range(2)
    )
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
    return CHANNELS * RATE * SECONDS, heard


def carry(say: Callable[[str], None]) -> None:
    """Measure it against the server in tests/doubles, which refuses and drops what passes the limits."""
    say(f"\nAbly: {CHANNELS} channels, a connection each, {RATE} messages/s each way over each, {SECONDS} s")
    command = [sys.executable, "-m", "tests.doubles.ably"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            port, key = int(words[2].strip(",")), words[-1]
            sent, heard = asyncio.run(_carry(port, key))
            state = httpx.get(f"http://127.0.0.1:{port}/control/state").raise_for_status().json()
        finally:
            process.terminate()
    got = sum(len(messages) for messages in heard.values())
    ordered = all([number for number, _ in messages] == list(range(len(messages))) for messages in heard.values())
    latencies = sorted(latency for messages in heard.values() for _, latency in messages)
    say(
        f"  {sent} sent, {got} received, {'in order' if ordered else 'NOT in order'};"
        f" {state['refused_by_rate']} refused and {state['lost_by_rate']} dropped by the service"
    )
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    say(f"  from when it was due to when it was heard: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
