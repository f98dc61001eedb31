"""A stream's cursor: where it stands on each of its channels, as one opaque text for `id:` and `Last-Event-ID`.

`2.STREAM.PLACE.PLACE…`: the format, the stream's own id, and for each channel base64url of the epoch (16 bytes), the
seq (8 bytes), the row's tag (8 bytes, zero where unknown) and the name. A place is the same for every stream that
stands there, so it is made once a message. The first format, `STREAM.PLACE…` without tags, is read, too.
It is not signed: a made-up one leads only to other places on channels that its bearer may read anyway.
"""

import base64
import binascii
import re
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent, InvalidRequest
from realtime_ui.core.position import Position

STREAM_ID = re.compile(r"[A-Za-z0-9_-]{12}")
FORMAT = "2"
NO_EPOCH = bytes(16)
NO_TAG = bytes(8)
MAX_PLACE = 232
"""How many characters the longest channel name takes, and the dot before it."""


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
        stream, *places = text.split(".") if len(text) <= 14 + max_channels * MAX_PLACE else [""]
        tagged = stream == FORMAT and bool(places)
        if tagged:
            stream, *places = places
        try:
            positions = dict(_parse_place(place, tagged=tagged) for place in places[:max_channels])
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


def cursor_text(stream: str, places: Iterable[str]) -> str:
    """A cursor.

    Args:
        stream: the stream's id.
        places: what `place_text` made for each channel that the stream has begun.
    """
    return ".".join([FORMAT, stream, *places])


def place_text(channel: ChannelName, position: Position) -> str:
    """A channel's part of the cursor."""
    epoch = uuid.UUID(position.epoch).bytes if position.epoch else NO_EPOCH
    tag = bytes.fromhex(position.tag) if position.tag else NO_TAG
    raw = epoch + position.seq.to_bytes(8, "big") + tag + str(channel).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _parse_place(text: str, *, tagged: bool) -> tuple[ChannelName, Position]:
    """Read a channel's part, of the present format or of the first one, which has no tag.

    Raises:
        ValueError, InvalidEvent: it is none.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    seq = int.from_bytes(raw[16:24], "big")
    tag, name = (raw[24:32], raw[32:]) if tagged else (NO_TAG, raw[24:])
    if len(raw) < 24 or len(tag) < 8 or seq >= 2**62:
        raise ValueError("no place")
    epoch = "" if raw[:16] == NO_EPOCH else str(uuid.UUID(bytes=raw[:16]))
    return ChannelName.parse(name.decode("ascii")), Position(epoch, seq, "" if tag == NO_TAG else tag.hex())
