"""The words of Ably's protocol: actions, flags, errors, and its two formats."""

import base64
import json
from enum import IntEnum, IntFlag
from typing import Any

import msgpack

Frame = dict[str, Any]
"""A protocol message, or a message or presence message inside one."""

MSGPACK = "application/x-msgpack"
MAX_MESSAGE_BYTES = 65_536


class Action(IntEnum):
    """What a protocol message is for."""

    HEARTBEAT = 0
    ACK = 1
    NACK = 2
    CONNECTED = 4
    DISCONNECTED = 6
    CLOSE = 7
    CLOSED = 8
    ERROR = 9
    ATTACH = 10
    ATTACHED = 11
    DETACH = 12
    DETACHED = 13
    PRESENCE = 14
    MESSAGE = 15
    SYNC = 16
    AUTH = 17


class Flag(IntFlag):
    """What goes with ATTACH and ATTACHED."""

    HAS_PRESENCE = 1
    HAS_BACKLOG = 2
    RESUMED = 4
    ATTACH_RESUME = 32
    PRESENCE = 1 << 16
    PUBLISH = 1 << 17
    SUBSCRIBE = 1 << 18
    PRESENCE_SUBSCRIBE = 1 << 19


class PresenceAction(IntEnum):
    """What happened to a member."""

    PRESENT = 1
    ENTER = 2
    LEAVE = 3
    UPDATE = 4


class AblyError(Exception):
    """An error as Ably tells it.

    Args:
        code: Ably's own, such as 40160.
        message: one sentence.
        status: the HTTP status; the code's first three digits when None.
    """

    def __init__(self, code: int, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or code // 100
        self.info = {
            "code": code,
            "statusCode": self.status,
            "message": message,
            "href": f"https://help.ably.io/error/{code}",
        }


def pack(value: Any, binary: bool) -> bytes:
    """Encode for the wire."""
    return msgpack.packb(value) if binary else json.dumps(value, separators=(",", ":")).encode()


def unpack(raw: bytes | str, binary: bool) -> Any:
    """Decode what came in.

    Raises:
        AblyError: it cannot be read.
    """
    try:
        return msgpack.unpackb(raw) if binary else json.loads(raw)
    except ValueError as error:
        raise AblyError(40000, "The body cannot be read.") from error


def normal(message: Frame) -> Frame:
    """A message as it is kept: binary data as bytes, whatever format it came in."""
    encoding = message.get("encoding") or ""
    if isinstance(message.get("data"), str) and encoding.split("/")[-1] == "base64":
        rest = encoding.rpartition("/")[0]
        return {**_without(message, "encoding"), "data": base64.b64decode(message["data"])} | (
            {"encoding": rest} if rest else {}
        )
    return message


def shown(message: Frame, binary: bool) -> Frame:
    """A kept message for a client of either format: JSON has no bytes."""
    if binary or not isinstance(message.get("data"), bytes):
        return message
    encoding = f"{message['encoding']}/base64" if message.get("encoding") else "base64"
    return {**message, "data": base64.b64encode(message["data"]).decode(), "encoding": encoding}


def size_of(messages: list[Frame]) -> int:
    """What counts for the limit: names, client ids, data and extras."""
    return sum(
        len(str(each.get("name") or "").encode())
        + len(str(each.get("clientId") or "").encode())
        + _data_size(each.get("data"))
        + (len(json.dumps(each["extras"])) if each.get("extras") else 0)
        for each in messages
    )


def _data_size(data: Any) -> int:
    return 0 if data is None else len(data if isinstance(data, bytes) else str(data).encode())


def _without(message: Frame, name: str) -> Frame:
    return {key: value for key, value in message.items() if key != name}
