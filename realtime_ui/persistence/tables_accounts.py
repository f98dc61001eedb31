"""The tables of tenants, people, sign-in sessions and API keys; SQLModel classes that migrations are compared with."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from realtime_ui.persistence.tables import time_column


class Tenant(SQLModel, table=True):
    """Whose people, keys and channels belong together."""

    __tablename__ = "tenants"

    id: uuid.UUID = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    created_at: datetime | None = time_column(default=True, nullable=False)


class PersonRow(SQLModel, table=True):
    """Somebody who can sign in."""

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("email", name="people_email_key"),)

    id: uuid.UUID = Field(primary_key=True)
    email: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    password_hash: str = Field(sa_type=Text)
    created_at: datetime | None = time_column(default=True, nullable=False)


class Membership(SQLModel, table=True):
    """What a person is in a tenant."""

    __tablename__ = "memberships"
    __table_args__ = (CheckConstraint("role IN ('member', 'admin')", name="memberships_role_check"),)

    tenant_id: uuid.UUID = Field(primary_key=True, foreign_key="tenants.id")
    person_id: uuid.UUID = Field(primary_key=True, foreign_key="people.id", index=True)
    role: str = Field(sa_type=Text)
    created_at: datetime | None = time_column(default=True, nullable=False)


class SignInSession(SQLModel, table=True):
    """A browser that is signed in; the cookie's token is kept as a SHA-256 only."""

    __tablename__ = "sign_in_sessions"
    __table_args__ = (UniqueConstraint("token_hash", name="sign_in_sessions_token_hash_key"),)

    id: uuid.UUID = Field(primary_key=True)
    person_id: uuid.UUID = Field(foreign_key="people.id", index=True)
    tenant_id: uuid.UUID = Field(foreign_key="tenants.id")
    token_hash: str = Field(sa_type=Text)
    created_at: datetime | None = time_column(default=True, nullable=False)
    expires_at: datetime | None = time_column(nullable=False)


class ApiKeyRow(SQLModel, table=True):
    """A program's key; its secret is kept as a SHA-256 only."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("secret_hash", name="api_keys_secret_hash_key"),)

    id: uuid.UUID = Field(primary_key=True)
    tenant_id: uuid.UUID = Field(foreign_key="tenants.id", index=True)
    name: str = Field(sa_type=Text)
    secret_hash: str = Field(sa_type=Text)
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime | None = time_column(default=True, nullable=False)
    revoked_at: datetime | None = time_column()


class RealtimeAccessChange(SQLModel, table=True):
    """A person, session or key whose access changed; written by triggers, read by every worker."""

    __tablename__ = "realtime_access_changes"
    __table_args__ = (Index("idx_realtime_access_changes_changed_at", "changed_at"),)

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    subject: uuid.UUID
    changed_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()"))
    )
