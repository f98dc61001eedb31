"""Tenants, people, sign-in sessions and API keys. Secrets come and go as SHA-256 only."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from realtime_ui.core.principals import ApiKey, Person, Role, Scope
from realtime_ui.persistence.database import Database

_PERSON_BY_TOKEN = text("""
    SELECT s.id AS session_id, p.id, p.name, p.email, m.role, t.id AS tenant, t.name AS tenant_name
    FROM sign_in_sessions s
    JOIN people p ON p.id = s.person_id
    JOIN memberships m ON m.person_id = p.id AND m.tenant_id = s.tenant_id
    JOIN tenants t ON t.id = s.tenant_id
    WHERE s.token_hash = :hash AND s.expires_at > now()
""")
_CREDENTIALS = text("""
    SELECT p.id, p.password_hash, m.tenant_id FROM people p JOIN memberships m ON m.person_id = p.id
    WHERE p.email = :email ORDER BY m.created_at LIMIT 1
""")
_OPEN_SESSION = text("""
    INSERT INTO sign_in_sessions (id, person_id, tenant_id, token_hash, expires_at)
    VALUES (:id, :person, :tenant, :hash, now() + make_interval(days => :days))
""")
_ADD_KEY = text(
    "INSERT INTO api_keys (id, tenant_id, name, secret_hash, scopes) VALUES (:id, :tenant, :name, :hash, :scopes)"
)
_KEY_BY_HASH = text("SELECT id, tenant_id, name, scopes FROM api_keys WHERE secret_hash = :hash AND revoked_at IS NULL")
_ADD_PERSON = text("INSERT INTO people (id, email, name, password_hash) VALUES (:id, :email, :name, :hash)")
_JOIN = text("""
    INSERT INTO memberships (tenant_id, person_id, role) VALUES (:tenant, :person, :role)
    ON CONFLICT (tenant_id, person_id) DO UPDATE SET role = excluded.role
""")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is checked against."""

    person: uuid.UUID
    tenant: uuid.UUID
    password_hash: str


class PeopleRepository:
    """Reads and writes people, their sessions and keys.

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def any_person(self) -> bool:
        """Whether anybody can sign in at all."""
        async with self._database.single() as connection:
            return bool((await connection.execute(text("SELECT EXISTS (SELECT 1 FROM people)"))).scalar())

    async def add_first_person(self, tenant_name: str, email: str, name: str, password_hash: str) -> uuid.UUID | None:
        """Make the first tenant and its admin; None when somebody was faster."""
        async with self._database.transaction() as connection:
            await connection.execute(text("LOCK TABLE people IN EXCLUSIVE MODE"))
            if (await connection.execute(text("SELECT EXISTS (SELECT 1 FROM people)"))).scalar():
                return None
            return await self._add(connection, tenant_name, email, name, password_hash, Role.ADMIN)

    async def add_person(self, tenant_name: str, email: str, name: str, password_hash: str, role: Role) -> uuid.UUID:
        """Make a person a member of the tenant of that name, making either where it is new.

        A person who is there keeps their password and name.
        """
        async with self._database.transaction() as connection:
            return await self._add(connection, tenant_name, email, name, password_hash, role)

    async def _add(
        self, connection: AsyncConnection, tenant_name: str, email: str, name: str, password_hash: str, role: Role
    ) -> uuid.UUID:
        tenant = await self._tenant(connection, tenant_name)
        person: uuid.UUID | None = (
            await connection.execute(text("SELECT id FROM people WHERE email = :email"), {"email": email})
        ).scalar()
        if person is None:
            person = uuid.uuid4()
            values = {"id": person, "email": email, "name": name, "hash": password_hash}
            await connection.execute(_ADD_PERSON, values)
        await connection.execute(_JOIN, {"tenant": tenant, "person": person, "role": role.value})
        return person

    async def _tenant(self, connection: AsyncConnection, name: str) -> uuid.UUID:
        query = text("SELECT id FROM tenants WHERE name = :name ORDER BY created_at LIMIT 1")
        found: uuid.UUID | None = (await connection.execute(query, {"name": name})).scalar()
        if found is None:
            found = uuid.uuid4()
            await connection.execute(
                text("INSERT INTO tenants (id, name) VALUES (:id, :name)"), {"id": found, "name": name}
            )
        return found

    async def tenants(self) -> list[tuple[uuid.UUID, str]]:
        """All tenants with their names, oldest first."""
        async with self._database.single() as connection:
            rows = (await connection.execute(text("SELECT id, name FROM tenants ORDER BY created_at"))).all()
        return [(row.id, row.name) for row in rows]

    async def credentials(self, email: str) -> Credentials | None:
        """What to check a password against, with the person's oldest tenant."""
        async with self._database.single() as connection:
            row = (await connection.execute(_CREDENTIALS, {"email": email})).first()
        return None if row is None else Credentials(row.id, row.tenant_id, row.password_hash)

    async def set_password(self, person: uuid.UUID, password_hash: str) -> None:
        """Replace a person's password hash."""
        query = text("UPDATE people SET password_hash = :hash WHERE id = :id")
        async with self._database.single() as connection:
            await connection.execute(query, {"id": person, "hash": password_hash})

    async def open_session(self, person: uuid.UUID, tenant: uuid.UUID, token_hash: str, *, days: int) -> None:
        """Remember a signed-in browser for `days` days, and forget the expired ones."""
        values = {"id": uuid.uuid4(), "person": person, "tenant": tenant, "hash": token_hash, "days": days}
        async with self._database.transaction() as connection:
            await connection.execute(text("DELETE FROM sign_in_sessions WHERE expires_at < now()"))
            await connection.execute(_OPEN_SESSION, values)

    async def close_session(self, session_id: uuid.UUID) -> None:
        """Forget a signed-in browser."""
        async with self._database.single() as connection:
            await connection.execute(text("DELETE FROM sign_in_sessions WHERE id = :id"), {"id": session_id})

    async def person_by_token(self, token_hash: str) -> Person | None:
        """Who a cookie's token belongs to, while the session lasts and the membership stands."""
        async with self._database.single() as connection:
            row = (await connection.execute(_PERSON_BY_TOKEN, {"hash": token_hash})).first()
        if row is None:
            return None
        return Person(row.id, row.tenant, row.tenant_name, row.name, row.email, Role(row.role), row.session_id)

    async def add_key(self, tenant: uuid.UUID, name: str, secret_hash: str, scopes: frozenset[Scope]) -> uuid.UUID:
        """Store a key; returns its id."""
        key = uuid.uuid4()
        values = {"id": key, "tenant": tenant, "name": name, "hash": secret_hash, "scopes": sorted(scopes)}
        async with self._database.single() as connection:
            await connection.execute(_ADD_KEY, values)
        return key

    async def has_key(self, tenant: uuid.UUID) -> bool:
        """Whether the tenant ever had a key."""
        query = text("SELECT EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = :tenant)")
        async with self._database.single() as connection:
            return bool((await connection.execute(query, {"tenant": tenant})).scalar())

    async def key_by_hash(self, secret_hash: str) -> ApiKey | None:
        """The key with that secret, unless revoked."""
        async with self._database.single() as connection:
            row = (await connection.execute(_KEY_BY_HASH, {"hash": secret_hash})).first()
        return None if row is None else ApiKey(row.id, row.tenant_id, row.name, frozenset(map(Scope, row.scopes)))
