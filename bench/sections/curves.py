"""What a page asks for as its channel's log grows from a thousand events to a million: the times should not grow."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from bench.results import Figures
from bench.say import say, verdict
from bench.stage import Ground, server
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import row_tag
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.fields import FieldRepository
from tests.bulk import fill_log
from tests.tab import open_tab

SIZES = (1_000, 10_000, 100_000, 1_000_000)
TIMES = 30
BEHIND = 100
"""So many events a tab has missed that comes back."""
FOLD_BATCH = 5_000
FLAT, FIELDS_MS = 2.0, 20.0
WHAT = {
    "open": "page open: `sub` with the newest 50",
    "fields": "fields",
    "history": "history over HTTP, the newest 100",
    "resume": f"resume, {BEHIND} behind",
}


def curves(base: Ground) -> Figures:
    """Medians in ms by size and by what is asked for."""
    say(f"\nAs the log grows: medians of {TIMES} requests one after the other, in ms")
    found: Figures = {}
    for size in SIZES:
        channel = f"project:curve-{size}"
        asyncio.run(_make(base, channel, size))
        with server("ours", base) as target:
            found[str(size)] = asyncio.run(_times(target.url, base, channel))
        say(f"  {size:9,} events: " + ", ".join(f"{name} {ms:.1f}" for name, ms in found[str(size)].items()))
    least, most = found[str(SIZES[0])], found[str(SIZES[-1])]
    for name in WHAT:
        verdict(f"{name}, at {SIZES[-1]:,} / at {SIZES[0]:,} events", most[name] / least[name], FLAT)
    verdict("fields at the most events", most["fields"], FIELDS_MS, unit=" ms")
    return found


async def _make(base: Ground, channel: str, size: int) -> None:
    """A log, with its fields folded as a worker would have done behind it."""
    database = Database(base.url, pool=1, statement_timeout_s=3_600)
    await fill_log(database, base.tenant, channel, size)
    fields, key = FieldRepository(database), (base.tenant, ChannelName.parse(channel))
    begun = time.monotonic()
    while (folded := await fields.fold(*key, batch=FOLD_BATCH)) is None or folded.seq < folded.head:
        pass
    say(f"  {size:9,} events folded in {time.monotonic() - begun:.1f} s")
    await database.close()


async def _times(url: str, base: Ground, channel: str) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {base.key}"}
    async with (
        open_tab(url, f"realtime_session={base.token}") as tab,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http,
    ):
        answer = await tab.sub(channel, rewind=BEHIND + 1)
        row = answer["rows"][0]
        missed = {"epoch": answer["epoch"], "last": row["seq"], "tag": row_tag(row["id"], row["timestamp"])}

        async def history() -> None:
            (await http.get(f"/api/channels/{channel}/history", params={"limit": 100})).raise_for_status()

        asked: dict[str, Callable[[], Awaitable[Any]]] = {
            "open": lambda: tab.sub(channel),
            "fields": lambda: tab.call("fields", {"channel": channel}),
            "history": history,
            "resume": lambda: tab.sub(channel, **missed),
        }
        return {name: await _median(ask) for name, ask in asked.items()}


async def _median(ask: Callable[[], Awaitable[Any]]) -> float:
    took = []
    for _ in range(TIMES):
        begun = time.monotonic()
        await ask()
        took.append((time.monotonic() - begun) * 1000)
    return statistics.median(took)
