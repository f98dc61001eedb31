"""What the server bears: idle connections, readers who stopped, events coming in."""

import asyncio
import json
import subprocess
import sys
import time

import httpx

from bench.results import Figures
from bench.say import say, verdict
from bench.stage import Ground, Server, listeners, server, tabs
from tests.app import ROOT

CROWD, IDLE_S = 500, 120
OUTCOMES = ("sent", "answered", "missed")
IDLE, STOPPED_MB, INGEST = 0.15, 2.5, 3_000


def _metric(target: Server, base: Ground, name: str) -> float:
    """A sum of a metric's series."""
    headers = {"Authorization": f"Bearer {base.key}"}
    text = httpx.get(f"{target.url}/api/metrics", headers=headers).raise_for_status().text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def idle(base: Ground) -> Figures:
    """What tabs and streams cost while nothing happens: pings, heartbeats, answers, and their rows in the table."""
    say(f"\nIdle: {CROWD} tabs and {CROWD} streams on one channel with default heartbeats, {IDLE_S} s")
    with server("ours", base) as target:
        before, begun = target.cpu_s(), time.monotonic()
        time.sleep(10)
        alone = (target.cpu_s() - before) / (time.monotonic() - begun)
        with tabs(target, base, CROWD), listeners(target, base, CROWD):
            time.sleep(5)
            before, begun = target.cpu_s(), time.monotonic()
            stale = 0.0
            while time.monotonic() < begun + IDLE_S:
                time.sleep(5)
                stale = max(stale, _metric(target, base, "realtime_connections_stale "))
            used = (target.cpu_s() - before) / (time.monotonic() - begun)
            beats = {each: _metric(target, base, f'realtime_beats_total{{outcome="{each}"}}') for each in OUTCOMES}
            open_now = [_metric(target, base, f"realtime_{kind} ") for kind in ("sockets", "streams")]
    say(f"  {open_now[0]:.0f} sockets and {open_now[1]:.0f} streams open in the end; alone: {alone:.1%} of a core")
    say(f"  beats sent {beats['sent']:.0f}, answered {beats['answered']:.0f}, missed {beats['missed']:.0f}")
    verdict("server CPU, share of a core", used, IDLE)
    verdict("connections that were wrongly stale", stale, 0)
    return {"core": used, "core_alone": alone, "stale": stale, **beats}


def stopped(base: Ground) -> Figures:
    """What readers who stopped cost, each on a channel of its own, so that nothing is shared."""
    readers, size, rounds = 100, 60_000, 160
    say(f"\nStopped readers: {readers}, each on its own channel, {rounds} events of {size // 1000} KB to each")
    cookie = f"realtime_session={base.token}"
    with server("ours", base) as target, httpx.Client(base_url=target.url, timeout=60) as http:
        command = [sys.executable, "-m", "bench.stopped", target.url.replace("http", "ws"), cookie, str(readers)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            before = target.memory()
            grown = []
            text = "x" * size
            for number in range(1, rounds + 1):
                for start in range(0, readers, 50):
                    body = [
                        {"type": "project.updated", "payload": {"projectId": f"stopped-{each}", "text": text}}
                        for each in range(start, start + 50)
                    ]
                    http.post("/api/events", json=body, headers={"Authorization": f"Bearer {base.key}"})
                if number % (rounds // 4) == 0:
                    time.sleep(2)
                    grown.append((target.memory() - before) / 1e6)
                    sent = number * size / 1e6
                    say(f"  after {sent:.0f} MB to each: {grown[-1]:.0f} MB more in the server")
            process.kill()
    verdict("MB a reader in the end", grown[-1] / readers, STOPPED_MB)
    return {"mb_a_reader": grown[-1] / readers}


async def _ingest(url: str, key: str, seconds: float) -> float:
    event = {"type": "project.updated", "payload": {"projectId": "ingest", "changes": {"status": "in progress"}}}
    body = json.dumps([event] * 100)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    until = time.monotonic() + seconds
    total = 0

    async def caller(http: httpx.AsyncClient) -> None:
        nonlocal total
        while time.monotonic() < until:
            response = await http.post("/api/events", content=body, headers=headers)
            response.raise_for_status()
            total += 100

    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        begun = time.monotonic()
        await asyncio.gather(*(caller(http) for _ in range(4)))
        return total / (time.monotonic() - begun)


def ingest(base: Ground) -> Figures:
    """How many events a second come in over HTTP."""
    say("\nIngest: lists of 100 over HTTP, four callers, 10 s, committed and published")
    with server("ours", base) as target:
        rate = asyncio.run(_ingest(target.url, base.key, 10))
    verdict("events/s", rate, INGEST, below=False)
    return {"per_s": rate}
