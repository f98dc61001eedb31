"""The tables. The first four are the specification's; what the design adds stands apart in each."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, INT8MULTIRANGE, JSONB, TSVECTOR
from sqlmodel import Field, SQLModel

CHANNEL_TYPES = "channel_type IN ('project', 'session', 'organization', 'user', 'system')"


def time_column(*, default: bool = False, nullable: bool = True) -> Any:
    """A TIMESTAMPTZ column, with DEFAULT now() where asked."""
    column = Column(DateTime(timezone=True), nullable=nullable, server_default=text("now()") if default else None)
    return Field(default=None, sa_column=column)


class RealtimeChannel(SQLModel, table=True):
    """A tenant's channel: its name, type, title and last activity."""

    __tablename__ = "realtime_channels"
    __table_args__ = (
        CheckConstraint(CHANNEL_TYPES, name="realtime_channels_channel_type_check"),
        Index("idx_realtime_channels_name", "tenant_id", "channel_name", unique=True),
        Index(
            "idx_realtime_channels_listed",
            "tenant_id",
            "channel_type",
            text("coalesce(last_activity_at, created_at) DESC"),
            text("channel_name DESC"),
        ),
        Index(
            "idx_realtime_channels_inbound",
            "tenant_id",
            postgresql_where=text("config @> '{\"inbound\": true}'::jsonb"),
        ),
    )

    id: uuid.UUID = Field(primary_key=True)
    tenant_id: uuid.UUID
    channel_name: str = Field(sa_type=Text)
    channel_type: str | None = Field(default=None, sa_type=Text)
    entity_id: uuid.UUID | None = None
    config: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSONB, nullable=True, server_default=text("'{}'::jsonb"))
    )
    is_active: bool | None = Field(default=True, nullable=True, sa_column_kwargs={"server_default": text("true")})
    last_activity_at: datetime | None = time_column()
    created_at: datetime | None = time_column()
    updated_at: datetime | None = time_column()
    title: str | None = Field(default=None, sa_type=Text)


class RealtimeChannelSearch(SQLModel, table=True):
    """The words by which a channel is found, kept by a trigger, and when its title was last set."""

    __tablename__ = "realtime_channel_search"
    __table_args__ = (
        Index(
            "idx_realtime_channel_search_words",
            "words",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": "256"},
        ),
        Index(
            "idx_realtime_channel_search_renamed",
            "renamed_at",
            postgresql_where=text("renamed_at IS NOT NULL"),
        ),
    )

    channel_id: uuid.UUID = Field(primary_key=True, foreign_key="realtime_channels.id")
    tenant_id: uuid.UUID
    words: Any = Field(sa_column=Column(TSVECTOR, nullable=False))
    renamed_at: datetime | None = time_column()


class RealtimeEvent(SQLModel, table=True):
    """One event on one channel, numbered."""

    __tablename__ = "realtime_events_log"
    __table_args__ = (
        Index("idx_realtime_events_log_channel", "channel_id", "published_at"),
        UniqueConstraint("channel_id", "seq", name="realtime_events_log_seq_key"),
        UniqueConstraint("channel_id", "event_id", name="realtime_events_log_event_id_key"),
    )

    id: uuid.UUID = Field(primary_key=True)
    tenant_id: uuid.UUID
    channel_id: uuid.UUID | None = Field(default=None, foreign_key="realtime_channels.id")
    event_type: str = Field(sa_type=Text)
    event_data: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    published_at: datetime | None = time_column(default=True)
    seq: int | None = Field(default=None, sa_type=BigInteger)
    event_id: str | None = Field(default=None, sa_type=Text)
    emitted_by: str | None = Field(default=None, sa_type=Text)


class RealtimeConnectionStat(SQLModel, table=True):
    """One connection's time on one channel."""

    __tablename__ = "realtime_connection_stats"
    __table_args__ = (
        Index(
            "idx_realtime_connection_stats_active",
            "disconnected_at",
            postgresql_where=text("disconnected_at IS NULL"),
        ),
        Index("idx_realtime_connection_stats_tenant", "tenant_id", "disconnected_at"),
        Index(
            "idx_realtime_connection_stats_worker",
            "worker",
            postgresql_where=text("disconnected_at IS NULL"),
        ),
        Index(
            "idx_realtime_connection_stats_gone",
            "disconnected_at",
            postgresql_where=text("disconnected_at IS NOT NULL"),
        ),
    )

    id: uuid.UUID = Field(primary_key=True)
    tenant_id: uuid.UUID
    channel_id: uuid.UUID | None = Field(default=None, foreign_key="realtime_channels.id")
    connection_id: str = Field(sa_type=Text)
    client_info: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    connected_at: datetime | None = time_column(default=True)
    disconnected_at: datetime | None = time_column()
    last_heartbeat_at: datetime | None = time_column()
    message_count: int | None = Field(default=0, nullable=True, sa_column_kwargs={"server_default": text("0")})
    created_at: datetime | None = time_column(default=True)
    channel_name: str | None = Field(default=None, sa_type=Text)
    worker: str | None = Field(default=None, sa_type=Text)
    opened_at: datetime | None = time_column()
    counted_before: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    latencies_ms: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False, server_default=text("'{}'")))
    closing: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})


