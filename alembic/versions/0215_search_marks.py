"""Marks the searchable words of a channel with its tenant and type, so that a search reads no words of others."""

import runpy
from pathlib import Path

from alembic import op

revision = "0215"
down_revision = "0212"
branch_labels = None
depends_on = None

# A mark is short, and two tenants may have the same one: whoever searches compares tenant and type too.
MARK = """
CREATE FUNCTION realtime_word_mark(tenant UUID, type TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(md5(tenant || type), 8) || '='
$$
"""
WORDS = """
CREATE OR REPLACE FUNCTION realtime_channel_words(tenant UUID, name TEXT, title TEXT) RETURNS TSVECTOR
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN array_to_tsvector(ARRAY(
        SELECT realtime_word_mark(tenant, split_part(name, ':', 1)) || w.word
        FROM unnest(realtime_words(coalesce(title, '') || ' ' || substr(name, strpos(name, ':') + 1))) AS w (word)));
END
$$
"""
INDEX = """
UPDATE realtime_channel_search s SET words = realtime_channel_words(c.tenant_id, c.channel_name, c.title)
FROM realtime_channels c WHERE c.id = s.channel_id
"""


def words_before() -> str:
    """`realtime_channel_words` as revision 0213 made it."""
    text: str = runpy.run_path(str(Path(__file__).with_name("0213_channel_search.py")))["SEARCH"]
    [function] = [each for each in text.split(";\n\n") if "FUNCTION realtime_channel_words" in each]
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def upgrade() -> None:
    op.execute(MARK)
    op.execute(WORDS)
    op.execute(INDEX)


def downgrade() -> None:
    op.execute(words_before())
    op.execute("DROP FUNCTION realtime_word_mark")
    op.execute(INDEX)
