"""What people send from pages: stored once under the id that the browser gave it, in the sender's name."""

import uuid
from typing import Any

from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName, clip
from realtime_ui.core.errors import InvalidEvent, InvalidRequest, TooLarge
from realtime_ui.core.payloads import Json, dumps
from realtime_ui.core.principals import Person
from realtime_ui.events.bus import EventBus
from realtime_ui.events.routes import Routes

MAX_POST_BYTES = 60_000
"""The largest payload, as compact JSON; what the server adds to it fits below the bound of an event's payload."""
_FIELDS = {"id", "channel", "type", "payload"}


class Posts:
    """The `/feed` event `post`, without its transport.

    Args:
        bus: stores and shows the event.
        routes: name the field in which an event's payload carries its channel's id.
    """

    def __init__(self, bus: EventBus, routes: Routes) -> None:
        self._bus = bus
        self._routes = routes

    async def post(self, person: Person, data: object) -> dict[str, Json]:
        """Store what a person sent, and show it on the channel; the same request again is stored once.

        Args:
            person: who sends; may post on every channel that the event goes to, or nothing is stored.
            data: `{id, channel, type, payload}`. `id` is a UUID that the browser made. The server puts the channel's
                id into the payload where it is missing, and `author`, `{id, name}`, whatever the browser sent there.

        Returns:
            the receipt: `{id, type, channels: [{channel, seq, epoch}], duplicate}`.

        Raises:
            RateLimited: too many posts by this person; nothing was stored.
            InvalidRequest, InvalidEvent, TooLarge: the request is not as described above.
            NotAllowed: the person may not post this type, or not there.
            Conflict: the id belongs to another message.
            DatabaseUnavailable: nothing is known; post again under the same id.
        """
        with metrics.failed_emits_counted(1):
            event_id, channel, kind, payload = _parsed(data)
            self._put_id(payload, kind, channel)
        payload["author"] = {"id": str(person.id), "name": person.name}
        receipt = await self._bus.emit_as(person, kind, payload, id=event_id)
        return receipt.public()

    def _put_id(self, payload: dict[str, Any], kind: str, channel: ChannelName) -> None:
        """Have the payload name the channel's id, and nothing else, where the type's route reads it."""
        route = self._routes.route_of(kind)
        if route.channel is not channel.type:
            raise InvalidEvent(
                f"Events of type {kind} do not go to {channel.type} channels.",
                field="type",
                remedy=f"Post it on a {route.channel} channel.",
            )
        if payload.setdefault(route.id_field, channel.id) != channel.id:
            raise InvalidEvent(
                f"payload.{route.id_field} is not the id of {channel}.",
                field=f"payload.{route.id_field}",
                remedy="Leave it out, or post on the channel that it names.",
            )


def _parsed(data: object) -> tuple[str, ChannelName, str, dict[str, Any]]:
    """A request's id, channel, type and payload, the latter a copy."""
    if not isinstance(data, dict) or set(data) != _FIELDS:
        raise InvalidRequest("post takes an object.", remedy="Send {id, channel, type, payload}.")
    if not isinstance(data["type"], str):
        raise InvalidRequest(f"type is {clip(data['type'])}.", field="type", remedy="Send a string.")
    payload = data["payload"]
    if not isinstance(payload, dict):
        raise InvalidRequest("payload is not a JSON object.", field="payload", remedy="Send an object.")
    size = len(dumps(payload, field="payload").encode())
    if size > MAX_POST_BYTES:
        raise TooLarge(
            f"The message is {size:,} bytes; {MAX_POST_BYTES:,} is the limit.",
            field="payload",
            remedy="Shorten it, or send it in parts.",
        )
    return _uuid(data["id"]), ChannelName.parse(data["channel"]), data["type"], dict(payload)


def _uuid(value: object) -> str:
    """A UUID as browsers write it: another spelling of the same one would be another event."""
    try:
        if isinstance(value, str) and str(uuid.UUID(value)) == value:
            return value
    except ValueError:
        pass
    raise InvalidRequest(f"id is {clip(value)}.", field="id", remedy="Send a UUID in lower case, with hyphens.")
