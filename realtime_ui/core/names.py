"""Names and titles that people see: which characters they may have, decided in one place."""

import unicodedata

from realtime_ui.core.errors import InvalidRequest

MAX_NAME = 100
_JOINERS = "\u200c\u200d"
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Whether text has no character that hides, breaks the line, or turns the direction of what follows it.

    Refused are control and format characters (bidirectional overrides and isolates among them), line and paragraph
    separators, and lone surrogates. The joiners that Persian, Hindi and emoji need are taken.
    """
    return not any(each not in _JOINERS and unicodedata.category(each) in _REFUSED for each in text)


def checked_name(value: str, *, field: str, longest: int = MAX_NAME) -> str:
    """A name or title without space around it: 1 to `longest` plain characters.

    Raises:
        InvalidRequest: it is empty, too long, or has a character that `is_plain` refuses.
    """
    value = value.strip()
    if not 0 < len(value) <= longest:
        raise InvalidRequest(f"{field} is empty or too long.", field=field, remedy=f"Use 1 to {longest} characters.")
    if not is_plain(value):
        raise InvalidRequest(
            f"{field} has control characters or marks that turn the direction of text.",
            field=field,
            remedy="Remove them.",
        )
    return value
