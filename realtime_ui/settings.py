"""One frozen, validated Settings, read from the environment (and a `.env` file) once a process."""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def default_data_dir() -> Path:
    """Where the embedded database and the secret key live: /var/lib for root, else the user's data folder."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/realtime-ui")
    return Path(platformdirs.user_data_dir("realtime-ui"))


class Settings(BaseSettings):
    """Every setting there is; each field's name in capitals is its environment variable."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    port: int = Field(3000, ge=1, le=65535, description="The one port that pages, API and sockets share.")
    host: str = Field("127.0.0.1", description="The address to listen on; 0.0.0.0 for every interface.")
    public_url: str = Field("", description="The address browsers use; default http://localhost:PORT.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further origins, separated by commas, that may open sockets and send forms."
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Embedded database and secret key.")
    database_url: str = Field("", description="postgresql+psycopg://…; empty starts the embedded PostgreSQL.")
    database_pool: int = Field(10, ge=2, le=100, description="Connections per worker.")
    secret_key: str = Field("", description="Signs messages on the wire; empty: kept in DATA_DIR/secret_key.")
    setup_code: str = Field("", description="Given by the parent to its workers while no person exists.")

    realtime_provider: str = Field("memory", description="Which provider carries messages between workers.")
    frame_window_ms: int = Field(25, ge=0, le=1000, description="Messages within it share one frame.")
    gap_wait_ms: int = Field(20, ge=0, le=5000, description="How long a hole waits for a straggler.")
    sweep_interval_s: float = Field(2.0, gt=0, le=60, description="How often heads are compared with the log.")
    subscriptions_per_socket: int = Field(50, ge=1, le=1000, description="Channels one tab may watch.")

    sign_in_days: int = Field(30, ge=1, le=365, description="How long a sign-in session lasts.")
    max_body_bytes: int = Field(4_000_000, ge=1000, description="The largest HTTP body.")
    emit_rate_per_key: int = Field(10_000, ge=1, description="Events a second that one key may emit.")

    log_format: Literal["", "json", "text"] = Field("", description="Empty: text on a terminal, else json.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least that is logged.")

    @field_validator("log_level", mode="before")
    @classmethod
    def _capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("database_url", mode="after")
    @classmethod
    def _name_driver(cls, value: str) -> str:
        """Accept the plain form of the URL that hosting services hand out."""
        for plain in ("postgresql://", "postgres://"):
            if value.startswith(plain):
                return "postgresql+psycopg://" + value.removeprefix(plain)
        if value and not value.startswith("postgresql+psycopg://"):
            raise ValueError("DATABASE_URL must begin with postgresql://; PostgreSQL is the only database.")
        return value

    @property
    def url(self) -> str:
        """The address browsers use, without a trailing slash."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers reach the app over TLS, so that cookies may demand it."""
        return urlsplit(self.url).scheme == "https"

    @property
    def secret_file(self) -> Path:
        """Where a secret key that nobody set is kept."""
        return self.data_dir / "secret_key"


@cache
def load_settings() -> Settings:
    """The process's settings; a wrong one raises pydantic's ValidationError naming it."""
    return Settings()
