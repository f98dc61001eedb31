"""The tables of `docs/PERFORMANCE.md`, each made of one section's figures."""

from bench.results import Figures, Table
from bench.sections import curves, deliveries, load, presence, services, tab

CONTENDERS = {
    "ours": "this project",
    "bare": "bare: a second namespace's room gets the same bytes by python-socketio's `emit`, no log, no commit",
    "idiom": "the Reflex way: a background task per tab, a list var of 50",
}


def _table(head: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _delivery_rows(found: Figures, names: dict[str, str]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind, name in names.items():
        each = found[kind]
        rows.append(
            (
                name,
                f"{each['cpu_us']:.0f} µs",
                f"{each['bytes']:,.0f}",
                f"{each['p50_ms']:.0f} / {each['p99_ms']:.0f} ms",
                _cores(each),
                deliveries.state(each),
            )
        )
    return rows


def _cores(found: Figures) -> str:
    """How full the server's core and the busiest client's were; results from before that was measured have neither."""
    if found["server_core"] is None:
        return "not measured"
    return f"{found['server_core']:.0%} / {found['client_core']:.0%}"


_DELIVERY_HEAD = ("CPU an arrived delivery", "bytes", "p50 / p99", "core: server / busiest client", "")


def _delivery(found: Figures) -> str:
    return _table(("contender", *_DELIVERY_HEAD), *_delivery_rows(found, CONTENDERS))


def _delivery_ratios(found: Figures) -> str:
    ours = found["ours"]["cpu_us"]
    return _table(
        ("figure", "wanted", "measured"),
        ("CPU, ours / the Reflex way", "≤ 1/6", f"{ours / found['idiom']['cpu_us']:.3f}"),
        ("CPU, ours / bare", f"≤ {deliveries.BARE:g}", f"{ours / found['bare']['cpu_us']:.2f}"),
    )


def _crowd(found: Figures) -> str:
    best = found["best"]
    ours, bare = found["ours"]["cpu_us"], found["bare"]["cpu_us"]
    ceiling = (
        f"{best['per_s']:,.0f} at {best['rate']} events/s, p99 {best['p99_ms']:.0f} ms;"
        f" core: server / busiest client {_cores(best)}"
        if best
        else "none in time"
    )
    return _table(
        ("figure", "wanted", "measured"),
        (
            "CPU a delivery, ours / bare",
            f"≤ {deliveries.CROWD_BARE:g}",
            f"{ours / bare:.2f} ({ours:.0f} / {bare:.0f} µs)",
        ),
        ("most deliveries a second on one core", f"≥ {deliveries.CEILING:,}", ceiling),
    )


def _streams(found: Figures) -> str:
    return _table(("to", *_DELIVERY_HEAD), *_delivery_rows(found, {"streams": "a stream", "tabs": "a tab"}))


def _length(found: Figures) -> str:
    ratio = found["long_bytes"] / found["short_bytes"]
    return _table(
        ("figure", "wanted", "measured"),
        ("bytes a delivery after 5,000 more events / at the start", f"≤ {deliveries.GROWTH:g}", f"{ratio:.2f}"),
    )


def _curves(found: Figures) -> str:
    sizes = [str(size) for size in curves.SIZES]
    head = ("median, ms", *(f"{size:,} events" for size in curves.SIZES), "longest / shortest log")
    rows = []
    for name, what in curves.WHAT.items():
        ms = [found[size][name] for size in sizes]
        rows.append((what, *(f"{each:.1f}" for each in ms), f"{ms[-1] / ms[0]:.2f} (≤ {curves.FLAT:g})"))
    return _table(head, *rows)


def _memory(found: Figures) -> str:
    ours, bare = found["ours_kb"], found["reflex_kb"]
    return _table(
        ("figure", "wanted", "measured"),
        (
            f"memory of a connected tab, ours / a bare Reflex tab ({tab.TABS} tabs)",
            f"≤ {tab.MEMORY:g}",
            f"{ours / bare:.2f} ({ours:.0f} / {bare:.0f} KB)",
        ),
    )


def _dom(found: Figures) -> str:
    return _table(
        ("figure", "wanted", "measured"),
        ("emit to DOM, p50", f"≤ {tab.DOM_P50_MS} ms", f"{found['p50_ms']:.1f} ms"),
        ("emit to DOM, p99", f"≤ {tab.DOM_P99_MS} ms", f"{found['p99_ms']:.0f} ms"),
    )


def _idle(found: Figures) -> str:
    return _table(
        ("figure", "wanted", "measured"),
        (
            f"server CPU with {load.CROWD} tabs and {load.CROWD} streams that idle, default heartbeats"
            f" ({load.IDLE_S} s; pings, beats, answers, their rows)",
            f"≤ {load.IDLE:.0%} of a core",
            f"{found['core']:.1%} ({found['core_alone']:.1%} alone)",
        ),
        (
            f"of these {2 * load.CROWD:,}, wrongly stale",
            "0",
            f"{found['stale']:.0f} ({found['sent']:,.0f} beats to tabs, {found['answered']:,.0f} answers)",
        ),
    )


def _stopped(found: Figures) -> str:
    return _table(
        ("figure", "wanted", "measured"),
        (
            "memory of the server for each reader who stopped",
            f"≤ {load.STOPPED_MB} MB",
            f"{found['mb_a_reader']:.1f} MB",
        ),
    )


def _ingest(found: Figures) -> str:
    return _table(
        ("figure", "wanted", "measured"),
        (
            "ingest in lists of 100 over HTTP, committed and published",
            f"≥ {load.INGEST:,} events/s",
            f"{found['per_s']:,.0f} events/s",
        ),
    )


def _presence(found: Figures) -> str:
    numbers = sorted(map(int, found))
    most = found[str(numbers[-1])]
    right = "the same right list everywhere" if most["right"] else "NOT the right list everywhere"
    return _table(
        ("figure", "wanted", "measured"),
        (
            f"after the last join, all {numbers[-1]} tabs hold the same right list",
            f"≤ {presence.SETTLED_S} s",
            f"{most['settled']:.2f} s, {right}",
        ),
        (
            f"bytes of presence a tab, {' / '.join(map(str, numbers))} people",
            "grow with the diffs",
            " / ".join(f"{found[str(each)]['bytes_mean'] / 1000:.0f}" for each in numbers) + " kB",
        ),
    )


def _redis(found: Figures) -> str:
    bare, ours, workers = found["bare"], found["ours"], found["workers"]
    seen = " / ".join(f"{each['seen']:,}" for each in workers["seen"])
    ordered = "in order, each once" if all(each["ordered"] for each in workers["seen"]) else "NOT in order or once"
    return _table(
        ("figure", "wanted", "measured"),
        ("p50, bare / ours", "", f"{bare['p50']:.2f} / {ours['p50']:.2f} ms"),
        (
            "p99, bare / ours",
            f"≤ {services.REDIS} times",
            f"{bare['p99']:.2f} / {ours['p99']:.2f} ms, {ours['p99'] / bare['p99']:.1f} times",
        ),
        (
            "emitted by two workers, watched by both",
            "all, in order, once",
            f"{seen} of {workers['wanted']:,} seen, {ordered}",
        ),
    )


def _service(name: str) -> Table:
    def table(found: Figures) -> str:
        order = "in order" if found["right"] == found["sent"] else f"{found['right']:,} in their place"
        return _table(
            ("", "sent / heard", "p50", "p99"),
            (
                name,
                f"{found['sent']:,} / {found['received']:,}, {order}",
                f"{found['p50_ms']:.0f} ms",
                f"{found['p99_ms']:.0f} ms",
            ),
        )

    return table


TABLES: dict[str, tuple[str, Table]] = {
    "delivery": ("delivery", _delivery),
    "delivery_ratios": ("delivery", _delivery_ratios),
    "crowd": ("crowd", _crowd),
    "streams": ("streams", _streams),
    "length": ("length", _length),
    "curves": ("curves", _curves),
    "memory": ("memory", _memory),
    "dom": ("dom", _dom),
    "idle": ("idle", _idle),
    "stopped": ("stopped", _stopped),
    "ingest": ("ingest", _ingest),
    "presence": ("presence", _presence),
    "redis": ("redis", _redis),
    "ably": ("ably", _service("Ably")),
    "pusher": ("pusher", _service("Pusher")),
}
"""By the table's name, the section that it is of and what makes it."""
