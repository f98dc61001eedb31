"""A stream's cursor: where it stands on each of its channels, as one opaque text for `id:` and `Last-Event-ID`.

`STREAM.PLACE.PLACE…`: the stream's own id, and for each channel base64url of the epoch (16 bytes), the seq
(8 bytes) and the name. A place is the same for every stream that stands there, so it is made once a message.
It is not signed: a made-up one leads only to other places on channels that its bearer may read anyway.
"""

import base64
import binascii
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent, InvalidRequest

STREAM_ID = re.compile(r"[A-Za-z0-9_-]{12}")
NO_EPOCH = bytes(16)
MAX_PLACE = 221
"""How many characters the longest channel name takes, and the dot before it."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place on one channel: the last seq that was shown, and its epoch ("" before the first event)."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """What came back from a client, checked."""

    stream: str
    positions: Mapping[ChannelName, Position]

    @classmethod
    def parse(cls, text: str, *, field: str, max_channels: int) -> "Cursor":
        """Read a cursor.

        Args:
            text: what came in.
            field: the field to name in the error.
            max_channels: how many channels it may hold.

        Raises:
            InvalidRequest: no stream of ours ever gave it out.
        """
        stream, *places = text.split(".") if len(text) <= 12 + max_channels * MAX_PLACE else [""]
        try:
            positions = dict(map(_parse_place, places[:max_channels]))
        except (ValueError, InvalidEvent):
            positions = {}
        if not STREAM_ID.fullmatch(stream) or len(positions) != len(places):
            raise InvalidRequest(
                "The cursor is not one that a stream gave out.",
                field=field,
                remedy="Send the last id that you were given, as it was, or none.",
            )
        return cls(stream, positions)


def new_stream_id() -> str:
    """An id for a stream that resumes no other."""
    return secrets.token_urlsafe(9)


def place_text(channel: ChannelName, position: Position) -> str:
    """A channel's part of the cursor."""
    epoch = uuid.UUID(position.epoch).bytes if position.epoch else NO_EPOCH
    raw = epoch + position.seq.to_bytes(8, "big") + str(channel).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _parse_place(text: str) -> tuple[ChannelName, Position]:
    """Read a channel's part.

    Raises:
        ValueError, InvalidEvent: it is none.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    seq = int.from_bytes(raw[16:24], "big")
    if len(raw) < 24 or seq >= 2**62:
        raise ValueError("no place")
    epoch = "" if raw[:16] == NO_EPOCH else str(uuid.UUID(bytes=raw[:16]))
    return ChannelName.parse(raw[24:].decode("ascii")), Position(epoch, seq)
