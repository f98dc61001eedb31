"""`make bench`: measures against the contenders in the same run and prints ratios.

Every figure is told with its limit; nothing fails here, and no test asserts that anything is fast.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from playwright.async_api import async_playwright

from bench import limits, wire
from bench.stage import Ground, Server, Tabs, ground, listeners, more_people, server, tabs
from tests import chromium
from tests.app import ROOT

TABS, RATE, SECONDS, ROUNDS = 100, 20, 10, 3
CROWD = 500
CEILING_RATES = (40, 80, 120, 160, 200, 240, 320)
TOO_LATE_S = 0.25
IDLE_S = 120
OUTCOMES = ("sent", "answered", "missed")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def verdict(label: str, value: float, limit: float, *, below: bool = True, unit: str = "") -> None:
    """Print a figure beside its limit."""
    reached = value <= limit if below else value >= limit
    sign = "≤" if below else "≥"
    say(f"  {'reached' if reached else 'MISSED '}  {label}: {value:.3g}{unit} ({sign} {limit:g}{unit})")


def deliver(kind: str, base: Ground, number: int = TABS, rate: float = RATE) -> dict[str, Any]:
    """One round of a contender: CPU µs and bytes a delivery, latencies in s."""
    with server(kind, base) as target, tabs(target, base, number) as watching:
        return measured(target, watching, number, rate)


def measured(target: Server, watching: Tabs, number: int, rate: float) -> dict[str, Any]:
    """One round with clients that are there: CPU µs and bytes a delivery, latencies in s."""
    target.run(rate, 2)
    before, begun = target.cpu_s(), time.monotonic()
    target.run(rate, SECONDS)
    took = time.monotonic() - begun
    time.sleep(1)
    used = target.cpu_s() - before
    result = watching.result()
    counted = number * rate * SECONDS
    return {
        **result,
        "cpu_us": used / counted * 1e6,
        "bytes": result["bytes"] / max(1, result["deliveries"]),
        "missing": round(counted * (SECONDS + 2) / SECONDS - result["deliveries"]),
        "per_s": counted / took,
    }


def compare(base: Ground, kinds: tuple[str, ...], number: int) -> dict[str, dict[str, float]]:
    """The medians of some contenders' rounds, told."""
    say(f"\nDelivery: {number} tabs x {RATE} events/s x {SECONDS} s, medians of {ROUNDS} interleaved rounds")
    rounds = [{kind: deliver(kind, base, number) for kind in kinds} for _ in range(ROUNDS)]
    median: dict[str, dict[str, float]] = {}
    for kind in kinds:
        of = [each[kind] for each in rounds]
        median[kind] = {
            name: statistics.median(each[name] for each in of) for name in ("cpu_us", "bytes", "p50", "p99")
        }
        whole = all(each["ordered"] and each["complete"] for each in of)
        say(
            f"  {kind:7} {median[kind]['cpu_us']:7.1f} µs CPU a delivery, {median[kind]['bytes']:8.0f} bytes,"
            f" p50 {median[kind]['p50'] * 1000:6.1f} ms, p99 {median[kind]['p99'] * 1000:6.1f} ms,"
            f" {'complete and in order' if whole else 'NOT complete or in order'}"
        )
    return median


def delivery(base: Ground) -> None:
    """The cost of a delivery."""
    median = compare(base, ("ours", "bare", "idiom"), TABS)
    verdict("CPU, ours / idiom", median["ours"]["cpu_us"] / median["idiom"]["cpu_us"], 1 / 6)
    verdict("CPU, ours / bare", median["ours"]["cpu_us"] / median["bare"]["cpu_us"], 1.15)


def crowd(base: Ground) -> None:
    """The cost of a delivery to many tabs, and how many a second one core makes."""
    median = compare(base, ("ours", "bare"), CROWD)
    verdict("CPU, ours / bare", median["ours"]["cpu_us"] / median["bare"]["cpu_us"], 0.45)
    say(f"\nMost deliveries a second: {CROWD} tabs, the rate raised until p99 > {TOO_LATE_S * 1000:.0f} ms")
    most = 0.0
    for rate in CEILING_RATES:
        result = deliver("ours", base, CROWD, rate)
        whole = result["ordered"] and result["complete"] and not result["missing"]
        say(
            f"  {rate:4} events/s: {result['per_s']:8,.0f} deliveries/s, {result['cpu_us']:5.1f} µs CPU each,"
            f" p99 {result['p99'] * 1000:6.1f} ms, {'complete and in order' if whole else 'NOT complete or in order'}"
        )
        if not whole or result["p99"] > TOO_LATE_S:
            break
        most = result["per_s"]
    verdict("deliveries/s", most, 60_000, below=False)


