"""What a delivery costs, by what arrived: to some tabs, to many, to streams, and as the feed grows."""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from bench.results import Figures
from bench.say import say, verdict
from bench.stage import Failed, Ground, Server, Tabs, listeners, server, tabs

TABS, RATE, SECONDS, ROUNDS = 100, 20, 10, 3
CROWD = 500
CEILING_RATES = (40, 80, 120, 160, 200, 240, 320, 400, 480)
TOO_LATE_S = 0.25
WARM_S = 2
SETTLE_S = 1.0
KEPT_UP = 0.99
"""A contender to which less than this share of the deliveries arrived has fallen behind."""
IDIOM, BARE, CROWD_BARE, CEILING, GROWTH = 1 / 6, 1.15, 0.45, 60_000, 1.05

Opened = Callable[[Server, Ground, int], AbstractContextManager[Tabs]]


def measured(kind: str, base: Ground, number: int = TABS, rate: float = RATE, opened: Opened = tabs) -> Figures:
    """One round of a contender. Costs are those of the deliveries that arrived, not of those that should have."""
    with server(kind, base) as target, opened(target, base, number) as watching:
        target.run(rate, WARM_S)
        time.sleep(SETTLE_S)
        first, used, begun = watching.so_far(), target.cpu_s(), time.monotonic()
        target.run(rate, SECONDS)
        emitted = time.monotonic()
        time.sleep(SETTLE_S)
        used, took = target.cpu_s() - used, time.monotonic() - begun
        last = watching.so_far()
        end = watching.result()
        arrived = last["deliveries"] - first["deliveries"]
        if arrived == 0:
            raise Failed(f"Nothing arrived from {kind}.")
        wanted = number * rate * SECONDS
        return {
            "rate": rate,
            "cpu_us": used / arrived * 1e6,
            "bytes": (last["bytes"] - first["bytes"]) / arrived,
            "p50_ms": last["p50"] * 1000,
            "p99_ms": last["p99"] * 1000,
            "arrived": arrived / wanted,
            "per_s": arrived / (emitted - begun),
            "server_core": used / took,
            "client_core": (last["busiest_client_s"] - first["busiest_client_s"]) / took,
            "whole": bool(end["ordered"] and end["complete"]),
        }


def told(result: Figures) -> str:
    """A round in a line."""
    return (
        f"{result['cpu_us']:7.1f} µs CPU a delivery, {result['bytes']:8.0f} bytes, p50 {result['p50_ms']:7.1f} ms,"
        f" p99 {result['p99_ms']:7.1f} ms, server {result['server_core']:.0%} and busiest client"
        f" {result['client_core']:.0%} of a core, {state(result)}"
    )


def state(result: Figures) -> str:
    """Whether all came, in words."""
    if result["arrived"] < KEPT_UP:
        return f"fell behind: {result['arrived']:.0%} had arrived"
    return "complete and in order" if result["whole"] else "NOT complete or in order"


def medians(rounds: list[Figures]) -> Figures:
    """Of several rounds; whole where all are."""
    found: Figures = {name: statistics.median(each[name] for each in rounds) for name in rounds[0] if name != "whole"}
    return {**found, "whole": all(each["whole"] for each in rounds)}


def compared(base: Ground, contenders: dict[str, tuple[str, Opened]], number: int) -> dict[str, Figures]:
    """The medians of contenders' interleaved rounds."""
    rounds: dict[str, list[Figures]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, (kind, opened) in contenders.items():
            try:
                rounds[name].append(measured(kind, base, number, opened=opened))
            except Failed as error:
                say(f"  {name:7} {error}")
            else:
                say(f"  {name:7} {told(rounds[name][-1])}")
    if missing := [name for name, each in rounds.items() if not each]:
        raise Failed(f"No round was measured of {', '.join(missing)}.")
    return {name: medians(each) for name, each in rounds.items()}


def delivery(base: Ground) -> Figures:
    """The cost of a delivery."""
    say(f"\nDelivery: {TABS} tabs x {RATE} events/s x {SECONDS} s, {ROUNDS} interleaved rounds")
    found = compared(base, {kind: (kind, tabs) for kind in ("ours", "bare", "idiom")}, TABS)
    verdict("CPU, ours / idiom", found["ours"]["cpu_us"] / found["idiom"]["cpu_us"], IDIOM)
    verdict("CPU, ours / bare", found["ours"]["cpu_us"] / found["bare"]["cpu_us"], BARE)
    return found


def crowd(base: Ground) -> Figures:
    """The cost of a delivery to many tabs, and how many a second one core makes at best."""
    say(f"\nMany tabs: {CROWD} tabs x {RATE} events/s x {SECONDS} s, {ROUNDS} interleaved rounds")
    found: Figures = compared(base, {kind: (kind, tabs) for kind in ("ours", "bare")}, CROWD)
    verdict("CPU, ours / bare", found["ours"]["cpu_us"] / found["bare"]["cpu_us"], CROWD_BARE)
    say(f"\nMost deliveries a second: {CROWD} tabs, the best rate with p99 ≤ {TOO_LATE_S * 1000:.0f} ms")
    rates = []
    for rate in CEILING_RATES:
        try:
            result = measured("ours", base, CROWD, rate)
        except Failed as error:
            say(f"  {rate:4} events/s: {error}")
            break
        rates.append({**result, "kept_up": kept_up(result)})
        say(f"  {rate:4} events/s: {result['per_s']:8,.0f} deliveries/s, {told(result)}")
        if not any(each["kept_up"] for each in rates[-2:]):
            break  # a single rate may fail by chance
    best = max((each for each in rates if each["kept_up"]), key=lambda each: each["per_s"], default=None)
    verdict("deliveries/s", best["per_s"] if best else 0, CEILING, below=False)
    return {**found, "rates": rates, "best": best}


def kept_up(result: Figures) -> bool:
    """Whether all arrived, in order and in time."""
    return bool(result["whole"] and result["arrived"] >= KEPT_UP and result["p99_ms"] <= TOO_LATE_S * 1000)


def streams(base: Ground) -> Figures:
    """What a delivery to SSE streams costs beside one to tabs."""
    say(f"\nStreams: {CROWD} of them, {RATE} events/s x {SECONDS} s, beside as many tabs")
    return compared(base, {"streams": ("ours", listeners), "tabs": ("ours", tabs)}, CROWD)


def length(base: Ground) -> Figures:
    """Whether a delivery's bytes depend on how long the feed is."""
    say("\nBytes a delivery as the feed grows")
    sizes = []
    for history in (0, 5_000):
        _fill(base, history)
        with server("ours", base) as target, tabs(target, base, 8) as watching:
            target.run(RATE, 3)
            time.sleep(SETTLE_S)
            result = watching.result()
            sizes.append(result["bytes"] / result["deliveries"])
            say(f"  after {history:5} more events: {sizes[-1]:.1f} bytes")
    verdict("bytes, long / short feed", sizes[1] / sizes[0], GROWTH)
    return {"short_bytes": sizes[0], "long_bytes": sizes[1]}


def _fill(base: Ground, count: int) -> None:
    event: dict[str, Any] = {"type": "project.updated", "payload": {"projectId": "bench", "at": 0}}
    with server("ours", base) as target, httpx.Client(base_url=target.url, timeout=60) as http:
        for _ in range(count // 1000):
            response = http.post("/api/events", json=[event] * 1000, headers={"Authorization": f"Bearer {base.key}"})
            response.raise_for_status()
