"""Brings a database to the newest revision, with the same Alembic files as the command line."""

from pathlib import Path

from alembic.config import Config

from alembic import command
from realtime_ui.persistence.database import errors_translated

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "alembic", PACKAGE.parent / "alembic")
"""Where the migrations are: inside an installed package, beside it in a clone."""


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the database at `url`."""
    config = Config()
    config.set_main_option("script_location", str(next(folder for folder in FOLDERS if folder.is_dir())))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate upwards to `revision`.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    with errors_translated():
        command.upgrade(alembic_config(url), revision)
