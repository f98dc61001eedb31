"""`make bench`: measures against the contenders in the same run, and makes the tables of `docs/PERFORMANCE.md`.

    python -m bench                             all sections
    python -m bench --resume                    those that an interrupted run of all has not measured
    python -m bench --only delivery --only dom  some; the others' results are kept
    python -m bench --tables                    none: only the document's tables, from what is kept

Results are written to `bench/results.json` after each section. Every figure is told with its limit; nothing fails
because of one, and no test asserts that anything is fast. A section that cannot be measured keeps its earlier result,
and the run goes on with the next.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

from bench.results import DOCUMENT, Figures, Results, rendered
from bench.say import say
from bench.sections import SECTIONS
from bench.stage import ground
from bench.tables import TABLES

Measure = Callable[[], Figures]


def run(sections: Mapping[str, Measure], results: Results) -> list[str]:
    """Measure sections, and keep what each gave at once; returns those that failed."""
    failed = []
    for name, measure in sections.items():
        try:
            results.keep(name, measure())
        except Exception:
            traceback.print_exc()
            say(f"Section {name} was not measured; an earlier result is kept.")
            failed.append(name)
    return failed


def chosen(arguments: Sequence[str], results: Results) -> list[str]:
    """The sections that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    which.add_argument("--resume", action="store_true", help="go on with an interrupted run of all sections")
    which.add_argument("--tables", action="store_true", help="measure nothing, and make the tables anew")
    asked = parser.parse_args(arguments)
    if asked.tables:
        return []
    if asked.only:
        return list(dict.fromkeys(asked.only))
    if not asked.resume:
        results.begin()
    return [name for name in SECTIONS if not results.measured(name)]


def main() -> None:
    """Measure what was asked for, and write the tables."""
    results = Results()

    def measured(name: str) -> Measure:
        def measure() -> Figures:
            with ground() as base:
                return SECTIONS[name](base)

        return measure

    failed = run({name: measured(name) for name in chosen(sys.argv[1:], results)}, results)
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(), results.figures(), TABLES))
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
