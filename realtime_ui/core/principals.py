"""Who is asking: a person signed in to a tenant, or a program with an API key of one."""

import uuid
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person is in a tenant."""

    MEMBER = "member"
    ADMIN = "admin"


class Scope(StrEnum):
    """What an API key is for."""

    EMIT = "emit"
    READ = "read"
    TOKEN = "token"  # noqa: S105 -- the name of a scope
    """Lets its holder's pages in at the provider, for what its other scopes allow."""
    METRICS = "metrics"
    """Reads the server's metrics, which count all tenants together; only the command line gives it."""


TENANT_SCOPES = frozenset({Scope.EMIT, Scope.READ})
"""What a key gets that is made without naming scopes: all that stays inside its tenant."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person, in the tenant that they are signed in to."""

    id: uuid.UUID
    tenant: uuid.UUID
    tenant_name: str
    name: str
    email: str
    role: Role
    session_id: uuid.UUID
    operator_tenant: bool = False
    """Whether that tenant's admins operate the server."""

    @property
    def label(self) -> str:
        """Who they are, for the limits and the log lines that they cause."""
        return f"person:{self.id}"

    @property
    def stamp(self) -> str:
        """How the log names them as an event's emitter; see `core.emitters`."""
        return f"{self.label} {self.name}"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key, without its secret."""

    id: uuid.UUID
    tenant: uuid.UUID
    name: str
    scopes: frozenset[Scope]

    @property
    def label(self) -> str:
        """Which it is, for the limits and the log lines that it causes."""
        return f"key:{self.id}"

    @property
    def stamp(self) -> str:
        """How the log names it as an event's emitter; see `core.emitters`."""
        return f"{self.label} {self.name}"


Principal = Person | ApiKey
