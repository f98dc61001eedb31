"""The results of the bench's sections, kept as JSON, and the tables that `docs/PERFORMANCE.md` shows of them.

A table stands in the document between `<!-- table NAME -->` and `<!-- end -->`; what is between the two is replaced.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
DOCUMENT = FOLDER.parent / "docs" / "PERFORMANCE.md"
_BLOCK = re.compile(r"(<!-- table ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Figures = dict[str, Any]
"""What a section measured: JSON, in the units that its keys name."""
Table = Callable[[Figures], str]
"""Makes Markdown of a section's figures."""


class Results:
    """Sections' figures in a file, each with the time at which it was measured.

    Args:
        path: the file; made when the first figures are kept.
    """

    def __init__(self, path: Path = RESULTS) -> None:
        self._path = path
        self._all: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"began_at": "", "sections": {}}

    def begin(self) -> None:
        """A run of all sections begins: what was measured before is kept, but counts as not measured yet."""
        self._all["began_at"] = _now()
        self._save()

    def keep(self, section: str, figures: Figures) -> None:
        """Keep what a section measured, in place of its earlier figures."""
        self._all["sections"][section] = {"measured_at": _now(), "figures": figures}
        self._save()

    def measured(self, section: str) -> bool:
        """Whether a section was measured since the last run of all sections began."""
        found = self._all["sections"].get(section)
        return found is not None and found["measured_at"] >= self._all["began_at"]

    def figures(self) -> dict[str, Figures]:
        """All that is kept, by section."""
        return {name: each["figures"] for name, each in self._all["sections"].items()}

    def _save(self) -> None:
        self._path.write_text(json.dumps(self._all, indent=1, ensure_ascii=False) + "\n")


def rendered(document: str, figures: Mapping[str, Figures], tables: Mapping[str, tuple[str, Table]]) -> str:
    """A document with each of its tables made anew.

    Args:
        document: Markdown with marks.
        figures: by section.
        tables: by the table's name, the section it is of and what makes it.

    Raises:
        KeyError: the document names a table that is not there, or one of a section without figures.
    """

    def table(found: "re.Match[str]") -> str:
        section, make = tables[found[2]]
        return f"{found[1]}{make(figures[section])}\n{found[3]}"

    return _BLOCK.sub(table, document)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
