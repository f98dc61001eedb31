"""What Pusher's services, and the way to them, can answer, in our words.

Codes of its WebSocket: 4000-4099 do not connect again as you are, 4100-4199 come back later, 4200-4299 come back at
once, 43xx an event was refused. (Pusher Channels protocol, "Error codes".)
"""

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RateLimited, RealtimeError, TooLarge

CHECK = "Check PUSHER_APP_ID, PUSHER_KEY, PUSHER_SECRET and PUSHER_CLUSTER."
RETRY_AFTER_S = 1.0
AT_ONCE_S = 0.0


def from_code(code: int | None, text: str) -> RealtimeError:
    """An error that the WebSocket told, or a code that it was closed with."""
    if code is not None and 4000 <= code < 4100:
        return ProviderRefused(f"Pusher refuses the connection ({code}: {text}).", remedy=CHECK)
    if code is not None and 4300 <= code < 4400:
        return RateLimited(f"Pusher refused an event ({code}: {text}).", retry_after_s=RETRY_AFTER_S)
    later = code is not None and 4100 <= code < 4200
    return _unavailable(f"Pusher ended the connection ({code}: {text}).", RETRY_AFTER_S if later else AT_ONCE_S)


def told(text: str) -> RealtimeError:
    """An error without a code that the WebSocket told."""
    return _unavailable(f"Pusher says that something is wrong ({text}).")


def from_status(status: int, text: str) -> RealtimeError:
    """An HTTP answer that is no success."""
    text = text.strip().splitlines()[0][:200] if text.strip() else "no words"
    if status == 413:
        return TooLarge(f"Pusher finds a message too large ({text}).")
    if status == 429:
        return RateLimited("Pusher takes no more messages for now (429).", retry_after_s=RETRY_AFTER_S)
    if 400 <= status < 500 and status != 408:
        return ProviderRefused(f"Pusher refuses ({status}: {text}).", remedy=CHECK)
    return _unavailable(f"Pusher cannot answer ({status}).")


def from_exception(error: Exception) -> RealtimeError:
    """Whatever the network, websockets or httpx raised; the caller keeps it as the cause."""
    if isinstance(error, RealtimeError):
        return error
    if isinstance(error, ConnectionClosed):
        close = error.rcvd
        return from_code(close.code if close else None, (close.reason if close else "") or "it broke off")
    if isinstance(error, InvalidStatus):
        return from_status(error.response.status_code, error.response.body.decode(errors="replace"))
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return _unavailable("Pusher does not answer in time.")
    if isinstance(error, OSError | httpx.TransportError | WebSocketException):
        return _unavailable(f"Pusher cannot be reached ({type(error).__name__}).")
    return _unavailable(f"Pusher cannot be used for now ({type(error).__name__}).")


def _unavailable(text: str, retry_after_s: float = AT_ONCE_S) -> ProviderUnavailable:
    error = ProviderUnavailable(text)
    error.retry_after_s = retry_after_s
    return error
