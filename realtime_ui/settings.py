"""One frozen, validated Settings, read from the environment (and a `.env` file) once a process."""

import math
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from realtime_ui.core.channels import ChannelType

DEFAULT_RETENTION = 30.0
MAX_RETENTION = 36_500.0
MIN_SECRET = 16


def default_data_dir() -> Path:
    """Where the embedded database and the secret key live: /var/lib for root, else the user's data folder."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/realtime-ui")
    return Path(platformdirs.user_data_dir("realtime-ui"))


AddressPrivacy = Literal["full", "network", "none"]


class Settings(BaseSettings):
    """Every setting there is; each field's name in capitals is its environment variable."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    port: int = Field(3000, ge=1, le=65535, description="The one port that pages, API and sockets share.")
    host: str = Field("127.0.0.1", description="The address to listen on; 0.0.0.0 for every interface.")
    public_url: str = Field("", description="The address browsers use; default http://localhost:PORT.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further origins, separated by commas, that may open sockets and send forms."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further names or addresses, separated by commas, that browsers' requests may name as Host."
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1,::1", description="Proxies whose X-Forwarded-For is believed: addresses and networks, with commas."
    )
    data_dir: Path = Field(
        default_factory=default_data_dir, description="Embedded database, secret key, former builds."
    )
    database_url: str = Field(
        "",
        description="postgresql://…, with several hosts as …@A:5432,B:5432/name (the writable one is used);"
        " empty starts the embedded PostgreSQL.",
    )
    database_pool: int = Field(10, ge=2, le=100, description="Connections per worker.")
    secret_key: str = Field(
        "", description="Signs messages on the wire, at least 16 characters; empty: kept in DATA_DIR/secret_key."
    )
    setup_code: str = Field(
        "", description="Not for you to set: the parent gives it to workers while no person exists."
    )

    asset_days: float = Field(
        7, ge=0, le=365, description="How many days the scripts and styles of a former build are served."
    )

    workers: int = Field(1, ge=1, le=64, description="Worker processes; more than one need REDIS_URL.")
    realtime_provider: str = Field("memory", description="Which provider carries messages: see providers/factory.py.")

    redis_url: str = Field("", description="redis://… or rediss://…: for the provider redis, and for tabs' states.")

    ably_api_key: str = Field("", description="APP.KEY:SECRET, from the Ably dashboard; needs all capabilities.")
    ably_endpoint: str = Field("", description="A server other than Ably's own: HOST or HOST:PORT/.")
    ably_tls: bool = Field(True, description="Whether that server is reached over TLS.")
    ably_connection_channels: int = Field(200, ge=1, description="Channels that one connection may attach to.")
    ably_connection_rate: float = Field(50, gt=0, description="Messages a second that one connection may send or get.")

    pusher_app_id: str = Field("", description="The app's id, from the Pusher dashboard.")
    pusher_key: str = Field("", description="The app's key; browsers may know it.")
    pusher_secret: str = Field("", description="The app's secret.")
    pusher_cluster: str = Field("", description="The app's cluster, such as eu.")
    pusher_host: str = Field("", description="A server other than Pusher's own: HOST:PORT, in place of the cluster.")
    pusher_tls: bool = Field(True, description="Whether that server is reached over TLS.")
    pusher_rate: float = Field(500, gt=0, description="Messages a second that one worker may publish.")

    frame_window_ms: int = Field(25, ge=0, le=1000, description="Messages within it share one frame.")
    gap_wait_ms: int = Field(20, ge=0, le=5000, description="How long a hole waits for a straggler.")
    sweep_interval_s: float = Field(2.0, gt=0, le=60, description="How often heads are compared with the log.")
    subscriptions_per_socket: int = Field(50, ge=1, le=1000, description="Channels one tab may watch.")

    sockets_per_person: int = Field(200, ge=1, description="Pages that one person may have open, for each worker.")
    sockets_per_address: int = Field(
        100, ge=1, description="Pages that may be open from one address, or IPv6 /64, where nobody is signed in."
    )
    request_seconds: float = Field(30, gt=0, description="How long an HTTP request may take to arrive, its body too.")

    socket_queue_bytes: int = Field(
        1_000_000,
        ge=10_000,
        description="What may wait for one socket before it leaves its rooms and catches up later.",
    )

    stream_seconds: float = Field(600, ge=1, description="How long an SSE stream lasts, about, before it is resumed.")
    streams_per_person: int = Field(50, ge=1, description="SSE streams that one person may have open.")
    streams_per_key: int = Field(200, ge=1, description="SSE streams that one API key may have open.")
    streams_per_address: int = Field(500, ge=1, description="SSE streams that may be open from one address.")

    retention_days: str = Field(
        f"{DEFAULT_RETENTION:g}",
        description="How many days the log is kept: `30`, or by channel type `30,system=7,project=0`; 0 for ever.",
    )
    address_privacy: AddressPrivacy = Field(
        "network", description="How much of clients' network addresses is kept: full, network (/24, /48), none."
    )
    connection_stats_days: float = Field(7.0, gt=0, le=3650, description="How long rows of ended connections are kept.")
    operator_tenant: str = Field(
        "",
        description="The organization whose admins operate the server: heartbeats, health; empty: the oldest one.",
    )
    sign_in_days: int = Field(30, ge=1, le=365, description="How long a sign-in session lasts.")
    max_body_bytes: int = Field(4_000_000, ge=1000, description="The largest HTTP body.")
    emit_rate_per_key: int = Field(10_000, ge=1, description="Events a second that one key may emit.")
    post_rate_per_person: float = Field(
        10, gt=0, description="Events a second that one signed-in person may have stored; 12 times as many at once."
    )
    channels_per_tenant: int = Field(100_000, ge=1, description="Channels that one organization may have.")

    log_format: Literal["", "json", "text"] = Field("", description="Empty: text on a terminal, else json.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least that is logged.")

    @field_validator("log_level", mode="before")
    @classmethod
    def _capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("allowed_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("database_url", mode="after")
    @classmethod
    def _name_driver(cls, value: str) -> str:
        """Accept libpq's form of the URL, which hosting services hand out, and libpq's list of several hosts."""
        scheme, separator, rest = value.partition("://")
        if value and (not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg")):
            raise ValueError("DATABASE_URL must begin with postgresql://; PostgreSQL is the only database.")
        return f"postgresql+psycopg://{_hosts_in_query(rest)}" if value else value

    @field_validator("secret_key", mode="after")
    @classmethod
    def _check_secret(cls, value: str) -> str:
        if 0 < len(value) < MIN_SECRET:
            raise ValueError(f"it is too short; give it at least {MIN_SECRET} characters, best of all random ones.")
        return value

    @field_validator("retention_days", mode="after")
    @classmethod
    def _check_retention(cls, value: str) -> str:
        parse_retention(value)
        return value

    @property
    def retention(self) -> Mapping[ChannelType, float | None]:
        """How many days each channel type's log is kept; None for ever."""
        return parse_retention(self.retention_days)

    @property
    def url(self) -> str:
        """The address browsers use, without a trailing slash."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers reach the app over TLS, so that cookies may demand it."""
        return urlsplit(self.url).scheme == "https"

    @property
    def former_assets_dir(self) -> Path:
        """Where the scripts and styles of former builds are kept."""
        return self.data_dir / "assets"

    @property
    def secret_file(self) -> Path:
        """Where a secret key that nobody set is kept."""
        return self.data_dir / "secret_key"


def _hosts_in_query(address: str) -> str:
    """`user@A:1,B:2/name` as SQLAlchemy has it: `user@/name?host=A,B&port=1,2`. One host stays where it is."""
    before, _, query = address.partition("?")
    authority, _, name = before.partition("/")
    user, at, places = authority.rpartition("@")
    if "," not in places:
        return address
    found = [re.fullmatch(r"\[([^]]+)](?::(\d+))?|([^:]+)(?::(\d+))?", place) for place in places.split(",")]
    hosts = ",".join(each[1] or each[3] for each in found if each)
    ports = ",".join(each[2] or each[4] or "5432" for each in found if each)
    if not all(found):
        raise ValueError("DATABASE_URL names several hosts, and one of them is not HOST or HOST:PORT.")
    return f"{user}{at}/{name}?host={hosts}&port={ports}" + (f"&{query}" if query else "")


def parse_retention(text: str) -> Mapping[ChannelType, float | None]:
    """Read RETENTION_DAYS: days for all types, and `type=days` for single ones, separated by commas.

    Raises:
        ValueError: an unknown type, the same one twice, or no number of days.
    """
    given: dict[str, float | None] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        kind, equals, days = part.rpartition("=")
        kind = kind.strip()
        if equals and kind not in set(ChannelType):
            raise ValueError(f"{kind!r} is not a channel type; there are {', '.join(ChannelType)}.")
        if kind in given:
            raise ValueError(f"{text!r} says twice how long {kind or 'all types'} should be kept; say it once.")
        given[kind] = _days(days)
    default = given.get("", DEFAULT_RETENTION)
    return MappingProxyType({kind: given.get(kind, default) for kind in ChannelType})


def _days(text: str) -> float | None:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= MAX_RETENTION:
        raise ValueError(f"{text.strip()!r} is not a number of days from 0 (for ever) to {MAX_RETENTION:,.0f}.")
    return days or None


@cache
def load_settings() -> Settings:
    """The process's settings; a wrong one raises pydantic's ValidationError naming it."""
    return Settings()
