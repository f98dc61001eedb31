"""Takes a person's repeated event for the same one although their name has changed since.

The server puts the author's name into what people post. After a rename a browser that sends a message again, under the
id that it had, was answered 409.
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0217"
down_revision = "0215"
branch_labels = None
depends_on = None

SAME_BEFORE = "e.event_type = i.event_type AND e.event_data = i.payload AS same"
SAME = """e.event_type = i.event_type AND (e.event_data = i.payload OR coalesce(
                   i.emitter LIKE 'person:%' AND split_part(e.emitted_by, ' ', 1) = split_part(i.emitter, ' ', 1)
                   AND e.event_data - 'author' = i.payload - 'author', false)) AS same"""


def append_before() -> str:
    """`realtime_append` as revision 0212 made it."""
    text: str = runpy.run_path(str(Path(__file__).with_name("0212_channel_counts.py")))["APPEND"]
    return text


def upgrade() -> None:
    before = append_before()
    if before.count(SAME_BEFORE) != 1:
        raise RuntimeError("Revision 0212 compares events in another way than this one expects.")
    op.execute(before.replace(SAME_BEFORE, SAME))


def downgrade() -> None:
    op.execute(append_before())
