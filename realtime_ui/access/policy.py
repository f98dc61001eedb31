"""Who may do what: one function that every handler, namespace event and route asks."""

import uuid
from enum import StrEnum

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import NotAllowed, NotAuthenticated
from realtime_ui.core.principals import ApiKey, Person, Principal, Role, Scope

ANYBODYS = "~"
"""An id that is nobody's, to ask about all."""


class Action(StrEnum):
    """What can be asked for."""

    READ = "read"
    """See a channel's messages."""
    POST = "post"
    """Say something on a channel, as a person."""
    EMIT = "emit"
    """Put any event on a channel, as a program or an admin."""
    LIST = "list"
    """See which channels the tenant has."""
    ADMINISTER = "administer"
    """Titles, keys, people."""
    TOKEN = "get a token for the provider"  # noqa: S105 -- the name of an action
    """Have a page of one's own at the provider, which may there what its person or key may here."""
    METRICS = "read metrics"
    """See what the server counts, of all tenants together."""
    OPERATE = "operate the server"
    """See how the workers are, and set what holds for all tenants, such as heartbeats."""


def may(principal: Principal | None, action: Action, channel: ChannelName | None, tenant: uuid.UUID) -> bool:
    """Whether `principal` may do `action` on `channel` of `tenant`.

    Nobody may do anything in another tenant. Keys do what their scopes say. Members read and post,
    admins do everything in their tenant; `user:` channels are for their own person, `system:` channels for admins.
    The server is operated by the admins of one tenant, which OPERATOR_TENANT names.
    """
    if principal is None or principal.tenant != tenant:
        return False
    if action is Action.METRICS:
        return isinstance(principal, ApiKey) and Scope.METRICS in principal.scopes
    if action is Action.OPERATE:
        return isinstance(principal, Person) and principal.role is Role.ADMIN and principal.operator_tenant
    if isinstance(principal, ApiKey):
        if action in (Action.READ, Action.LIST):
            return Scope.READ in principal.scopes
        if action is Action.TOKEN:
            return Scope.TOKEN in principal.scopes
        return action is Action.EMIT and Scope.EMIT in principal.scopes
    if principal.role is Role.ADMIN:
        return True
    if action in (Action.LIST, Action.TOKEN):
        return True
    if channel is None or action not in (Action.READ, Action.POST):
        return False
    if channel.type is ChannelType.USER:
        return channel.id == str(principal.id)
    return channel.type is not ChannelType.SYSTEM


def reach(principal: Principal, action: Action) -> tuple[str, ...]:
    """The channels on which `principal` may do `action` in their own tenant; `type:*` stands for all of a type."""
    found = []
    for kind in ChannelType:
        if may(principal, action, ChannelName(kind, ANYBODYS), principal.tenant):
            found.append(f"{kind}:*")
        elif may(principal, action, own := ChannelName(kind, str(principal.id)), principal.tenant):
            found.append(str(own))
    return tuple(found)


def lists(person: Person, channel: ChannelType) -> bool:
    """Whether channels of that type stand in the person's list: what an admin may read of everybody's."""
    return person.role is Role.ADMIN or channel not in (ChannelType.USER, ChannelType.SYSTEM)


def own_channels(person: Person) -> frozenset[ChannelName]:
    """The person's own channels: those that they may read although their list does not have all of that type."""
    named = (ChannelName(kind, str(person.id)) for kind in ChannelType if not lists(person, kind))
    return frozenset(name for name in named if may(person, Action.READ, name, person.tenant))


def known(principal: Principal | None) -> Principal:
    """The principal, if there is one.

    Raises:
        NotAuthenticated: nobody is asking.
    """
    if principal is None:
        raise NotAuthenticated(
            "No valid API key or sign-in came with this.", remedy="Send Authorization: Bearer KEY, or sign in."
        )
    return principal


def require(
    principal: Principal | None, action: Action, channel: ChannelName | None, tenant: uuid.UUID | None = None
) -> Principal:
    """Like `may`, in the principal's own tenant unless told otherwise, raising what the answer should say.

    Raises:
        NotAuthenticated: nobody is asking.
        NotAllowed: somebody is, and may not.
    """
    principal = known(principal)
    if not may(principal, action, channel, tenant or principal.tenant):
        what = f"{action.value} {channel}" if channel else action.value
        raise NotAllowed(f"You may not {what}.", remedy="Ask an admin of your tenant for a role or a key that may.")
    return principal


def may_emit(principal: Principal, channel: ChannelName, tenant: uuid.UUID, *, postable: bool) -> bool:
    """Whether `principal` may put an event on `channel`: by `EMIT`, or by `POST` where the event is `postable`."""
    if may(principal, Action.EMIT, channel, tenant):
        return True
    return postable and may(principal, Action.POST, channel, tenant)


def require_emit(principal: Principal, channel: ChannelName, tenant: uuid.UUID, *, postable: bool) -> None:
    """Like `may_emit`, raising.

    Raises:
        NotAllowed: they may not.
    """
    if may_emit(principal, channel, tenant, postable=postable):
        return
    if not postable and may(principal, Action.POST, channel, tenant):
        raise NotAllowed(
            f"You may not emit events of this type on {channel}, only post on it.",
            field="type",
            remedy="Ask an admin of your tenant, or send a type that the route lists in `posts`.",
        )
    raise NotAllowed(
        f"You may not emit on {channel}.", remedy="Ask an admin of your tenant for a role or a key that may."
    )
