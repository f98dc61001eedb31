"""Remembers which runs of a channel were published beyond its contiguous mark.

Several workers publish what each of them committed, so their runs interleave. The mark alone could not move
over another worker's message; with the runs beside it, whatever lies in no run was committed and not sent.
"""

from alembic import op

revision = "0205"
down_revision = "0204"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE realtime_channel_heads ADD COLUMN published_runs INT8MULTIRANGE NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE realtime_channel_heads DROP COLUMN published_runs")
