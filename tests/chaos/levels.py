"""How much of everything a running app holds: what must come back to where it was."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import psutil
import sqlalchemy as sa

from realtime_ui.embedded import EmbeddedPostgres
from tests.chaos.stage import Stage

HISTORY = {"realtime_events_log", "realtime_health_samples", "realtime_traffic_samples"}
"""Grow with time and end by their age."""
OPEN = {"realtime_connection_stats": "disconnected_at IS NULL"}
"""Which rows of a table say that something is there now; the others are history."""
ROWS = "rows of "
GAUGES = ("realtime_sockets", "realtime_subscriptions", "realtime_tasks")
MEMORY_FACTOR, MEMORY_BYTES = 1.1, 16 * 2**20
"""Allocators keep some pages: what a worker's memory may grow by, as a factor and in bytes."""
_GAUGE = re.compile(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Levels:
    """One look. `counts` has, by name, what must come back exactly; `memory` is the worker's resident bytes."""

    memory: int
    counts: dict[str, int]

    def over(self, before: "Levels") -> list[str]:
        """What is above where it was."""
        allowed = int(max(before.memory * MEMORY_FACTOR, before.memory + MEMORY_BYTES))
        found = [
            f"{name}: {value}, before {before.counts.get(name, 0)}"
            for name, value in self.counts.items()
            if value > before.counts.get(name, 0)
        ]
        if self.memory > allowed:
            found.append(f"memory: {_mb(self.memory)}, before {_mb(before.memory)}")
        return found

    @classmethod
    def highest(cls, several: Sequence["Levels"]) -> "Levels":
        """The highest of each that was seen."""
        names = several[0].counts
        return cls(
            max(levels.memory for levels in several),
            {name: max(levels.counts[name] for levels in several) for name in names},
        )

    def __str__(self) -> str:
        """All on one line, the rows of all tables together."""
        rows = sum(value for name, value in self.counts.items() if name.startswith(ROWS))
        others = [f"{name} {value}" for name, value in self.counts.items() if not name.startswith(ROWS)]
        return ", ".join([_mb(self.memory), *others, f"rows {rows}"])


class Gauge:
    """Looks at a stage.

    Args:
        stage: the app, running on its embedded database.
        key: an API key for the metrics.
    """

    def __init__(self, stage: Stage, key: str) -> None:
        self._stage = stage
        self._key = key
        self._engine = sa.create_engine(EmbeddedPostgres(stage.data / "postgres").url, poolclass=sa.NullPool)
        [self._worker] = stage.workers()

    @classmethod
    async def of(cls, stage: Stage) -> "Gauge":
        """One with a key of its own."""
        return cls(stage, await stage.add_key("prometheus", "metrics"))

    async def look(self) -> Levels:
        """How much of everything there is now."""
        metrics = await self._metrics()
        counts = await asyncio.to_thread(self._counts)
        return Levels(self._worker.memory_info().rss, {**counts, **metrics})

    def _counts(self) -> dict[str, int]:
        sockets = [each for each in self._worker.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
        with self._engine.connect() as connection:
            names = connection.execute(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
            rows = {
                f"{ROWS}{name}": int(
                    connection.execute(
                        sa.text(f'SELECT count(*) FROM "{name}" WHERE {OPEN.get(name, "true")}')
                    ).scalar_one()
                )
                for name in sorted(names)
                if name not in HISTORY
            }
            clients = connection.execute(
                sa.text(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
            ).scalar_one()
        return {
            "TCP connections": len(sockets),
            "open files": self._worker.num_fds(),
            "threads": self._worker.num_threads(),
            "database connections": int(clients),
            **rows,
        }

    async def _metrics(self) -> dict[str, int]:
        async with httpx.AsyncClient(base_url=self._stage.url, timeout=60) as http:
            headers = {"Authorization": f"Bearer {self._key}"}
            response = await http.get("/api/metrics", headers=headers)
        response.raise_for_status()
        found = {name: float(value) for name, value in _GAUGE.findall(response.text)}
        return {name.removeprefix("realtime_"): int(found[name]) for name in GAUGES}


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MB"
