"""Which channels an event goes to: data, resolved before anything is stored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from realtime_ui.core.channels import ChannelName, ChannelType, checked_id, clip
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.core.messages import MAX_TYPE_LENGTH, Event

_PREFIX = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*\.?")


@dataclass(frozen=True, slots=True)
class Route:
    """Events whose type begins with `prefix` go to the channel `channel:{payload[id_field]}`.

    With `durable` false they are ephemeral: shown now or never, and not in the log. `needs` are further
    fields that the payload must have. `posts` are the types that a person who may only post on the channel may
    choose; all others take somebody who may emit, or the app's own code.
    """

    prefix: str
    channel: ChannelType
    id_field: str
    durable: bool = True
    needs: tuple[str, ...] = ()
    posts: tuple[str, ...] = ()


DEFAULT_ROUTES: tuple[Route, ...] = (
    # A message that is being written, chunk by chunk; the `session.message` with its messageId ends it.
    Route("session.message.delta", ChannelType.SESSION, "sessionId", durable=False, needs=("messageId", "index")),
    Route("project.", ChannelType.PROJECT, "projectId"),
    Route("session.", ChannelType.SESSION, "sessionId", posts=("session.message",)),
    Route("obligation.", ChannelType.SESSION, "sessionId"),
    Route("organization.", ChannelType.ORGANIZATION, "organizationId"),
    Route("user.", ChannelType.USER, "userId"),
    Route("system.", ChannelType.SYSTEM, "name"),
)


# Beside its own channel, an event goes to that of the organization it names.
@dataclass(frozen=True, slots=True)
class Routing:
    """The channels an event goes to, its own first, whether the log takes it, and whether its type can be posted."""

    channels: tuple[ChannelName, ...]
    durable: bool
    postable: bool


ALSO = Route("", ChannelType.ORGANIZATION, "organizationId")


class Routes:
    """The table that the bus asks.

    Args:
        extra: an app's own routes, tried before the default ones.

    Raises:
        ValueError: one of them could never take an event; the message says which one, and what is wrong with it.
    """

    def __init__(self, extra: Sequence[Route] = ()) -> None:
        for route in extra:
            _check(route)
        self._routes = (*extra, *DEFAULT_ROUTES)

    def route_of(self, type: str, *, prefix: str = "") -> Route:
        """The route of a type, raising as `resolve` does where there is none."""
        route = next((route for route in self._routes if type.startswith(route.prefix)), None)
        if route is None:
            known = ", ".join(dict.fromkeys(f"{route.prefix}*" for route in self._routes))
            raise InvalidEvent(
                f"No route takes events of type {clip(type)}.",
                field=f"{prefix}type",
                remedy=f"Use a type that begins with one of {known}, or add a route.",
            )
        return route

    def resolve(self, event: Event, *, prefix: str = "") -> Routing:
        """Where an event goes.

        Args:
            event: what is emitted.
            prefix: put before field names in errors, such as `[3].`.

        Raises:
            InvalidEvent: no route takes the type, or the payload misses a field that the route needs.
        """
        route = self.route_of(event.type, prefix=prefix)
        for name in route.needs:
            if event.payload.get(name) is None:
                raise InvalidEvent(
                    f"payload.{name} is missing.",
                    field=f"{prefix}payload.{name}",
                    remedy=f"Events of type {event.type} need it.",
                )
        channels = [_channel(route, event, prefix)]
        if ALSO.id_field in event.payload and route.channel is not ALSO.channel:
            channels.append(_channel(ALSO, event, prefix))
        return Routing(tuple(channels), route.durable, event.type in route.posts)


def _check(route: object) -> None:
    if not isinstance(route, Route):
        raise ValueError(f"routes holds {clip(route)}, which is not a Route.")
    prefix, wrong = route.prefix, ""
    if not isinstance(prefix, str) or len(prefix) > MAX_TYPE_LENGTH or not _PREFIX.fullmatch(prefix):
        wrong = f"prefix is {clip(prefix)}; give the beginning of an event type, such as 'ticket.'"
    elif not isinstance(route.channel, ChannelType):
        known = ", ".join(f"ChannelType.{kind.name}" for kind in ChannelType)
        wrong = f"channel is {clip(route.channel)}; give one of {known}"
    elif not isinstance(route.id_field, str) or not route.id_field:
        wrong = f"id_field is {clip(route.id_field)}; give the name of a field of the payload, such as 'ticketId'"
    elif not isinstance(route.durable, bool):
        wrong = f"durable is {clip(route.durable)}; give True or False"
    else:
        for name, given in (("needs", route.needs), ("posts", route.posts)):
            if not isinstance(given, tuple) or not all(isinstance(each, str) and each for each in given):
                wrong = f"{name} is {clip(given)}; give a tuple of names"
    if wrong:
        raise ValueError(f"Route({clip(prefix)}, …) takes no event: {wrong}.")


def _channel(route: Route, event: Event, prefix: str) -> ChannelName:
    identity = event.payload.get(route.id_field)
    return ChannelName(route.channel, checked_id(identity, field=f"{prefix}payload.{route.id_field}"))
