"""SQL for lists of channels and the search in them.

All but `EPOCH_BEGAN` read all of a tenant's channels of some types (`:types`), and single ones of other types
(`:names`).
"""

from sqlalchemy import text

# The moment by which a list is ordered, as the index idx_realtime_channels_listed has it.
_MOMENT = "coalesce(c.last_activity_at, c.created_at)"
_SUMMARY = f"""
    c.id, c.channel_name, c.title, c.last_activity_at,
    cast(extract(epoch FROM {_MOMENT}) * 1000000 AS bigint) AS moment_us
"""
# Each type is read in the index's order and no further than needed: types that somebody may not list cost nothing.
# `names` are single channels of other types.
_LISTED = f"""
    SELECT l.*, coalesce(h.last_seq, 0) AS last_seq
    FROM (
        SELECT t.* FROM unnest(cast(:types AS text[])) AS k (type)
        CROSS JOIN LATERAL (
            SELECT {_SUMMARY} FROM realtime_channels c
            WHERE c.tenant_id = :tenant AND c.channel_type = k.type AND c.is_active
              AND {_MOMENT} IS NOT NULL AND {{condition}}
            ORDER BY {_MOMENT} DESC, c.channel_name DESC LIMIT :limit) t
        UNION ALL
        SELECT {_SUMMARY} FROM realtime_channels c
        WHERE c.tenant_id = :tenant AND c.channel_name = ANY(cast(:names AS text[])) AND c.is_active
          AND {_MOMENT} IS NOT NULL AND {{condition}}) l
    LEFT JOIN realtime_channel_heads h ON h.channel_id = l.id
    ORDER BY l.moment_us DESC, l.channel_name DESC LIMIT :limit
"""
FIRST_PAGE = text(_LISTED.format(condition="true"))
NEXT_PAGE = text(
    _LISTED.format(
        condition=f"""({_MOMENT}, c.channel_name)
            < (timestamptz 'epoch' + cast(:moment_us AS bigint) * interval '1 microsecond', :name)"""
    )
)
EPOCH_BEGAN = text(f"""
    SELECT {_SUMMARY}, c.tenant_id, h.last_seq
    FROM realtime_channel_heads h JOIN realtime_channels c ON c.id = h.channel_id
    WHERE h.epoch_began_at >= now() - make_interval(secs => :within) AND c.is_active AND {_MOMENT} IS NOT NULL
    ORDER BY {_MOMENT} DESC LIMIT :limit
""")
CHANGED_WITHIN = text(_LISTED.format(condition=f"{_MOMENT} >= now() - make_interval(secs => :within)"))
# Two ways to candidates: among the newest channels, which finds words that many have, and over the index, which finds
# rare ones. Each is bounded, so a word that all channels have costs no more than one that few have. OFFSET 0 makes a
# subquery one probe for each row, whatever the planner expects of the numbers of rows.
SEARCH = text(f"""
    WITH given AS (  -- a word with which another one begins asks for nothing more
        SELECT w.word FROM (SELECT DISTINCT u.word FROM unnest(realtime_words(:query)) AS u (word)) w
        WHERE NOT EXISTS (
            SELECT 1 FROM unnest(realtime_words(:query)) AS o (word)
            WHERE o.word <> w.word AND starts_with(o.word, w.word))
        ORDER BY length(w.word) DESC, w.word LIMIT :words
    ), wish AS (
        SELECT k.type, cast(string_agg(quote_literal(k.mark || g.word) || ':*', ' & ') AS tsquery) AS prefixes,
               cast(string_agg(quote_literal(k.mark || g.word), ' & ') AS tsquery) AS whole
        FROM (SELECT t.type, realtime_word_mark(:tenant, t.type) AS mark
              FROM (SELECT unnest(cast(:types AS text[]))
                    UNION SELECT split_part(unnest(cast(:names AS text[])), ':', 1)) AS t (type)) k
        CROSS JOIN given g
        GROUP BY k.type
    ), listed AS (
        SELECT * FROM wish WHERE wish.type = ANY(cast(:types AS text[]))
    ), newest AS (
        SELECT l.id FROM (
            SELECT n.id, k.prefixes FROM listed k
            CROSS JOIN LATERAL (
                SELECT c.id, {_MOMENT} AS moment FROM realtime_channels c
                WHERE c.tenant_id = :tenant AND c.channel_type = k.type AND c.is_active AND {_MOMENT} IS NOT NULL
                ORDER BY {_MOMENT} DESC, c.channel_name DESC LIMIT :look_through) n
            ORDER BY n.moment DESC LIMIT :look_through) l
        CROSS JOIN LATERAL (SELECT s.words FROM realtime_channel_search s WHERE s.channel_id = l.id OFFSET 0) s
        WHERE s.words @@ l.prefixes
    ), indexed AS (
        SELECT i.id FROM listed k CROSS JOIN LATERAL (
            SELECT s.channel_id AS id FROM realtime_channel_search s
            WHERE s.words @@ k.prefixes AND s.tenant_id = :tenant LIMIT :candidates) i
    ), named AS (
        SELECT c.id FROM unnest(cast(:types AS text[])) AS k (type)
        JOIN realtime_channels c ON c.tenant_id = :tenant AND c.channel_name = k.type || ':' || :query
    ), own AS (
        SELECT c.id FROM unnest(cast(:names AS text[])) AS o (name)
        JOIN realtime_channels c ON c.tenant_id = :tenant AND c.channel_name = o.name
        JOIN wish k ON k.type = c.channel_type
        CROSS JOIN LATERAL (SELECT s.words FROM realtime_channel_search s WHERE s.channel_id = c.id OFFSET 0) s
        WHERE s.words @@ k.prefixes OR o.name = k.type || ':' || :query
    )
    SELECT {_SUMMARY}, coalesce(h.last_seq, 0) AS last_seq
    FROM (SELECT id FROM newest UNION SELECT id FROM indexed UNION SELECT id FROM named UNION SELECT id FROM own) found
    CROSS JOIN LATERAL (SELECT * FROM realtime_channels c WHERE c.id = found.id OFFSET 0) c
    JOIN wish ON wish.type = c.channel_type
    CROSS JOIN LATERAL (SELECT s.words FROM realtime_channel_search s WHERE s.channel_id = c.id OFFSET 0) s
    LEFT JOIN LATERAL (
        SELECT h.last_seq FROM realtime_channel_heads h WHERE h.channel_id = c.id OFFSET 0) h ON true
    CROSS JOIN LATERAL (
        SELECT lower(substr(c.channel_name, strpos(c.channel_name, ':') + 1)) AS id,
               lower(coalesce(c.title, '')) AS title, lower(:query) AS query) t
    WHERE c.is_active
    ORDER BY (t.id = t.query OR t.title = t.query) DESC,
             (starts_with(t.title, t.query) OR starts_with(t.id, t.query)) DESC,
             (s.words @@ wish.whole) DESC, {_MOMENT} DESC, c.channel_name DESC
    LIMIT :limit
""")
# The planner does not know how many rows have a word, nor, in a plan for all tenants, how many channels one has: it
# might scan them all.
INDEX_PLAN = text("""
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true)
""")
