"""What Ably and its SDK call wrong, in the words of `core.errors`."""

import re

import httpx
from ably import AblyException
from websockets.exceptions import WebSocketException

from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RateLimited, RealtimeError, TooLarge

TOKEN_ERRORS = range(40140, 40150)
"""A token is expired or unknown; another one helps."""

_TOO_LARGE = (40009,)
_RATE = (range(42900, 43000), range(80020, 80021))
_REFUSED = (
    # 40000 and 40001 are what the SDK says when it is not connected
    range(40003, 40140),  # what we ask for is not valid, or the key, or whose we say we are
    range(40150, 40170),  # the key's capability does not cover it
    range(40171, 40300),  # no way to another token
    range(40300, 40500),  # the account or the app may not, or is not known
    range(90010, 90011),  # more channels than the account lets one connection have
    range(91000, 91005),  # presence without a client id, or without the right to it
)
_AGAIN_S = 1.0
_SECRETS = re.compile(r"\b(key|access_?token)=[^&\s]+", re.IGNORECASE)


def code_of(error: BaseException | None) -> int:
    """Ably's code of an error, 0 where it has none; the SDK sometimes puts the HTTP status in its place."""
    if not isinstance(error, AblyException):
        return 0
    return max(number for number in (error.code, error.status_code, 0) if isinstance(number, int))


def translate(error: BaseException | None, doing: str) -> RealtimeError:
    """The error of ours that stands for one of the SDK or of what lies below it, which becomes its cause.

    Args:
        error: any; None where the SDK gives no reason.
        doing: what failed, such as `Publishing`.
    """
    if isinstance(error, RealtimeError):
        return error
    found = _chosen(code_of(error), f"{doing} failed: {_told(error)}.")
    found.__cause__ = error
    return found


def _chosen(code: int, text: str) -> RealtimeError:
    if code in _TOO_LARGE:
        return TooLarge(text, remedy="Store the large part elsewhere and send its address.")
    if any(code in family for family in _RATE):
        return RateLimited(text, retry_after_s=_AGAIN_S)
    if any(code in family for family in _REFUSED):
        return ProviderRefused(text, remedy=f"Look at ABLY_API_KEY and its capabilities; help.ably.io/error/{code}")
    return ProviderUnavailable(text)


def _told(error: BaseException | None) -> str:
    """What happened, without a secret: the SDK puts whole addresses into some of its texts."""
    if error is None:
        return "Ably gave no reason"
    if isinstance(error, TimeoutError):
        return "Ably did not answer in time"
    if not isinstance(error, AblyException):
        away = isinstance(error, OSError | httpx.HTTPError | WebSocketException)
        return f"{'Ably cannot be reached' if away else 'its SDK failed'} ({type(error).__name__})"
    message = _SECRETS.sub(r"\1=…", str(error.message or "no more is known"))
    return f"Ably says {code_of(error)}, {message.rstrip('.')}"
