"""Judges what foreign clients publish: each message by the sender that the provider vouches for.

A client with the account's own key counts as a backend and may emit anything. A client that was let in by our token
carries the client id of that token, `TENANT:person:ID` or `TENANT:key:ID`, and may emit there what that person or key
may emit here. Of a client that nobody vouches for, the channel's `config.inbound` says which types are accepted.
What a sender may not emit, but may post, is kept as `foreign.message`, under their name.
"""

import re
import uuid
from collections.abc import Awaitable, Callable

from realtime_ui.access.policy import may_emit
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent, NotAllowed
from realtime_ui.core.messages import Event, Json
from realtime_ui.core.principals import Principal
from realtime_ui.events.routes import Routes
from realtime_ui.providers.base import WireMessage

MAX_NAME = 200
FOREIGN_TYPE = "foreign.message"
"""The type of a message that is not accepted under its own name; payload: `{name, data}`."""
_OURS = re.compile(r"([0-9a-f-]{36}):(person|key):([0-9a-f-]{36})")

Identify = Callable[[uuid.UUID, str, uuid.UUID], Awaitable[Principal | None]]
"""(tenant, "person" or "key", id) → who that is now, or None when revoked or unknown."""
Accepts = Callable[[uuid.UUID, ChannelName, str], bool]
"""Whether a channel accepts events of a type from clients that nobody vouches for."""


class ForeignSenders:
    """Makes events of foreign messages.

    Args:
        identify: looks a sender up.
        routes: which types may be posted where.
        accepts: what channels accept from unknown clients.
    """

    def __init__(self, identify: Identify, routes: Routes, accepts: Accepts) -> None:
        self._identify = identify
        self._routes = routes
        self._accepts = accepts

    async def event(self, wire: WireMessage, tenant: uuid.UUID, channel: ChannelName) -> Event:
        """The event that a foreign message becomes on a channel.

        Raises:
            NotAllowed: the sender was revoked, is of another tenant, or may not even post there.
            InvalidEvent, TooLarge: the log cannot take it.
            DatabaseUnavailable: the sender cannot be looked up now.
        """
        ours = _OURS.fullmatch(wire.client_id)
        if ours is None:
            name = "".join(each for each in wire.client_id[:MAX_NAME] if each.isprintable())
            known_type = not wire.by_client or self._accepts(tenant, channel, wire.name)
            return _event(wire, tenant, f"foreign:{name}", wrapped=not known_type)
        sender = await self._sender(ours)
        if sender is None or not may_emit(sender, channel, tenant, postable=True):
            raise NotAllowed(f"The sender of a message on {channel} may not post there.")
        allowed = may_emit(sender, channel, tenant, postable=self._is_postable(wire.name, channel))
        return _event(wire, tenant, sender.stamp, wrapped=not allowed)

    async def _sender(self, ours: re.Match[str]) -> Principal | None:
        try:
            tenant, identity = uuid.UUID(ours[1]), uuid.UUID(ours[3])
        except ValueError:
            return None
        return await self._identify(tenant, ours[2], identity)

    def _is_postable(self, type: str, channel: ChannelName) -> bool:
        try:
            route = self._routes.route_of(type)
        except InvalidEvent:
            return False
        return type in route.posts and route.channel is channel.type


def _event(wire: WireMessage, tenant: uuid.UUID, emitted_by: str, *, wrapped: bool) -> Event:
    """The message as an event; one that is named or shaped like none of ours is wrapped in any case."""

    def create(type: str, payload: Json) -> Event:
        return Event.create(type, payload, tenant, id=wire.id, emitted_by=emitted_by)

    if not wrapped:
        try:
            return create(wire.name, wire.data)
        except InvalidEvent as error:
            if error.field not in ("type", "payload"):
                raise
    return create(FOREIGN_TYPE, {"name": wire.name, "data": wire.data})
