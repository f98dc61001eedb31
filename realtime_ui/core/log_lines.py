"""Log lines that nobody can forge and that tell no secrets: escaped, bounded, without locals and payloads."""

import re
import traceback
from collections.abc import Iterable, Mapping, Set
from itertools import islice
from types import TracebackType

MAX_MESSAGE = 2_000
MAX_VALUE = 1_000
MAX_TRACEBACK = 8_000
MAX_ERROR = 200
"""Characters of a message, of any other value, of a traceback with its chain, and of one exception's own words."""
MAX_READ = 10_000
MAX_ITEMS = 20
MAX_DEPTH = 4
MAX_FRAMES = 30
MAX_CHAIN = 4

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# The client token of a Reflex tab is in its socket's query string, and forms may put anything into theirs.
_QUERY = re.compile(r"(/[^\s?\"'<>]*\?)[^\s\"'<>]*")
_OPENING, _CLOSING = re.compile(r"(?<!\w)['\"`]"), re.compile(r"['\"`](?!\w)")


def safe_text(text: str, limit: int = MAX_VALUE) -> str:
    """A text with everything escaped that could end a line or steer a terminal, without query strings, and cut.

    Args:
        text: what is logged.
        limit: how many characters are kept; how many were left out stands at the end.
    """
    kept = _QUERY.sub(r"\1…", text[:limit])
    if not kept.isprintable():
        kept = "".join(each if each.isprintable() else _escaped(each) for each in kept)
    left_out = len(text) - limit
    if len(kept) > limit or left_out > 0:
        kept = f"{kept[:limit]}… ({max(left_out, 0):,} characters more)"
    return kept


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def without_quoted(text: str) -> str:
    """A text without what stands in quotes: libraries put there what a caller sent.

    All from the first opening quote to the last closing one goes, since what a caller sent may hold quotes of its own;
    where none closes, all to the end.
    """
    opening = _OPENING.search(text)
    if opening is None:
        return text
    end = len(text)
    for closing in _CLOSING.finditer(text, opening.end()):
        end = closing.end()
    return f"{text[: opening.start()]}'…'{text[end:]}"


def safe_value(value: object, depth: int = 0) -> object:
    """A value for a field: numbers as they are, texts escaped, lists and mappings bounded in size and depth."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, BaseException):
        return error_text(value)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {safe_text(str(key)): safe_value(each, depth + 1) for key, each in islice(value.items(), MAX_ITEMS)}
    if isinstance(value, (list, tuple, Set)):
        return [safe_value(each, depth + 1) for each in islice(value, MAX_ITEMS)]
    return safe_text(str(value))


def error_text(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its words, without what it quotes.

    Later lines are where databases and validators repeat the data that they refused. What the operating system says
    is kept whole, since its quotes are file names and addresses.
    """
    try:
        words = str(error)
    except Exception:
        words = ""
    words = words[:MAX_READ].lstrip()
    if not isinstance(error, OSError):
        words = without_quoted(words)
    first = words.partition("\n")[0]
    name = type(error).__qualname__
    return f"{name}: {safe_text(first, MAX_ERROR)}" if first else name


class ErrorText(str):
    """`error_text`, which `%s` and `%r` show alike."""

    __slots__ = ()

    def __repr__(self) -> str:
        """The text itself."""
        return str(self)


def traceback_text(error: BaseException) -> str:
    """An exception with its frames and those of its causes, the last `MAX_FRAMES` of each; no locals.

    The length is bounded; where it is passed, the middle is left out, since the beginning names the entrance and the
    end the fault.
    """
    text = "\n".join(line for each in _chain(error) for line in _one(each))
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n  … {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def _chain(error: BaseException) -> list[BaseException]:
    """What led to an exception, the first cause first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain and len(chain) < MAX_CHAIN:
        chain.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return chain[::-1]


def _one(error: BaseException) -> Iterable[str]:
    yield "Traceback (most recent call last):"
    for frame in traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES):
        yield f"  File {safe_text(frame.filename)}, line {frame.lineno}, in {frame.name}"
        if frame.line:
            yield f"    {safe_text(frame.line, MAX_ERROR)}"
    yield error_text(error)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions[:MAX_CHAIN]:
            yield f"  + {error_text(part)}"
            for frame in traceback.extract_tb(part.__traceback__, limit=-1):
                yield f"    at {safe_text(frame.filename)}, line {frame.lineno}, in {frame.name}"
