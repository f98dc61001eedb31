"""Tenants, people, their memberships and sign-in sessions, and API keys."""

from alembic import op

revision = "0204"
down_revision = "0203"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE tenants (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE people (
    id UUID PRIMARY KEY,
    email TEXT NOT NULL CONSTRAINT people_email_key UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE memberships (
    tenant_id UUID NOT NULL REFERENCES tenants(id),
    person_id UUID NOT NULL REFERENCES people(id),
    role TEXT NOT NULL CONSTRAINT memberships_role_check CHECK (role IN ('member', 'admin')),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, person_id)
);
CREATE INDEX ix_memberships_person_id ON memberships (person_id);
CREATE TABLE sign_in_sessions (
    id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES people(id),
    tenant_id UUID NOT NULL REFERENCES tenants(id),
    token_hash TEXT NOT NULL CONSTRAINT sign_in_sessions_token_hash_key UNIQUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX ix_sign_in_sessions_person_id ON sign_in_sessions (person_id);
CREATE TABLE api_keys (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenants(id),
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL CONSTRAINT api_keys_secret_hash_key UNIQUE,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    revoked_at TIMESTAMPTZ
);
CREATE INDEX ix_api_keys_tenant_id ON api_keys (tenant_id);
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for table in ("api_keys", "sign_in_sessions", "memberships", "people", "tenants"):
        op.execute(f"DROP TABLE {table}")
