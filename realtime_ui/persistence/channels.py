"""The channel registry: titles, what was last active, and where others may publish."""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import TooManyChannels
from realtime_ui.persistence.channel_queries import (
    CHANGED_WITHIN,
    EPOCH_BEGAN,
    FIRST_PAGE,
    INDEX_PLAN,
    NEXT_PAGE,
    SEARCH,
)
from realtime_ui.persistence.database import Database

PAGE = 100
FOUND = 50
CHANGED = 200
RENAMED = 1_000
BEGUN = 1_000
CANDIDATES = 200
"""How many channels of a type that match are ranked at most, besides those among the newest."""
LOOK_THROUGH = 500
"""How many of the newest channels are looked through."""
WORDS = 10
"""So many words of a query count, the longest ones: each is another look into the index."""

_TITLES = text("""
    SELECT channel_name, title FROM realtime_channels
    WHERE tenant_id = :tenant AND channel_name = ANY(cast(:names AS text[]))
""")
_RENAMED = text("""
    SELECT c.tenant_id, c.channel_name, c.title FROM realtime_channel_search s
    JOIN realtime_channels c ON c.id = s.channel_id
    WHERE s.renamed_at >= now() - make_interval(secs => :within)
    ORDER BY s.renamed_at DESC LIMIT :limit
""")
_MAKE = text("""
    SELECT realtime_make_channels(ARRAY[cast(:tenant AS uuid)], ARRAY[cast(:name AS text)], ARRAY[cast(:type AS text)],
                                  ARRAY[cast(:entity AS uuid)])
""")
_SET_TITLE = text("""
    UPDATE realtime_channels SET title = :title, updated_at = now() WHERE tenant_id = :tenant AND channel_name = :name
""")
_SET_INBOUND = text("""
    UPDATE realtime_channels SET updated_at = now(), config = coalesce(config, '{}')
        || jsonb_build_object('inbound', cast(:on AS bool), 'inbound_types', cast(:types AS jsonb))
    WHERE tenant_id = :tenant AND channel_name = :name
""")
_INBOUND = text("""
    SELECT tenant_id, channel_name, config -> 'inbound_types' AS types
    FROM realtime_channels WHERE config @> '{"inbound": true}'
""")
_DESCRIBED = text("""
    SELECT title, coalesce(config @> '{"inbound": true}', false) AS inbound, config -> 'inbound_types' AS types
    FROM realtime_channels WHERE tenant_id = :tenant AND channel_name = :name
""")

Inbound = tuple[str, ...]
"""Types of events, or prefixes followed by `*`."""
EVERY_TYPE: Inbound = ("*",)


@dataclass(frozen=True, slots=True)
class ListPlace:
    """A place in a list of channels, which goes on below it: its moment in µs since the Unix epoch, and its name."""

    moment_us: int
    name: str


@dataclass(frozen=True, slots=True)
class ChannelSummary:
    """A channel as a list shows it.

    `moment_us` is when it was last active, or else made, in µs since the Unix epoch: what lists are ordered by.
    """

    name: ChannelName
    title: str | None
    last_activity_at: datetime | None
    last_seq: int
    moment_us: int

    @property
    def place(self) -> ListPlace:
        """Its place in a list."""
        return ListPlace(self.moment_us, str(self.name))


