"""What `EventClient` takes for an answer of the server's, and what for a refusal, or for somebody else's answer."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

RETRY_STATUSES = {408, 429, 502, 503, 504}


class EmitError(Exception):
    """The server refused the request; trying again will not help.

    Attributes:
        status: the HTTP status, or the code of the ending (4001 …) where the server ended a stream for good.
        problem: the RFC 9457 problem details, with `detail`, and `field` and `remedy` where known.
        retry_after_s: how long the server asks to wait before another try.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        parts = [problem.get("detail") or problem.get("title") or f"HTTP {status}", problem.get("remedy")]
        where = f" (at {problem['field']})" if problem.get("field") else ""
        super().__init__(" ".join(str(part) for part in parts if part) + where)
        self.status = status
        self.problem = dict(problem)
        self.retry_after_s = 0.0

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in RETRY_STATUSES


class NotOurAnswer(EmitError):
    """What answered is not this server's API: a sign-in page, a proxy, another server, or half an answer.

    Tried again while it came with a status of success, since the next answer may be the server's.
    """

    def __init__(self, response: httpx.Response, what: str) -> None:
        status, location = response.status_code, response.headers.get("location", "")
        where = f" It points to {location[:200]}." if location else ""
        super().__init__(
            status,
            {
                "detail": f"Something else answered in place of the server: HTTP {status}, {what}.{where}",
                "remedy": "Check the address, and what stands between: a sign-in page, a proxy, another server.",
            },
        )

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return 200 <= self.status < 300 or super().may_pass


def message_of(response: httpx.Response, data: str) -> dict[str, Any]:
    """What an event of a stream says; {} where it only moves the cursor."""
    if not data:
        return {}
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise NotOurAnswer(response, "a stream of something else")
    return message


def answer_of(response: httpx.Response, right: Callable[[Any], bool]) -> dict[str, Any]:
    """An answer of ours.

    Raises:
        EmitError: it is a refusal.
        NotOurAnswer: somebody else sent it, or a part of it is missing.
    """
    if not response.is_success:
        raise refusal_of(response)
    try:
        body = response.json()
    except (ValueError, RecursionError):
        raise NotOurAnswer(response, what_of(response)) from None
    if not isinstance(body, dict) or not right(body):
        raise NotOurAnswer(response, "JSON of another kind")
    return body


def is_receipt(event: object) -> bool:
    """Whether something looks like an event's receipt."""
    return isinstance(event, dict) and isinstance(event.get("id"), str)


def refusal_of(response: httpx.Response) -> EmitError:
    """The error that an answer without success is."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    error: EmitError
    if isinstance(body, dict):
        error = EmitError(response.status_code, body)
    elif media_type(response) == "text/plain":
        error = EmitError(response.status_code, {"detail": f"HTTP {response.status_code}: {response.text[:200]}"})
    else:
        error = NotOurAnswer(response, what_of(response))
    error.retry_after_s = retry_after_s(response.headers.get("retry-after"))
    return error


def media_type(response: httpx.Response) -> str:
    """The content type without its parameters, in lower case; "" where there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def what_of(response: httpx.Response) -> str:
    """What an answer is, in a few words."""
    return media_type(response)[:100] or "without a content type"


def retry_after_s(value: str | None) -> float:
    """What a `Retry-After` header asks for, in s: a number of seconds or an HTTP date; 0 where it is neither."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
