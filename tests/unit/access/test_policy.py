"""Who may do what."""

import uuid
from dataclasses import replace

import pytest

from realtime_ui.access.policy import Action, lists, may, own_channels, require
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import NotAllowed, NotAuthenticated
from realtime_ui.core.principals import TENANT_SCOPES, ApiKey, Person, Principal, Role, Scope

HERE, ELSEWHERE = uuid.UUID(int=1), uuid.UUID(int=2)
ME = uuid.UUID(int=7)


def person(role: Role, tenant: uuid.UUID = HERE) -> Person:
    """A person of a tenant."""
    return Person(ME, tenant, "Northwind", "Ada", "ada@northwind.test", role, uuid.UUID(int=9))


def operator(role: Role) -> Person:
    """A person of the tenant that operates the server."""
    return replace(person(role), operator_tenant=True)


def key(*scopes: Scope, tenant: uuid.UUID = HERE) -> ApiKey:
    """A key of a tenant."""
    return ApiKey(uuid.UUID(int=8), tenant, "ci", frozenset(scopes))


PROJECT = "project:x"
TABLE: list[tuple[Principal, Action, str | None, bool]] = [
    (person(Role.MEMBER), Action.READ, PROJECT, True),
    (person(Role.MEMBER), Action.POST, "session:x", True),
    (person(Role.MEMBER), Action.LIST, None, True),
    (person(Role.MEMBER), Action.READ, f"user:{ME}", True),
    (person(Role.MEMBER), Action.READ, "user:somebody-else", False),
    (person(Role.MEMBER), Action.POST, "user:somebody-else", False),
    (person(Role.MEMBER), Action.READ, "system:jobs", False),
    (person(Role.MEMBER), Action.EMIT, PROJECT, False),
    (person(Role.MEMBER), Action.ADMINISTER, None, False),
    (person(Role.ADMIN), Action.READ, "system:jobs", True),
    (person(Role.ADMIN), Action.EMIT, PROJECT, True),
    (person(Role.ADMIN), Action.ADMINISTER, None, True),
    (key(Scope.EMIT), Action.EMIT, None, True),
    (key(Scope.EMIT), Action.READ, PROJECT, False),
    (key(Scope.READ), Action.READ, PROJECT, True),
    (key(Scope.READ), Action.EMIT, None, False),
    (key(*Scope), Action.ADMINISTER, None, False),
    (key(Scope.METRICS), Action.METRICS, None, True),
    (key(Scope.METRICS), Action.READ, PROJECT, False),
    (key(Scope.METRICS), Action.EMIT, None, False),
    (key(*TENANT_SCOPES), Action.METRICS, None, False),
    (person(Role.ADMIN), Action.METRICS, None, False),
    (key(*Scope), Action.POST, "session:x", False),
    (operator(Role.ADMIN), Action.OPERATE, None, True),
    (operator(Role.MEMBER), Action.OPERATE, None, False),
    (person(Role.ADMIN), Action.OPERATE, None, False),
    (key(*Scope), Action.OPERATE, None, False),
]


@pytest.mark.parametrize(("who", "action", "channel", "answer"), TABLE)
def test_the_policy_is_this_table(who: Principal, action: Action, channel: str | None, answer: bool) -> None:
    """Each line is a rule."""
    assert may(who, action, ChannelName.parse(channel) if channel else None, HERE) is answer


@pytest.mark.parametrize("who", [person(Role.ADMIN, ELSEWHERE), key(*Scope, tenant=ELSEWHERE), None])
@pytest.mark.parametrize("action", Action)
def test_nobody_may_anything_in_another_tenant(who: Principal | None, action: Action) -> None:
    """Neither its admins nor its keys, nor an unknown caller."""
    assert not may(who, action, ChannelName.parse(PROJECT), HERE)


def test_require_tells_unknown_callers_from_unwelcome_ones() -> None:
    """401 is for nobody, 403 for somebody."""
    with pytest.raises(NotAuthenticated):
        require(None, Action.READ, ChannelName.parse(PROJECT))
    with pytest.raises(NotAllowed, match="system:jobs"):
        require(person(Role.MEMBER), Action.READ, ChannelName.parse("system:jobs"))


@pytest.mark.parametrize(("role", "own"), [(Role.MEMBER, {f"user:{ME}"}), (Role.ADMIN, set())])
def test_whatever_somebody_may_read_stands_in_their_list_once(role: Role, own: set[str]) -> None:
    """With all others of its type, or as a channel of their own."""
    assert {str(name) for name in own_channels(person(role))} == own
    for kind in ChannelType:
        for name in (ChannelName(kind, str(ME)), ChannelName(kind, "somebody-else")):
            listed = [lists(person(role), kind), name in own_channels(person(role))].count(True)
            assert listed == may(person(role), Action.READ, name, HERE)
