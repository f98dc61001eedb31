"""What a worker knows of migrations."""

from alembic.script import ScriptDirectory

from realtime_ui.persistence.migrate import alembic_config
from realtime_ui.persistence.readiness import known_revisions


def test_the_revisions_are_read_in_their_order() -> None:
    """A worker needs no Alembic to know them, oldest first."""
    scripts = ScriptDirectory.from_config(alembic_config("postgresql://nowhere/"))
    assert known_revisions() == [each.revision for each in reversed(list(scripts.walk_revisions()))]
