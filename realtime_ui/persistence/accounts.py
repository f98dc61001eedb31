"""Administration of tenants, people, keys and sessions: what the command line lists and changes.

Triggers (revision 0211) record each change, by which open connections end within seconds.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from realtime_ui.core.principals import Role, Scope
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.people import insert_person

_TENANTS = text("""
    SELECT t.id, t.name, t.created_at,
           (SELECT count(*) FROM memberships m WHERE m.tenant_id = t.id) AS people,
           (SELECT count(*) FROM api_keys k WHERE k.tenant_id = t.id AND k.revoked_at IS NULL) AS keys
    FROM tenants t ORDER BY t.created_at, t.id
""")
_PEOPLE = text("""
    SELECT p.id, p.email, p.name, m.role, t.id AS tenant, t.name AS tenant_name, m.created_at
    FROM people p JOIN memberships m ON m.person_id = p.id JOIN tenants t ON t.id = m.tenant_id
    WHERE (:email = '' OR p.email = :email) AND (:tenant = '' OR t.name = :tenant)
    ORDER BY t.created_at, t.id, p.email
""")
_KEYS = text("""
    SELECT k.id, k.name, k.scopes, t.name AS tenant_name, k.created_at, k.revoked_at
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    WHERE (:tenant = '' OR t.name = :tenant)
    ORDER BY t.created_at, t.id, k.created_at, k.id
""")
_SESSIONS = text("""
    SELECT s.id, p.email, t.name AS tenant_name, s.created_at, s.expires_at
    FROM sign_in_sessions s JOIN people p ON p.id = s.person_id JOIN tenants t ON t.id = s.tenant_id
    WHERE (:email = '' OR p.email = :email) AND s.expires_at > now()
    ORDER BY s.created_at, s.id
""")
_SET_ROLE = text("UPDATE memberships SET role = :role WHERE tenant_id = :tenant AND person_id = :person")
_LEAVE = text("DELETE FROM memberships WHERE tenant_id = :tenant AND person_id = :person")
_END_ALL_OF_TENANT = text("DELETE FROM sign_in_sessions WHERE person_id = :person AND tenant_id = :tenant")
_END_ALL = text("DELETE FROM sign_in_sessions WHERE person_id = :person")
_END_SESSION = text("DELETE FROM sign_in_sessions WHERE id = :id")
_DELETE_PERSON = text(
    "DELETE FROM people p WHERE id = :person AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.person_id = p.id)"
)
_SET_PASSWORD = text("UPDATE people SET password_hash = :hash WHERE id = :person")
_REVOKE = text("UPDATE api_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL")


@dataclass(frozen=True, slots=True)
class TenantEntry:
    """A tenant, with how many people and valid keys it has."""

    id: uuid.UUID
    name: str
    created_at: datetime
    people: int
    keys: int


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """A person in a tenant."""

    id: uuid.UUID
    email: str
    name: str
    role: Role
    tenant: uuid.UUID
    tenant_name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key, without its secret."""

    id: uuid.UUID
    name: str
    scopes: frozenset[Scope]
    tenant_name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A browser that is signed in."""

    id: uuid.UUID
    email: str
    tenant_name: str
    created_at: datetime
    expires_at: datetime


class AccountRepository:
    """Lists and changes accounts.

    Args:
        database: where they are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tenants(self) -> list[TenantEntry]:
        """All tenants, oldest first."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_TENANTS)).all()
        return [TenantEntry(row.id, row.name, row.created_at, row.people, row.keys) for row in rows]

    async def people(self, *, email: str = "", tenant: str = "") -> list[PersonEntry]:
        """Everybody, or those with an address or in a tenant: one entry for each tenant that they are in."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_PEOPLE, {"email": email, "tenant": tenant})).all()
        return [
            PersonEntry(row.id, row.email, row.name, Role(row.role), row.tenant, row.tenant_name, row.created_at)
            for row in rows
        ]

    async def keys(self, *, tenant: str = "") -> list[KeyEntry]:
        """All keys, or those of a tenant, revoked ones among them."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_KEYS, {"tenant": tenant})).all()
        return [
            KeyEntry(
                row.id,
                row.name,
                frozenset(map(Scope, row.scopes)),
                row.tenant_name,
                row.created_at,
                row.revoked_at,
            )
            for row in rows
        ]

    async def sessions(self, *, email: str = "") -> list[SessionEntry]:
        """All sessions that last, or those of one person."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_SESSIONS, {"email": email})).all()
        return [SessionEntry(row.id, row.email, row.tenant_name, row.created_at, row.expires_at) for row in rows]

    async def add_person(
        self, tenant: uuid.UUID | str, email: str, name: str, password_hash: str, role: Role
    ) -> uuid.UUID:
        """Store a person who is new, as a member of a tenant; returns their id.

        Args:
            tenant: the tenant's id, or the name of a new one, which is stored in the same transaction.
            email: the person's address.
            name: the person's name.
            password_hash: of their password.
            role: what they are in the tenant.
        """
        async with self._database.transaction() as connection:
            return await insert_person(connection, tenant, email, name, password_hash, role)

    async def set_role(self, person: PersonEntry, role: Role) -> None:
        """Change what somebody is in a tenant."""
        values = {"tenant": person.tenant, "person": person.id, "role": role.value}
        async with self._database.single() as connection:
            await connection.execute(_SET_ROLE, values)

    async def remove(self, person: PersonEntry) -> None:
        """Take somebody out of a tenant, with their sessions there; who is in no other one is forgotten."""
        values = {"tenant": person.tenant, "person": person.id}
        async with self._database.transaction() as connection:
            await connection.execute(_END_ALL_OF_TENANT, values)
            await connection.execute(_LEAVE, values)
            await connection.execute(_DELETE_PERSON, {"person": person.id})

    async def set_password(self, person: uuid.UUID, password_hash: str) -> None:
        """Replace a password, and end all sessions that the former one opened."""
        async with self._database.transaction() as connection:
            await connection.execute(_SET_PASSWORD, {"person": person, "hash": password_hash})
            await connection.execute(_END_ALL, {"person": person})

    async def end_session(self, session: uuid.UUID) -> bool:
        """End a session; False where there was none."""
        async with self._database.single() as connection:
            return bool((await connection.execute(_END_SESSION, {"id": session})).rowcount)

    async def end_sessions(self, person: uuid.UUID) -> int:
        """End all sessions of a person; returns how many there were."""
        async with self._database.single() as connection:
            return (await connection.execute(_END_ALL, {"person": person})).rowcount

    async def revoke_key(self, key: uuid.UUID) -> None:
        """Make a key invalid for good."""
        async with self._database.single() as connection:
            await connection.execute(_REVOKE, {"id": key})