class ChannelRepository:
    """Reads and names channels.

    Lists are of all channels of some types (`types`), and of single ones of other types besides (`names`).

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        tenant: uuid.UUID,
        types: Collection[ChannelType],
        names: Collection[ChannelName] = (),
        *,
        below: ListPlace | None = None,
        limit: int = PAGE,
    ) -> list[ChannelSummary]:
        """A tenant's channels, most recently active first, from below a place where one is given."""
        if below is None:
            return await self._summaries(FIRST_PAGE, tenant, types, names, limit=limit)
        place = {"moment_us": below.moment_us, "name": below.name}
        return await self._summaries(NEXT_PAGE, tenant, types, names, limit=limit, **place)

    async def changed(
        self, tenant: uuid.UUID, types: Collection[ChannelType], names: Collection[ChannelName] = (), *, within_s: float
    ) -> list[ChannelSummary]:
        """Those that were active, or made, within some seconds: the latest ones, at most `CHANGED` besides `names`."""
        return await self._summaries(CHANGED_WITHIN, tenant, types, names, limit=CHANGED + len(names), within=within_s)

    async def search(
        self, tenant: uuid.UUID, types: Collection[ChannelType], query: str, names: Collection[ChannelName] = ()
    ) -> tuple[list[ChannelSummary], bool]:
        """Those whose title or id has, for each word of `query`, a word that begins with it; the best first.

        An exact id or title comes first, then what begins with the query, then whole words, then the latest.

        Returns:
            at most `FOUND`, and whether there are more.
        """
        bounds = {"limit": FOUND + 1, "candidates": CANDIDATES, "look_through": LOOK_THROUGH, "words": WORDS}
        values = {**_scope(tenant, types, names), "query": query, **bounds}
        async with self._database.transaction() as connection:
            await connection.execute(INDEX_PLAN)
            found = [_summary(row) for row in await connection.execute(SEARCH, values)]
        return found[:FOUND], len(found) > FOUND

    async def titles(self, tenant: uuid.UUID, channels: Collection[ChannelName]) -> dict[ChannelName, str | None]:
        """The titles of some channels; those that do not exist are left out."""
        values = {"tenant": tenant, "names": [str(name) for name in channels]}
        async with self._database.single() as connection:
            rows = (await connection.execute(_TITLES, values)).all()
        return {ChannelName.stored(row.channel_name): row.title for row in rows}

    async def renamed(self, *, within_s: float) -> dict[tuple[uuid.UUID, ChannelName], str | None]:
        """The titles that were set within some seconds, of all tenants: at most `RENAMED`, the latest ones."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_RENAMED, {"within": within_s, "limit": RENAMED})).all()
        return {(row.tenant_id, ChannelName.stored(row.channel_name)): row.title for row in rows}

    async def epoch_began(self, *, within_s: float) -> dict[tuple[uuid.UUID, ChannelName], ChannelSummary]:
        """The channels, of all tenants, in which an epoch after the first one began within some seconds.

        Its log went back, so its count and its moment may have too: at most `BEGUN`, the most recently active ones.
        """
        async with self._database.single() as connection:
            rows = (await connection.execute(EPOCH_BEGAN, {"within": within_s, "limit": BEGUN})).all()
        return {(row.tenant_id, ChannelName.stored(row.channel_name)): _summary(row) for row in rows}

    async def _summaries(
        self,
        statement: TextClause,
        tenant: uuid.UUID,
        types: Collection[ChannelType],
        names: Collection[ChannelName],
        **values: object,
    ) -> list[ChannelSummary]:
        async with self._database.single() as connection:
            rows = (await connection.execute(statement, {**_scope(tenant, types, names), **values})).all()
        return [_summary(row) for row in rows]

    async def set_title(self, tenant: uuid.UUID, channel: ChannelName, title: str | None) -> None:
        """Name a channel for people, making it where it is new."""
        await self._change(_SET_TITLE, tenant, channel, title=title)

    async def set_inbound(self, tenant: uuid.UUID, channel: ChannelName, inbound: Inbound | None) -> None:
        """Say whether a channel stays attached for what others publish on it, making it where it is new.

        Args:
            tenant: whose channel.
            channel: which.
            inbound: the types to accept from clients that nobody vouches for; None to close it.
        """
        types = None if inbound is None else json.dumps(inbound)
        await self._change(_SET_INBOUND, tenant, channel, on=inbound is not None, types=types)

    async def inbound(self) -> dict[tuple[uuid.UUID, ChannelName], Inbound]:
        """The channels of all tenants that stay attached, with the types that each accepts from unknown clients."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_INBOUND)).all()
        return {(row.tenant_id, ChannelName.stored(row.channel_name)): _types(row.types) for row in rows}

    async def title(self, tenant: uuid.UUID, channel: ChannelName) -> str | None:
        """A channel's title, or None."""
        return (await self.described(tenant, channel))[0]

    async def described(self, tenant: uuid.UUID, channel: ChannelName) -> tuple[str | None, Inbound | None]:
        """A channel's title, or None, and what `set_inbound` said."""
        async with self._database.single() as connection:
            row = (await connection.execute(_DESCRIBED, {"tenant": tenant, "name": str(channel)})).first()
        return (row.title, _types(row.types) if row.inbound else None) if row else (None, None)

    async def _change(self, change: TextClause, tenant: uuid.UUID, channel: ChannelName, **values: object) -> None:
        """Change a channel, making it where it is new.

        Raises:
            TooManyChannels: it is new, and the tenant has as many as it may have.
        """
        name = {"tenant": tenant, "name": str(channel)}
        async with self._database.transaction() as connection:
            await connection.execute(_MAKE, {**name, "type": channel.type.value, "entity": channel.entity_id})
            if not (await connection.execute(change, {**name, **values})).rowcount:
                raise TooManyChannels(channel, self._database.channels_per_tenant)


def _types(stored: object) -> Inbound:
    """Types as stored; a channel that was opened before release 0211, or in SQL by hand, accepts all."""
    return tuple(map(str, stored)) if isinstance(stored, list) else EVERY_TYPE


def _scope(tenant: uuid.UUID, types: Collection[ChannelType], names: Collection[ChannelName]) -> dict[str, object]:
    return {"tenant": tenant, "types": [kind.value for kind in types], "names": [str(name) for name in names]}


def _summary(row: Any) -> ChannelSummary:
    name = ChannelName.stored(row.channel_name)
    return ChannelSummary(name, row.title, row.last_activity_at, row.last_seq, row.moment_us)
