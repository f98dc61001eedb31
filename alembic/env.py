"""Runs the migrations: plain Alembic over the tables of `realtime_ui.persistence.tables` and `tables_accounts`.

The address comes from the caller's config (`sqlalchemy.url`) or, on the command line, from DATABASE_URL.
"""

import sqlalchemy as sa
from sqlmodel import SQLModel

from alembic import context
from realtime_ui.persistence import tables, tables_accounts  # noqa: F401  (register the tables)
from realtime_ui.persistence.database import writable_session
from realtime_ui.settings import load_settings

# Held while migrating, so that two parents that start together migrate once; any fixed number does.
LOCK = 7_130_199

url = context.config.get_main_option("sqlalchemy.url") or load_settings().database_url
if not url:
    raise SystemExit("Set DATABASE_URL; only `python -m realtime_ui serve` starts the embedded database.")

if context.is_offline_mode():
    context.configure(url=url, target_metadata=SQLModel.metadata, literal_binds=True)
    context.run_migrations()
else:
    address = sa.make_url(url)
    engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args=writable_session(address))
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=SQLModel.metadata,
            compare_type=True,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
