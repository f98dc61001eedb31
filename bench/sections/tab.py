"""One tab: the memory that it takes, and how soon an event is in its page."""

import asyncio
import statistics
import time

import httpx
from playwright.async_api import async_playwright

from bench.results import Figures
from bench.say import say, verdict
from bench.stage import Ground, server, tabs
from tests import chromium

TABS, ROUNDS = 200, 3
MEMORY, DOM_P50_MS, DOM_P99_MS = 1.15, 15, 60

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


def to_dom(base: Ground) -> Figures:
    """From before the HTTP request to the row in the DOM."""
    from tests.app import App  # the whole app, pages and all

    say("\nEmit to DOM: one browser, 10 events/s for 30 s, from before the HTTP request to the row in the DOM")
    with App.start(base.url) as app:
        latencies = sorted(asyncio.run(_to_dom(app.url, base.url, base.key, base.token)))
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    verdict("p50", p50, DOM_P50_MS, unit=" ms")
    verdict("p99", p99, DOM_P99_MS, unit=" ms")
    return {"p50_ms": p50, "p99_ms": p99}


def memory(base: Ground) -> Figures:
    """What a connected tab takes."""
    say(f"\nMemory of a connected tab, {TABS} tabs, medians of {ROUNDS} rounds")
    found: dict[str, list[float]] = {"ours": [], "reflex": []}
    for _ in range(ROUNDS):
        for kind, values in found.items():
            with server(kind, base) as target:
                with tabs(target, base, 20):  # first connections load modules and fill pools
                    pass
                before = target.memory()
                with tabs(target, base, TABS):
                    time.sleep(1)
                    values.append((target.memory() - before) / TABS / 1024)
    ours, bare = statistics.median(found["ours"]), statistics.median(found["reflex"])
    say(f"  ours {ours:.0f} KB, bare Reflex tab {bare:.0f} KB")
    verdict("memory, ours / bare Reflex tab", ours / bare, MEMORY)
    return {"ours_kb": ours, "reflex_kb": bare}
