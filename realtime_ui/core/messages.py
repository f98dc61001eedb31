"""The words on the way: an `Event` on the bus becomes a `Message` on each of its channels."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.emitters import UNKNOWN, emitter_of
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.core.payloads import MAX_PAYLOAD_BYTES, Json, Unreadable, compact, dumps

__all__ = ["MAX_PAYLOAD_BYTES", "Ephemeral", "Event", "Head", "Json", "Message", "Placement", "Receipt", "compact"]

_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
MAX_TYPE_LENGTH = 100
MAX_EVENT_ID_LENGTH = 128


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
            payload: a JSON object of at most 64 KiB and 64 levels, without NUL, lone surrogates, NaN or Infinity.
            tenant: whose event it is.
            id: the caller's own id for it, 1–128 visible ASCII characters; made here when None.
            emitted_by: who emitted it, as `core.emitters` says.
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

    `timestamp` is ms since the Unix epoch. `seq` counts 1, 2, 3 … without gaps within an `epoch`. `data` can always
    be encoded as JSON: `Event.create` checks what comes in, and a payload in the database that would not pass there
    is read as {} and marked as `unreadable`.
    """

    tenant: uuid.UUID
    channel: ChannelName
    seq: int
    epoch: str
    id: str
    type: str
    data: Json
    timestamp: int
    unreadable: Unreadable | None = None
    emitted_by: str = UNKNOWN

    @property
    def tag(self) -> str:
        """What tells this row from any other that ever had its number; see `row_tag`."""
        return row_tag(self.id, self.timestamp)

    def row(self) -> dict[str, Json]:
        """The message as tabs, streams and the history show it; channel and epoch stand outside.

        An unreadable one has `data` null and a further member, `unreadable: {bytes, reason}`.
        """
        row: dict[str, Json] = {
            "seq": self.seq,
            "id": self.id,
            "type": self.type,
            "data": self.data,
            "timestamp": self.timestamp,
            "emitted_by": emitter_of(self.emitted_by),
        }
        if self.unreadable is not None:
            row |= {"data": None, "unreadable": asdict(self.unreadable)}
        return row


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
    emitted_by: str = UNKNOWN

    def row(self) -> dict[str, Json]:
        """What tabs are shown; the channel stands outside."""
        return {
            "id": self.id,
            "type": self.type,
            "data": self.data,
            "timestamp": self.timestamp,
            "emitted_by": emitter_of(self.emitted_by),
        }


@dataclass(frozen=True, slots=True)
class Head:
    """Where a channel's log stands: first kept and last given seq, and the epoch they count in.

    A channel without an event yet has `epoch` "" and `last` 0: `Head.EMPTY`.
    """

    EMPTY: ClassVar["Head"]

    epoch: str
    first: int
    last: int


Head.EMPTY = Head("", 1, 0)


def row_tag(event_id: str, timestamp: int) -> str:
    """Sixteen hexadecimal digits that identify a row of the log; `realtime_row_tag` (revision 0209) gives the same.

    The time is part of it: an event that a failover lost may be sent again under its id and get the same number,
    behind rows that are not those from before.

    Args:
        event_id: the event's id.
        timestamp: when it was stored, in ms since the Unix epoch.
    """
    return hashlib.sha256(f"{timestamp}:{event_id}".encode()).hexdigest()[:16]


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
