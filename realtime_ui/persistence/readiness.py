"""Whether a database can do what a worker needs of it: answer, accept writes, and have the tables of this release."""

import re
from pathlib import Path

from realtime_ui.core.errors import NotMigrated
from realtime_ui.persistence.database import Database

VERSIONS = Path(__file__).parents[2] / "alembic" / "versions"
_REVISION = re.compile(r'^((?:down_)?revision) = "(\w+)"', re.MULTILINE)


class DatabaseCheck:
    """Asks a database, as often as it is called.

    Args:
        database: which.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revisions = known_revisions()
        self._is_current = False

    async def __call__(self) -> None:
        """Return when the database is ready.

        The revision is read once for each time that the database comes back: it may be another server then.

        Raises:
            NotMigrated: it has no tables of ours, or those of an earlier release. Those of a later one are fine: its
                migrations keep the workers running that are still of this one.
            DatabaseUnavailable: it does not answer, or does not accept writes.
        """
        was_current, self._is_current = self._is_current, False
        await self._database.ping()
        if not was_current and await self._database.revision() in self._revisions[:-1]:
            raise NotMigrated()
        self._is_current = True


def known_revisions() -> list[str]:
    """The revisions of this release, oldest first, as the migrations' files name them."""
    next_of = {}
    for path in VERSIONS.glob("*.py"):
        named = dict(_REVISION.findall(path.read_text()))
        next_of[named.get("down_revision", "")] = named["revision"]
    found: list[str] = []
    while (revision := next_of.get(found[-1] if found else "")) is not None:
        found.append(revision)
    return found
