"""Our channel names in Pusher's alphabet, and back; and our messages as Pusher's events.

Pusher's channel names are made of `A-Za-z0-9_-=@,.;`, at most 164 of them; those that begin with `private-` need an
authorisation. (Pusher Channels documentation, "Naming channels".)
"""

import hashlib
import json
import re
import time
import uuid
from contextlib import suppress

from realtime_ui.core.messages import Json, compact
from realtime_ui.providers.base import WireMessage

PRIVATE, PRESENCE = "private-", "presence-"
CLIENT_EVENT = "client-"
MAX_LENGTH = 164
BESIDE = "_realtime"
"""The one member that we put beside a payload's own: id, timestamp, client_id, headers."""

_ESCAPED = re.compile(r"=([0-9A-F]{2})")
_PLAIN = re.compile(r"[A-Za-z0-9_\-@,.]")


def to_pusher(channel: str, prefix: str = PRIVATE) -> str:
    """The name of a channel of ours there.

    `:` becomes `;`, and what Pusher does not have `=` with two hex digits for each byte. One that would be too long
    goes by its SHA-256 behind `==`, which no other name has.
    """
    mapped = prefix + "".join(map(_escape, channel))
    if len(mapped) <= MAX_LENGTH:
        return mapped
    return f"{prefix}=={hashlib.sha256(channel.encode()).hexdigest()}"


def from_pusher(name: str) -> str | None:
    """The reverse; None where the name has no known prefix, or is a digest, which only who subscribed can tell."""
    prefix = next((each for each in (PRIVATE, PRESENCE) if name.startswith(each)), None)
    if prefix is None or "==" in name:
        return None
    text = name.removeprefix(prefix).replace(";", ":")
    try:
        channel = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1").decode()
    except UnicodeError:
        return None
    return channel if to_pusher(channel, prefix) == name else None


def _escape(character: str) -> str:
    if character == ":":
        return ";"
    if _PLAIN.fullmatch(character):
        return character
    return "".join(f"={byte:02X}" for byte in character.encode())


def to_data(message: WireMessage) -> str:
    """A message as an event's data: the payload, with what is ours in one member beside its own."""
    beside: dict[str, Json] = {
        "id": message.id,
        "timestamp": message.timestamp,
        "client_id": message.client_id,
        "headers": dict(message.headers),
    }
    if isinstance(message.data, dict) and BESIDE not in message.data:
        data = {**message.data, BESIDE: beside}
    else:
        data = {BESIDE: {**beside, "data": message.data}}
    return compact(data)


def from_event(name: str, data: Json, user_id: str = "") -> WireMessage:
    """The message that came as an event; a foreign one gets an id and a time here.

    Args:
        name: the event's; a client event is known by what follows `client-`, and is never one of ours.
        data: as it came, a string that holds JSON or is text.
        user_id: who sent a client event, where Pusher says so.
    """
    if isinstance(data, str):
        with suppress(ValueError, RecursionError):  # it may be a foreign client's plain text, or nested without end
            data = json.loads(data)
    try:
        beside = {} if name.startswith(CLIENT_EVENT) else data[BESIDE]
        payload = beside["data"] if "data" in beside else {key: each for key, each in data.items() if key != BESIDE}
        headers = {str(key): str(each) for key, each in beside["headers"].items()}
        return WireMessage(
            str(beside["id"]), name, payload, int(beside["timestamp"]), str(beside["client_id"]), headers
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        now = round(time.time() * 1000)
        by_client = name.startswith(CLIENT_EVENT)
        return WireMessage(uuid.uuid4().hex, name.removeprefix(CLIENT_EVENT), data, now, user_id, by_client=by_client)