def streams(base: Ground) -> None:
    """What a delivery to SSE streams costs beside one to tabs."""
    say(f"\nStreams: {CROWD} of them, {RATE} events/s x {SECONDS} s, beside as many tabs")
    cost: dict[str, list[float]] = {"streams": [], "tabs": []}
    for _ in range(ROUNDS):
        for kind, opened in (("streams", listeners), ("tabs", tabs)):
            with server("ours", base) as target, opened(target, base, CROWD) as reading:
                result = measured(target, reading, CROWD, RATE)
                cost[kind].append(result["cpu_us"])
                whole = result["ordered"] and result["complete"] and not result["missing"]
                say(
                    f"  {kind:7} {result['cpu_us']:5.1f} µs CPU a delivery, {result['bytes']:4.0f} bytes,"
                    f" p50 {result['p50'] * 1000:6.1f} ms, p99 {result['p99'] * 1000:6.1f} ms,"
                    f" {'complete and in order' if whole else 'NOT complete or in order'}"
                )
    say(
        f"  medians: {statistics.median(cost['streams']):.1f} µs to a stream,"
        f" {statistics.median(cost['tabs']):.1f} µs to a tab"
    )


def length(base: Ground) -> None:
    """Whether a delivery's bytes depend on how long the feed is."""
    say("\nBytes a delivery as the feed grows")
    sizes = []
    for history in (0, 5_000):
        if history:
            fill(base, history)
        with server("ours", base) as target, tabs(target, base, 5) as watching:
            target.run(RATE, 3)
            time.sleep(0.5)
            result = watching.result()
            sizes.append(result["bytes"] / result["deliveries"])
            say(f"  after {history:5} more events: {sizes[-1]:.1f} bytes")
    verdict("bytes, long / short feed", sizes[1] / sizes[0], 1.05)


