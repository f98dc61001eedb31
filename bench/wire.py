"""`redis`: what the provider on Redis costs beside bare redis-py, and whether two workers lose nothing.

Run as a program it is one of the processes that are measured; it prints one line of JSON.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import redis.asyncio
import uvloop
from socketio import AsyncServer

from bench.stage import Ground
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.messages import Event, Head, Message
from realtime_ui.core.position import Position
from realtime_ui.events.wire import Signer, wire_channel
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.event_log import ChannelKey, Look
from realtime_ui.providers.redis import RedisProvider
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.app import ROOT
from tests.conftest import no_sink
from tests.valkey import Valkey

RATE, SECONDS, ROUNDS, WARM = 1_000, 8, 3, 500
TENANT, CHANNEL = uuid.UUID(int=1), ChannelName.parse("project:wire")
WIRE = wire_channel(TENANT, CHANNEL)
PAYLOAD = {"projectId": "wire", "text": "x" * 900}
CHANNELS, EACH_RATE, PACE_S = 4, 500, 0.02


def measure(base: Ground) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Both figures: the medians of ours and of the bare pair, in ms, and what two workers' watchers saw."""
    with Valkey.running() as server:
        rounds = [{kind: latency(kind, server.url) for kind in ("bare", "ours")} for _ in range(ROUNDS)]
        for kind in ("bare", "ours"):
            told = [f"p50 {each[kind]['p50']:.2f}, p99 {each[kind]['p99']:.2f} ms" for each in rounds]
            print(f"  {kind}: {'; '.join(told)}", flush=True)
        median = {
            kind: {name: statistics.median(each[kind][name] for each in rounds) for name in ("p50", "p99")}
            for kind in ("bare", "ours")
        }
        return median, two_workers(base, server.url)


def latency(kind: str, url: str) -> dict[str, float]:
    """One round of a pair of processes: from before the publish to the callback, in ms."""
    with _program(f"{kind}-hear", url) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        with _program(f"{kind}-publish", url) as publisher:
            publisher.wait()
        found: dict[str, float] = json.loads(listener.stdout.readline())
        return found


def two_workers(base: Ground, url: str) -> dict[str, Any]:
    """Two workers that both emit on all channels and watch them; what each saw."""
    with (
        _program("worker", url, base.url, str(base.tenant)) as one,
        _program("worker", url, base.url, str(base.tenant)) as other,
    ):
        both = (one, other)
        for each in both:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in both:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        seen = [json.loads(each.stdout.readline()) for each in both if each.stdout]
    return {"wanted": CHANNELS * EACH_RATE * SECONDS, "seen": seen}


