"""Tenants, people, sign-in sessions and API keys. Secrets come and go as SHA-256 only."""

import uuid
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from realtime_ui.core.principals import ApiKey, Person, Role, Scope
from realtime_ui.persistence.database import Database

_PERSON = """
    SELECT {session} AS session_id, p.id, p.name, p.email, m.role, t.id AS tenant, t.name AS tenant_name,
           t.id = (SELECT o.id FROM tenants o WHERE :operator IN ('', o.name) ORDER BY o.created_at, o.id LIMIT 1)
           AS operator_tenant
    FROM people p JOIN memberships m ON m.person_id = p.id JOIN tenants t ON t.id = m.tenant_id {rest}
"""
_PERSON_BY_TOKEN = text(
    _PERSON.format(
        session="s.id",
        rest="JOIN sign_in_sessions s ON s.person_id = p.id AND s.tenant_id = t.id"
        " WHERE s.token_hash = :hash AND s.expires_at > now()",
    )
)
_PERSON_BY_ID = text(_PERSON.format(session="p.id", rest="WHERE p.id = :id AND t.id = :tenant"))
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
_KEY_BY_ID = text(
    "SELECT id, tenant_id, name, scopes FROM api_keys WHERE id = :id AND tenant_id = :tenant AND revoked_at IS NULL"
)
_ADD_TENANT = text("INSERT INTO tenants (id, name) VALUES (:id, :name)")
_ADD_PERSON = text("INSERT INTO people (id, email, name, password_hash) VALUES (:id, :email, :name, :hash)")
_JOIN = text("INSERT INTO memberships (tenant_id, person_id, role) VALUES (:tenant, :person, :role)")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is checked against."""

    person: uuid.UUID
    tenant: uuid.UUID
    password_hash: str


async def insert_person(
    connection: AsyncConnection, tenant: uuid.UUID | str, email: str, name: str, password_hash: str, role: Role
) -> uuid.UUID:
    """Insert a person who is new and their membership, in the caller's transaction; returns their id.

    Args:
        connection: in a transaction.
        tenant: the tenant's id, or the name of a new one, which is inserted too.
        email: the person's address.
        name: the person's name.
        password_hash: of their password.
        role: what they are in the tenant.
    """
    person = uuid.uuid4()
    if isinstance(tenant, str):
        name_of_new, tenant = tenant, uuid.uuid4()
        await connection.execute(_ADD_TENANT, {"id": tenant, "name": name_of_new})
    await connection.execute(_ADD_PERSON, {"id": person, "email": email, "name": name, "hash": password_hash})
    await connection.execute(_JOIN, {"tenant": tenant, "person": person, "role": role.value})
    return person


class PeopleRepository:
    """Reads and writes people, their sessions and keys.

    Args:
        database: where they stand.
        operator_tenant: the name of the tenant whose admins operate the server; "" for the oldest one.
    """

    def __init__(self, database: Database, operator_tenant: str = "") -> None:
        self._database = database
        self._operator_tenant = operator_tenant

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
            return await insert_person(connection, tenant_name, email, name, password_hash, Role.ADMIN)

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
        return await self._person(_PERSON_BY_TOKEN, hash=token_hash)

    async def person_by_id(self, tenant: uuid.UUID, person: uuid.UUID) -> Person | None:
        """A tenant's person, whether signed in or not; their own id stands for that of the session."""
        return await self._person(_PERSON_BY_ID, tenant=tenant, id=person)

    async def _person(self, query: TextClause, **values: object) -> Person | None:
        async with self._database.single() as connection:
            row = (await connection.execute(query, {**values, "operator": self._operator_tenant})).first()
        if row is None:
            return None
        return Person(
            row.id,
            row.tenant,
            row.tenant_name,
            row.name,
            row.email,
            Role(row.role),
            row.session_id,
            bool(row.operator_tenant),
        )

    async def add_key(self, tenant: uuid.UUID, name: str, secret_hash: str, scopes: frozenset[Scope]) -> uuid.UUID:
        """Store a key; returns its id."""
        key = uuid.uuid4()
        values = {"id": key, "tenant": tenant, "name": name, "hash": secret_hash, "scopes": sorted(scopes)}
        async with self._database.single() as connection:
            await connection.execute(_ADD_KEY, values)
        return key

    async def key_by_hash(self, secret_hash: str) -> ApiKey | None:
        """The key with that secret, unless revoked."""
        return await self._key(_KEY_BY_HASH, hash=secret_hash)

    async def key_by_id(self, tenant: uuid.UUID, key: uuid.UUID) -> ApiKey | None:
        """A tenant's key, unless revoked."""
        return await self._key(_KEY_BY_ID, tenant=tenant, id=key)

    async def _key(self, query: TextClause, **values: object) -> ApiKey | None:
        async with self._database.single() as connection:
            row = (await connection.execute(query, values)).first()
        return None if row is None else ApiKey(row.id, row.tenant_id, row.name, frozenset(map(Scope, row.scopes)))
