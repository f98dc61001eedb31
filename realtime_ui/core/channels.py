"""Channel names: `type:id`, five types, ids from a small alphabet that every provider can carry."""

import re
import reprlib
import uuid
from dataclasses import dataclass
from enum import StrEnum

from realtime_ui.core.errors import InvalidEvent

ID_PATTERN = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._~-]{1,128}")
"""Not `.` or `..`: browsers and proxies take these out of an address, so no page could show such a channel."""


class ChannelType(StrEnum):
    """What a channel is about."""

    PROJECT = "project"
    SESSION = "session"
    ORGANIZATION = "organization"
    USER = "user"
    SYSTEM = "system"


_TYPES = {kind.value for kind in ChannelType}


@dataclass(frozen=True, slots=True, order=True)
class ChannelName:
    """A channel's name in two parts; `str()` gives `type:id`."""

    type: ChannelType
    id: str

    def __str__(self) -> str:
        """The name as written everywhere: `project:abc123`."""
        return f"{self.type.value}:{self.id}"

    @property
    def entity_id(self) -> uuid.UUID | None:
        """The id as a UUID where it is one (the `entity_id` column), else None."""
        try:
            return uuid.UUID(self.id)
        except ValueError:
            return None

    @classmethod
    def parse(cls, text: object, *, field: str = "channel") -> "ChannelName":
        """Read `type:id`.

        Args:
            text: what came in; anything but a well-formed name is refused.
            field: the field to name in the error.

        Raises:
            InvalidEvent: not a name, an unknown type, or an id outside the grammar.
        """
        kind, colon, identity = text.partition(":") if isinstance(text, str) else ("", "", "")
        if not colon or kind not in _TYPES:
            known = ", ".join(ChannelType)
            raise InvalidEvent(
                f"{clip(text)} is not a channel name.",
                field=field,
                remedy=f"Write type:id with one of the types {known}.",
            )
        return cls(ChannelType(kind), checked_id(identity, field=field))

    @classmethod
    def stored(cls, text: str) -> "ChannelName":
        """Read a name that passed `parse` when it was stored, maybe under an earlier grammar for ids.

        Raises:
            ValueError: an unknown type.
        """
        kind, _, identity = text.partition(":")
        return cls(ChannelType(kind), identity)


_SHALLOW = reprlib.Repr()
_SHALLOW.maxlevel, _SHALLOW.maxstring, _SHALLOW.maxother = 3, 80, 80


def checked_id(value: object, *, field: str) -> str:
    """Return `value` if it is an id by the grammar `[A-Za-z0-9._~-]{1,128}`, and not `.` or `..`.

    Raises:
        InvalidEvent: it is missing, not a string, has other characters, or is `.` or `..`.
    """
    if isinstance(value, str) and ID_PATTERN.fullmatch(value):
        return value
    raise InvalidEvent(
        f"{field} is missing." if value in (None, "") else f"{clip(value)} is not a channel id.",
        field=field,
        remedy="Use 1 to 128 letters, digits, dots, underscores, tildes or hyphens; not . or .. alone.",
    )


def clip(value: object, length: int = 80) -> str:
    """Show a foreign value in an error message without letting it fill the page; of a structure, its upper levels."""
    text = repr(value[: length + 1]) if isinstance(value, str) else _SHALLOW.repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"