class RealtimeHeartbeatConfig(SQLModel, table=True):
    """How often a channel type's connections beat, and after how long they count as gone (ms)."""

    __tablename__ = "realtime_heartbeat_config"
    __table_args__ = (
        CheckConstraint(CHANNEL_TYPES, name="realtime_heartbeat_config_channel_type_check"),
        UniqueConstraint("channel_type", name="realtime_heartbeat_config_channel_type_key"),
    )

    id: uuid.UUID = Field(primary_key=True)
    channel_type: str | None = Field(default=None, sa_type=Text)
    heartbeat_interval_ms: int | None = Field(
        default=30000, nullable=True, sa_column_kwargs={"server_default": text("30000")}
    )
    timeout_ms: int | None = Field(default=90000, nullable=True, sa_column_kwargs={"server_default": text("90000")})
    created_at: datetime | None = time_column()
    updated_at: datetime | None = time_column()


class RealtimeWorker(SQLModel, table=True):
    """A worker's lease: while it is renewed, the connections that name it are open."""

    __tablename__ = "realtime_workers"

    id: str = Field(primary_key=True, sa_type=Text)
    started_at: datetime = time_column(nullable=False)
    seen_at: datetime = time_column(nullable=False)
    state: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class RealtimeHealthSample(SQLModel, table=True):
    """How one worker did in one minute."""

    __tablename__ = "realtime_health_samples"

    minute: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    worker: str = Field(primary_key=True, sa_type=Text)
    sockets: int
    streams: int
    stale: int
    hub_lag_ms: int
    refused: int
    dropped: int


class RealtimeTrafficSample(SQLModel, table=True):
    """What a tenant's connections on one channel type had from one worker in one minute."""

    __tablename__ = "realtime_traffic_samples"

    minute: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    tenant_id: uuid.UUID = Field(primary_key=True)
    channel_type: str = Field(primary_key=True, sa_type=Text)
    worker: str = Field(primary_key=True, sa_type=Text)
    connections: int
    messages: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    missed: int


class RealtimeChannelHead(SQLModel, table=True):
    """Where a channel's log stands; narrow, since every append locks and rewrites its row.

    `epoch_began_at` is None for a channel's first epoch.
    """

    __tablename__ = "realtime_channel_heads"
    __table_args__ = (
        Index(
            "idx_realtime_channel_heads_epoch_began",
            "epoch_began_at",
            postgresql_where=text("epoch_began_at IS NOT NULL"),
        ),
    )

    channel_id: uuid.UUID = Field(primary_key=True, foreign_key="realtime_channels.id")
    epoch: uuid.UUID
    epoch_began_at: datetime | None = time_column()
    last_seq: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    first_seq: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})
    published_seq: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    published_runs: Any = Field(sa_column=Column(INT8MULTIRANGE, nullable=False, server_default=text("'{}'")))


class RealtimeChannelField(SQLModel, table=True):
    """A field's newest value among the messages that the log no longer keeps, with the seq that set it.

    `bytes` is the size of a value that was too large to keep whole; `value` is then the beginning of its JSON text.
    """

    __tablename__ = "realtime_channel_fields"

    channel_id: uuid.UUID = Field(primary_key=True, foreign_key="realtime_channels.id")
    field: str = Field(primary_key=True, sa_type=Text)
    value: Any = Field(sa_column=Column(JSONB, nullable=False))
    seq: int = Field(sa_type=BigInteger)
    bytes: int | None = None


class RealtimeCurrentField(SQLModel, table=True):
    """A field's newest value among all messages up to the fold's seq; columns as in `realtime_channel_fields`."""

    __tablename__ = "realtime_current_fields"

    channel_id: uuid.UUID = Field(primary_key=True, foreign_key="realtime_channels.id")
    field: str = Field(primary_key=True, sa_type=Text)
    value: Any = Field(sa_column=Column(JSONB, nullable=False))
    seq: int = Field(sa_type=BigInteger)
    bytes: int | None = None


class RealtimeFieldFold(SQLModel, table=True):
    """How far a channel's current fields have been folded; `more` says that some are beyond the bounds."""

    __tablename__ = "realtime_field_folds"

    channel_id: uuid.UUID = Field(primary_key=True, foreign_key="realtime_channels.id")
    epoch: uuid.UUID
    seq: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    more: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})


class RealtimeTenantChannels(SQLModel, table=True):
    """How many channels a tenant has; triggers keep it."""

    __tablename__ = "realtime_tenant_channels"

    tenant_id: uuid.UUID = Field(primary_key=True)
    channels: int = Field(sa_type=BigInteger)


class RealtimeLease(SQLModel, table=True):
    """What only one worker does at a time, which one, and until when."""

    __tablename__ = "realtime_leases"

    name: str = Field(primary_key=True, sa_type=Text)
    holder: str = Field(sa_type=Text)
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
