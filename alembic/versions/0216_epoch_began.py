"""Records when a channel's epoch began, so that open lists learn how many events the channel has in it.

What sets it, `realtime_begin_epoch`, keeps its signature: workers of the previous release go on calling it.
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0216"
down_revision = "0217"
branch_labels = None
depends_on = None

SET_BEFORE = "SET epoch = gen_random_uuid() WHERE"
SET = "SET epoch = gen_random_uuid(), epoch_began_at = clock_timestamp() WHERE"


def begin_epoch_before() -> str:
    """`realtime_begin_epoch` as revision 0209 made it."""
    text: str = runpy.run_path(str(Path(__file__).with_name("0209_epochs.py")))["BEGIN_EPOCH"]
    return text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def upgrade() -> None:
    before = begin_epoch_before()
    if before.count(SET_BEFORE) != 1:
        raise RuntimeError("Revision 0209 begins an epoch in another way than this one expects.")
    op.execute("ALTER TABLE realtime_channel_heads ADD COLUMN epoch_began_at TIMESTAMPTZ")
    # Appends do not change the column, so their updates of a head touch no index.
    op.execute("""
        CREATE INDEX idx_realtime_channel_heads_epoch_began ON realtime_channel_heads (epoch_began_at)
        WHERE epoch_began_at IS NOT NULL
    """)
    op.execute(before.replace(SET_BEFORE, SET))


def downgrade() -> None:
    op.execute(begin_epoch_before())
    op.execute("DROP INDEX idx_realtime_channel_heads_epoch_began")
    op.execute("ALTER TABLE realtime_channel_heads DROP COLUMN epoch_began_at")