def fill(base: Ground, count: int) -> None:
    """Put events into the bench's feed over HTTP."""
    event = {"type": "project.updated", "payload": {"projectId": "bench", "at": 0}}
    with server("ours", base) as target, httpx.Client(base_url=target.url) as http:
        for _ in range(count // 1000):
            response = http.post("/api/events", json=[event] * 1000, headers={"Authorization": f"Bearer {base.key}"})
            response.raise_for_status()


def memory(base: Ground) -> None:
    """What a connected tab takes."""
    say(f"\nMemory of a connected tab, {TABS * 2} tabs, medians of {ROUNDS} rounds")
    found: dict[str, list[float]] = {"ours": [], "reflex": []}
    for _ in range(ROUNDS):
        for kind, values in found.items():
            with server(kind, base) as target:
                with tabs(target, base, 20):  # first connections load modules and fill pools
                    pass
                before = target.memory()
                with tabs(target, base, TABS * 2):
                    time.sleep(1)
                    values.append((target.memory() - before) / (TABS * 2) / 1024)
    ours, bare = statistics.median(found["ours"]), statistics.median(found["reflex"])
    say(f"  ours {ours:.0f} KB, bare Reflex tab {bare:.0f} KB")
    verdict("memory, ours / bare Reflex tab", ours / bare, 1.15)


def stopped(base: Ground) -> None:
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
    verdict("MB a reader in the end", grown[-1] / readers, 2.5)


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


def ingest(base: Ground) -> None:
    """How many events a second come in over HTTP."""
    say("\nIngest: lists of 100 over HTTP, four callers, 10 s, committed and published")
    with server("ours", base) as target:
        rate = asyncio.run(_ingest(target.url, base.key, 10))
    verdict("events/s", rate, 3_000, below=False)


OBSERVE = """
window.seen = {};
new MutationObserver((changes) => {
  const now = performance.timeOrigin + performance.now();
  for (const change of changes)
    for (const node of change.addedNodes)
      if (node.nodeType === 1)
        for (const row of [node, ...node.querySelectorAll('[data-seq]')])
          if (row.dataset?.seq) window.seen[row.dataset.seq] ??= now;
}).observe(document, { childList: true, subtree: true });
"""


async def _to_dom(url: str, database_url: str, key: str, token: str) -> list[float]:
    latencies = []
    async with async_playwright() as playwright, httpx.AsyncClient(base_url=url) as http:
        browser = await playwright.chromium.launch(executable_path=chromium.ensure(), args=chromium.FLAGS)
        context = await browser.new_context()
        await context.add_cookies([{"name": "realtime_session", "value": token, "url": url}])
        await context.add_init_script(OBSERVE)
        page = await context.new_page()
        await page.goto(f"{url}/projects/dom")
        await page.locator(".rt-feed[data-status=attached]").wait_for()
        headers = {"Authorization": f"Bearer {key}"}
        sent: dict[str, float] = {}
        for number in range(330):
            await asyncio.sleep(0.1)
            event = {"type": "project.updated", "payload": {"projectId": "dom", "changes": {"step": number}}}
            begun = time.time() * 1000
            response = await http.post("/api/events", json=event, headers=headers)
            sent[str(response.json()["events"][0]["channels"][0]["seq"])] = begun
        await asyncio.sleep(1)
        seen = await page.evaluate("window.seen")
        latencies = [seen[seq] - begun for seq, begun in list(sent.items())[30:]]
        await browser.close()
    return latencies


def to_dom(base: Ground) -> None:
    """From before the HTTP request to the row in the DOM."""
    from tests.app import App  # the whole app, pages and all

    say("\nEmit to DOM: one browser, 10 events/s for 30 s, from before the HTTP request to the row in the DOM")
    with App.start(base.url) as app:
        latencies = sorted(asyncio.run(_to_dom(app.url, base.url, base.key, base.token)))
    verdict("p50", latencies[len(latencies) // 2], 15, unit=" ms")
    verdict("p99", latencies[int(len(latencies) * 0.99)], 60, unit=" ms")


def _metric(target: Server, base: Ground, name: str) -> float:
    """A sum of a metric's series."""
    headers = {"Authorization": f"Bearer {base.key}"}
    text = httpx.get(f"{target.url}/api/metrics", headers=headers).raise_for_status().text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def idle(base: Ground) -> None:
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
    verdict("server CPU, share of a core", used, 0.15)
    verdict("connections that were wrongly stale", stale, 0)


def presence(base: Ground) -> None:
    """A storm of people who come back at once: how soon all see the same list, and what it costs a tab."""
    seconds, most = 5, 300
    say(f"\nPresence: people who all enter one channel within {seconds} s, each with a tab of their own")
    cookies = [f"realtime_session={token}" for token in more_people(base, most)]
    found = {}
    for number in (50, 100, 200, most):
        with server("ours", base) as target:
            command = [sys.executable, "-m", "bench.joins", target.url.replace("http", "ws"), str(seconds)]
            lines = "\n".join(cookies[:number]) + "\n\n"
            done = subprocess.run(command, cwd=ROOT, input=lines, stdout=subprocess.PIPE, text=True, check=True)
            result = found[number] = json.loads(done.stdout)
        say(
            f"  {number:3} people, in within {result['joined_within']:.1f} s: settled {result['settled']:.2f} s after"
            f" the last, {'the same right list everywhere' if result['right'] else 'NOT the right list everywhere'},"
            f" {result['bytes_mean'] / 1000:.1f} kB a tab, {result['bytes_most'] / 1000:.1f} kB at most"
        )
    verdict("settled after the last join", found[most]["settled"], 3, unit=" s")
    verdict("bytes a tab, 200 / 50 people", found[200]["bytes_mean"] / found[50]["bytes_mean"], 4.4)


def redis(base: Ground) -> None:
    """What the provider on Redis costs beside bare redis-py, and whether two workers lose nothing."""
    say(f"\nRedis: publish to callback between two processes, {wire.RATE} messages/s of 1 KB x {wire.SECONDS} s")
    ratio, workers = wire.measure(base)
    verdict("p99, ours to the hub's callback / bare redis-py", ratio, 2)
    say(f"Two workers, {wire.CHANNELS} channels x {wire.EACH_RATE} events/s x {wire.SECONDS} s, emitted by both")
    for seen in workers["seen"]:
        whole = "in order, each once" if seen["ordered"] else "NOT in order or not each once"
        say(f"  {seen['seen']} of {workers['wanted']} seen, {whole}, settled {seen['settled_s']:.2f} s after the last")
    verdict("lost", sum(workers["wanted"] - seen["seen"] for seen in workers["seen"]), 0)


SECTIONS: dict[str, Callable[[Ground], None]] = {
    "delivery": delivery,
    "crowd": crowd,
    "streams": streams,
    "length": length,
    "memory": memory,
    "idle": idle,
    "stopped": stopped,
    "presence": presence,
    "ingest": ingest,
    "redis": redis,
    "dom": to_dom,
    "ably": lambda base: verdict("lost or out of order", limits.ably(say), 0),
    "pusher": lambda base: verdict("lost or out of order", limits.pusher(say), 0),
}


def main() -> None:
    """Run the sections named on the command line, or all."""
    for name in sys.argv[1:] or SECTIONS:
        with ground() as base:
            SECTIONS[name](base)


if __name__ == "__main__":
    main()
