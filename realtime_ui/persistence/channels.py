"""The channel registry: titles, what was last active, and where others may publish."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from realtime_ui.core.channels import ChannelName
from realtime_ui.persistence.database import Database

_LIST = text("""
    SELECT c.channel_name, c.title, c.last_activity_at, coalesce(h.last_seq, 0) AS last_seq
    FROM realtime_channels c LEFT JOIN realtime_channel_heads h ON h.channel_id = c.id
    WHERE c.tenant_id = :tenant AND c.is_active
      AND (cast(:within AS float8) IS NULL OR c.updated_at >= now() - make_interval(secs => :within))
    ORDER BY c.last_activity_at DESC NULLS LAST, c.channel_name LIMIT :limit
""")
_SET_TITLE = text("""
    INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type, entity_id, title, created_at, updated_at)
    VALUES (gen_random_uuid(), :tenant, :name, :type, :entity, :title, now(), now())
    ON CONFLICT (tenant_id, channel_name) DO UPDATE SET title = excluded.title, updated_at = now()
""")
_SET_INBOUND = text("""
    INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type, entity_id, config, created_at, updated_at)
    VALUES (gen_random_uuid(), :tenant, :name, :type, :entity,
            jsonb_build_object('inbound', cast(:on AS bool), 'inbound_types', cast(:types AS jsonb)), now(), now())
    ON CONFLICT (tenant_id, channel_name) DO UPDATE
    SET config = coalesce(realtime_channels.config, '{}') || excluded.config, updated_at = now()
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
class ChannelSummary:
    """A channel as a list shows it."""

    name: ChannelName
    title: str | None
    last_activity_at: datetime | None
    last_seq: int


class ChannelRepository:
    """Reads and names channels.

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, tenant: uuid.UUID, *, changed_within_s: float | None = None, limit: int = 200
    ) -> list[ChannelSummary]:
        """A tenant's channels, most recently active first; only those changed within some seconds, where given."""
        values = {"tenant": tenant, "within": changed_within_s, "limit": limit}
        async with self._database.single() as connection:
            rows = (await connection.execute(_LIST, values)).all()
        return [
            ChannelSummary(ChannelName.stored(row.channel_name), row.title, row.last_activity_at, row.last_seq)
            for row in rows
        ]

    async def set_title(self, tenant: uuid.UUID, channel: ChannelName, title: str | None) -> None:
        """Name a channel for people, making it where it is new."""
        async with self._database.single() as connection:
            await connection.execute(_SET_TITLE, {**_row(tenant, channel), "title": title})

    async def set_inbound(self, tenant: uuid.UUID, channel: ChannelName, inbound: Inbound | None) -> None:
        """Say whether a channel stays attached for what others publish on it, making it where it is new.

        Args:
            tenant: whose channel.
            channel: which.
            inbound: the types to accept from clients that nobody vouches for; None to close it.
        """
        values = {"on": inbound is not None, "types": None if inbound is None else json.dumps(inbound)}
        async with self._database.single() as connection:
            await connection.execute(_SET_INBOUND, {**_row(tenant, channel), **values})

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


def _types(stored: object) -> Inbound:
    """Types as stored; a channel that was opened before release 0211, or in SQL by hand, accepts all."""
    return tuple(map(str, stored)) if isinstance(stored, list) else EVERY_TYPE


def _row(tenant: uuid.UUID, channel: ChannelName) -> dict[str, object]:
    return {"tenant": tenant, "name": str(channel), "type": channel.type.value, "entity": channel.entity_id}
