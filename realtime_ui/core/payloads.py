"""What a payload may be, at every entrance; and how one that the database holds is read back.

Depth is measured on JSON text, by counting brackets outside strings: nothing here recurses, however deep the text is.
"""

import json
import math
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from realtime_ui.core.errors import InvalidEvent, TooLarge

Json = Any
"""Anything that JSON can say."""

MAX_PAYLOAD_BYTES = 65_536
MAX_DEPTH = 64
"""How many levels of objects and arrays a payload may have; the payload itself is the first."""
MAX_STORED_BYTES = 4 * MAX_PAYLOAD_BYTES
"""The largest payload that is read from the database. Its text of an accepted one is longer than what was sent, by
the spaces that PostgreSQL puts after commas and colons."""

_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_EXPONENT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\de[+-](\d+)', re.DOTALL)  # of numbers; strings are passed over
_NO_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\[\]{}"]++', re.DOTALL)
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1, '"': 0}  # a quote is left over only from a string that never ends


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Says of a stored payload that it is not shown: how large it is, in bytes, and why."""

    bytes: int
    reason: Literal["depth", "size", "number"]


def is_too_deep(text: str, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON text is nested more than `limit` levels deep; of text that is not JSON, an upper bound decides."""
    if text.count("[") + text.count("{") <= limit:
        return False
    brackets = _NO_BRACKETS.sub("", text)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > limit


def too_deep(field: str) -> InvalidEvent:
    """The error for a payload of too many levels."""
    return InvalidEvent(
        f"{field} is nested more than {MAX_DEPTH} levels deep.",
        field=field,
        remedy="Send a flatter structure, or the deep part as a string.",
    )


def dumps(value: Json, *, field: str) -> str:
    """Compact JSON that PostgreSQL's jsonb and every wire can take.

    Raises:
        InvalidEvent: it holds NaN, Infinity, NUL, a lone surrogate or no JSON at all, or more than 64 levels.
        TooLarge: more than 64 KiB, or more than that once numbers such as 1e300 are written out.
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
    except RecursionError:
        raise too_deep(field) from None
    except (ValueError, TypeError):
        raise InvalidEvent(
            f"{field} holds something that JSON cannot say (NaN, Infinity, or an object of the program).",
            field=field,
            remedy="Use null or a string for it.",
        ) from None
    if "\\u0000" in text and _NUL_ESCAPE.search(text):
        raise InvalidEvent(f"{field} holds a NUL character.", field=field, remedy="Remove it; text has no NUL.")
    if "e+" in text or "e-" in text:  # jsonb writes the digits of such a number out
        size += sum(int(digits) for digits in _EXPONENT.findall(text) if digits)
    if size > MAX_PAYLOAD_BYTES:
        raise TooLarge(
            f"{field} is {size:,} bytes; {MAX_PAYLOAD_BYTES:,} is the limit.",
            field=field,
            remedy="Store the large part elsewhere and send its address.",
        )
    if is_too_deep(text):
        raise too_deep(field)
    return text


def read_stored(text: str | None, size: int) -> tuple[Json, Unreadable | None]:
    """Read a payload that the database holds.

    One that no entrance would let in today is answered as {} with the reason, and raises nothing.

    Args:
        text: as jsonb writes it; None where it is larger than `MAX_STORED_BYTES` and was left in the database.
        size: of the text, in bytes.
    """
    if text is None:
        return {}, Unreadable(size, "size")
    if is_too_deep(text):
        return {}, Unreadable(size, "depth")
    try:
        return _DECODER.decode(text), None
    except ValueError:  # a number beyond what a double, or Python's int, takes
        return {}, Unreadable(size, "number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("The number is too large.")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite)


def compact(value: Json) -> str:
    """JSON without spaces, as the bounds on size count it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
