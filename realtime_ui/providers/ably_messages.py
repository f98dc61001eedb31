"""Our messages as Ably's, and back.

Ably stamps its own time on a message, so ours travels in a header beside those of the message.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from ably.types.message import Message

from realtime_ui.core.errors import TooLarge
from realtime_ui.core.messages import Json
from realtime_ui.providers.base import WireMessage

MAX_MESSAGE_BYTES = 64_000
"""Ably takes 65,536 with id, name and headers; the rest is theirs."""

_SENT = "sent"
_TIME = re.compile(r"\d{1,15}")
_SCALAR = "$json"


def to_ably(message: WireMessage) -> Message:
    """A message ready for the SDK.

    Its id makes Ably drop it when it is sent again. The payload goes as JSON whatever it is, since the SDK takes
    neither numbers nor booleans; text goes as text, and nothing as nothing, as any Ably client would send them.

    Raises:
        TooLarge: it passes `MAX_MESSAGE_BYTES`.
    """
    text = json.dumps(message.data, ensure_ascii=False, separators=(",", ":"))
    if (size := len(text.encode())) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"The message {message.id} is {size:,} bytes; Ably takes {MAX_MESSAGE_BYTES:,}.")
    plain = message.data is None or isinstance(message.data, str)
    return Message(
        id=message.id,
        name=message.name,
        data=message.data if plain else text,
        encoding="" if plain else "json",
        extras={"headers": {**message.headers, _SENT: str(message.timestamp)}},
    )


def from_ably(message: Message) -> WireMessage:
    """A message as it was sent; a foreign one has Ably's time, and binary data as Base64."""
    extras = message.extras if isinstance(message.extras, Mapping) else {}
    given = extras.get("headers")
    headers = {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}
    sent = headers.pop(_SENT, "")
    return WireMessage(
        id=message.id or "",
        name=message.name or "",
        data=_as_json(message.data),
        timestamp=int(sent) if _TIME.fullmatch(sent) else int(message.timestamp or 0),
        client_id=message.client_id or "",
        headers=headers,
    )


def presence_data(data: Json) -> Any:
    """What a member says, as the SDK takes it: it knows no bare numbers and booleans."""
    return data if data is None or isinstance(data, str | dict | list) else {_SCALAR: data}


def from_presence(data: Any) -> Json:
    """The reverse of `presence_data`."""
    return data[_SCALAR] if isinstance(data, dict) and data.keys() == {_SCALAR} else _as_json(data)


def _as_json(data: Any) -> Json:
    return base64.b64encode(data).decode() if isinstance(data, bytes | bytearray) else data
