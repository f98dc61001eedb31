"""Brings a database to the newest revision, with the same Alembic files as the command line."""

from pathlib import Path

from alembic.config import Config

from alembic import command
from realtime_ui.persistence.database import errors_translated

ROOT = Path(__file__).parents[2]


def alembic_config(url: str) -> Config:
    """The project's Alembic configuration, pointed at `url`."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate upwards to `revision`.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    with errors_translated():
        command.upgrade(alembic_config(url), revision)