def _program(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.wire", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def paced() -> AsyncIterator[int]:
    """Numbers, at the rate; the first ones only warm up."""
    begun = time.monotonic()
    for number in range(WARM + RATE * SECONDS):
        if (early := begun + number / RATE - time.monotonic()) > 0:
            await asyncio.sleep(early)
        yield number


class Latencies:
    """Gathers how long each took; ready when all are there."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._all = asyncio.Event()

    def add(self, sent: float) -> None:
        """Note one that was sent at a time of `time.monotonic()`."""
        self._took.append((time.monotonic() - sent) * 1000)
        if len(self._took) == WARM + RATE * SECONDS:
            self._all.set()

    async def told(self) -> dict[str, float]:
        """The percentiles, in ms."""
        await asyncio.wait_for(self._all.wait(), SECONDS * 3)
        took = sorted(self._took[WARM:])
        return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


async def bare_publish(url: str) -> None:
    """As redis-py's documentation does it."""
    async with redis.asyncio.Redis.from_url(url) as client:
        async for number in paced():
            message = {"id": uuid.uuid4().hex, "seq": number, "data": {**PAYLOAD, "at": time.monotonic()}}
            await client.publish(WIRE, json.dumps(message))


async def bare_hear(url: str) -> None:
    """As redis-py's documentation does it."""
    latencies = Latencies()
    async with redis.asyncio.Redis.from_url(url) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(WIRE)

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    latencies.add(json.loads(message["data"])["data"]["at"])
                else:
                    print("ready", flush=True)

        listening = asyncio.create_task(listen())
        print(json.dumps(await latencies.told()), flush=True)
        listening.cancel()


async def ours_publish(url: str) -> None:
    """As the bridge does it: signed, with its number."""
    provider, signer = RedisProvider(url), Signer("bench")
    await provider.connect("publisher")
    async for number in paced():
        data = {**PAYLOAD, "at": time.monotonic()}
        message = Message(TENANT, CHANNEL, number + 1, "epoch", uuid.uuid4().hex, "project.updated", data, 0)
        await provider.publish(WIRE, signer.to_wire(message, "publisher"))
    await provider.disconnect()


class NoLog:
    """A log that has what the wire brought."""

    async def look(self, asked: Mapping[ChannelKey, int | None]) -> Mapping[ChannelKey, Look]:
        """It ends where it was asked."""
        return {key: Look(Head("epoch", 1, seq or 0), "") for key, seq in asked.items()}

    async def begin_epoch(self, tenant: uuid.UUID, channel: ChannelName, position: Position) -> bool:
        """Never."""
        return False

    connections_lost = 0

    async def differing(self, asked: Mapping[ChannelKey, tuple[int, Sequence[str]]]) -> Mapping[ChannelKey, int]:
        """None."""
        return {}

    async def read(self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int) -> Any:
        """Nothing."""
        return []


async def ours_hear(url: str) -> None:
    """The hub, up to the callback of whoever watches; a frame's window would be in the figure, so there is none."""
    latencies, provider = Latencies(), RedisProvider(url)
    await provider.connect("listener")
    log: Any = NoLog()
    hub = RealtimeHub(
        log,
        provider,
        Signer("bench"),
        SystemClock(),
        lambda wire, tenant, channel: None,
        frame_window_s=0,
        gap_wait_s=0.02,
        sweep_interval_s=60,
    )
    await hub.start()

    def watch(frame: Frame) -> None:
        for message in frame.messages:
            latencies.add(message.data["at"])

    await hub.attach((TENANT, CHANNEL), watch)
    print("ready", flush=True)
    print(json.dumps(await latencies.told()), flush=True)
    await hub.stop()
    await provider.disconnect()


async def worker(url: str, database_url: str, tenant: str) -> None:
    """A worker without Reflex: emits its half on every channel, and watches all of them."""
    settings = Settings(
        database_url=database_url,
        secret_key="a secret for benchmarks",
        realtime_provider="redis",
        redis_url=url,
        _env_file=None,
    )
    seen: dict[str, list[int]] = {}
    wanted = EACH_RATE * SECONDS

    def watch(frame: Frame) -> None:
        seen.setdefault(str(frame.channel), []).extend(message.seq for message in frame.messages)

    async with Runtime(settings, AsyncServer(async_mode="asgi", async_handlers=False), no_sink) as runtime:
        names = [f"wire-{number}" for number in range(CHANNELS)]
        for name in names:
            await runtime.hub.attach((uuid.UUID(tenant), ChannelName.parse(f"project:{name}")), watch)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        begun = time.monotonic()
        count = round(EACH_RATE / 2 * PACE_S)
        for step in range(round(SECONDS / PACE_S)):
            if (early := begun + step * PACE_S - time.monotonic()) > 0:
                await asyncio.sleep(early)
            await runtime.bus.emit_many(
                [
                    Event.create(
                        "project.updated", {**PAYLOAD, "projectId": name}, uuid.UUID(tenant), emitted_by="bench"
                    )
                    for name in names
                    for _ in range(count)
                ]
            )
        took = time.monotonic() - begun
        for _ in range(200):
            if all(len(seqs) >= wanted for seqs in seen.values()) and len(seen) == CHANNELS:
                break
            await asyncio.sleep(0.05)
        ordered = all(seqs == list(range(1, wanted + 1)) for seqs in seen.values())
        late = time.monotonic() - begun - took
        total = sum(map(len, seen.values()))
        print(json.dumps({"seen": total, "ordered": ordered, "took_s": took, "settled_s": late}), flush=True)


PROGRAMS: dict[str, Callable[..., Awaitable[None]]] = {
    "bare-publish": bare_publish,
    "bare-hear": bare_hear,
    "ours-publish": ours_publish,
    "ours-hear": ours_hear,
    "worker": worker,
}

if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    program: Any = PROGRAMS[sys.argv[1]](*sys.argv[2:])
    uvloop.run(program)
