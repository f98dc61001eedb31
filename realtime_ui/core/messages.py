"""The words on the way: an `Event` on the bus becomes a `Message` on each of its channels."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent, TooLarge

Json = Any
"""Anything that JSON can say."""

_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
MAX_TYPE_LENGTH = 100
MAX_EVENT_ID_LENGTH = 128
MAX_PAYLOAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Event:
    """What a program emits: a type, a payload, a tenant.

    `payload_json` is the payload as compact JSON, made once by `Event.create` and used for the log,
    the wire and the size check alike.
    """

    id: str
    type: str
    payload: dict[str, Json]
    payload_json: str
    tenant: uuid.UUID
    emitted_by: str

    @classmethod
    def create(
        cls,
        type: object,
        payload: object,
        tenant: uuid.UUID,
        *,
        id: object = None,
        emitted_by: str,
        prefix: str = "",
    ) -> "Event":
        """Check and build an event.

        Args:
            type: dotted lower-case words, `project.updated`.
            payload: a JSON object of at most 64 KiB without NUL, lone surrogates, NaN or Infinity.
            tenant: whose event it is.
            id: the caller's own id for it, 1–128 visible ASCII characters; made here when None.
            emitted_by: who emitted it, for the audit trail: `key:…`, `person:…`, `foreign:…`.
            prefix: put before field names in errors, such as `[3].` for an item of a list.

        Raises:
            InvalidEvent: any of them is not so.
        """
        if not isinstance(type, str) or len(type) > MAX_TYPE_LENGTH or not _TYPE.fullmatch(type):
            raise InvalidEvent(
                "type is missing or not made of dotted lower-case words.",
                field=f"{prefix}type",
                remedy="Name the event like project.updated.",
            )
        if not isinstance(payload, Mapping):
            raise InvalidEvent(
                "payload is missing or not a JSON object.",
                field=f"{prefix}payload",
                remedy='Send an object, such as {"projectId": "abc123"}.',
            )
        if id is None:
            event_id = uuid.uuid4().hex
        elif isinstance(id, str) and 0 < len(id) <= MAX_EVENT_ID_LENGTH and id.isascii() and id.isprintable():
            event_id = id
        else:
            raise InvalidEvent(
                "id is not a string of 1 to 128 visible ASCII characters.",
                field=f"{prefix}id",
                remedy="Send another id, or none to have one made.",
            )
        text = dumps(dict(payload), field=f"{prefix}payload")
        # What is shown is what is stored: keys are strings, and the caller's own object may change.
        return cls(event_id, type, json.loads(text), text, tenant, emitted_by)


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it stands on one channel, numbered by the log.

    `timestamp` is ms since the Unix epoch. `seq` counts 1, 2, 3 … without gaps within an `epoch`.
    """

    tenant: uuid.UUID
    channel: ChannelName
    seq: int
    epoch: str
    id: str
    type: str
    data: Json
    timestamp: int

    def row(self) -> dict[str, Json]:
        """The message as tabs, streams and the history show it; channel and epoch stand outside."""
        return {
            "seq": self.seq,
            "id": self.id,
            "type": self.type,
            "data": self.data,
            "timestamp": self.timestamp,
        }


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """An event on a channel that is shown now or never: not in the log, without a seq, never replayed.

    Typing is one, or a chunk of a message that is being written. `timestamp` is ms since the Unix epoch.
    """

    tenant: uuid.UUID
    channel: ChannelName
    id: str
    type: str
    data: Json
    timestamp: int

    def row(self) -> dict[str, Json]:
        """What tabs are shown; the channel stands outside."""
        return {"id": self.id, "type": self.type, "data": self.data, "timestamp": self.timestamp}


@dataclass(frozen=True, slots=True)
class Head:
    """Where a channel's log stands: first kept and last given seq, and the epoch they count in.

    A channel without an event yet has `epoch` "" and `last` 0.
    """

    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an event came to stand: a channel and its seq there, both None for an ephemeral one."""

    channel: ChannelName
    seq: int | None
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an emit: the event's id and its places. `duplicate` when all was there before."""

    id: str
    type: str
    placements: tuple[Placement, ...]
    duplicate: bool

    def public(self) -> dict[str, Json]:
        """The receipt as the API and `/feed` answer it."""
        places = [{"channel": str(place.channel), "seq": place.seq, "epoch": place.epoch} for place in self.placements]
        return {"id": self.id, "type": self.type, "channels": places, "duplicate": self.duplicate}


def dumps(value: Json, *, field: str) -> str:
    """Compact JSON that PostgreSQL's jsonb and every wire can take.

    Raises:
        InvalidEvent: it holds NaN, Infinity, NUL, a lone surrogate or no JSON at all.
        TooLarge: more than 64 KiB.
    """
    try:
        text = json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidEvent(f"{field} holds a lone surrogate.", field=field, remedy="Send valid Unicode.") from None
    except (ValueError, TypeError, RecursionError):
        raise InvalidEvent(
            f"{field} holds something that JSON cannot say (NaN, Infinity, or a nesting too deep).",
            field=field,
            remedy="Use null or a string for it.",
        ) from None
    if "\\u0000" in text and _NUL_ESCAPE.search(text):
        raise InvalidEvent(f"{field} holds a NUL character.", field=field, remedy="Remove it; text has no NUL.")
    if size > MAX_PAYLOAD_BYTES:
        raise TooLarge(
            f"{field} is {size:,} bytes; {MAX_PAYLOAD_BYTES:,} is the limit.",
            field=field,
            remedy="Store the large part elsewhere and send its address.",
        )
    return text


def compact(value: Json) -> str:
    """JSON without spaces, as the bounds on size count it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
