"""HTTP whose requests arrive in time: uvicorn itself waits for slow ones without end."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from realtime_ui.core.errors import RealtimeError

HEADERS_S = 10.0
LINGER_S = 1.0
"""How long what still comes of a refused request is read and dropped. Where a connection is closed with unread data,
the client's system may drop the answer before it is read (RFC 9112, section 9.6)."""
MAX_HEADERS = 65_536
"""Bytes of a request's first line and headers."""


class RequestTimeout(RealtimeError):
    """The request did not arrive in time."""

    status = 408
    title = "Request timeout"


class HeadersTooLarge(RealtimeError):
    """The request's headers are."""

    status = 431
    title = "Request header fields too large"


class TimelyHttp(HttpToolsProtocol):
    """Answers 408 and closes where a request's headers or body take too long, 431 where its headers are too large.

    The time runs from a request's first byte (for the first request of a connection, from its beginning), and not
    while the answer is made or an answer is streamed.
    """

    body_s = 30.0
    """How long a whole request may take to arrive, in s."""
    headers_s = HEADERS_S

    _deadline: asyncio.TimerHandle | None = None
    _heard = 0
    _in_headers = True
    _refused = False

    def connection_made(self, transport: Any) -> None:
        """Expect a request."""
        super().connection_made(transport)
        self._wait_for(self.headers_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._wait_for(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count headers while they come; drop what comes after a refusal."""
        if self._refused:
            return
        if self._in_headers:
            self._heard += len(data)
        super().data_received(data)
        if self._in_headers and self._heard > MAX_HEADERS and not self.transport.is_closing():
            self._end_with(HeadersTooLarge(f"The headers pass {MAX_HEADERS:,} bytes.", remedy="Send fewer."))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_headers = True
        self._wait_for(min(self.headers_s, self.body_s))

    def on_headers_complete(self) -> None:
        """Its headers are there; a WebSocket leaves with them."""
        super().on_headers_complete()
        self._in_headers, self._heard = False, 0
        upgrades = self.parser.should_upgrade() and self._should_upgrade()
        self._wait_for(None if upgrades else self.body_s)

    def on_message_complete(self) -> None:
        """All of it is there."""
        super().on_message_complete()
        self._in_headers = True  # of the next one
        self._wait_for(None)

    def _wait_for(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self.transport.is_closing():
            return
        if self._in_headers and not self._heard:  # a browser opens connections ahead of their use
            self.transport.close()
            return
        self._end_with(RequestTimeout("The request did not arrive in time.", remedy="Send it again, or less at once."))

    def _end_with(self, error: RealtimeError) -> None:
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not (self._in_headers and cycle.response_complete):
            self.transport.close()  # that request has its answer, or part of it
            return
        body = json.dumps(error.problem()).encode()
        head = (
            f"HTTP/1.1 {error.status} {error.title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._wait_for(None)
        self._refused = True
        if cycle is not None and not cycle.response_complete:  # nothing that the app sends for it goes out any more
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        self.transport.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.close)


def timely_http(body_s: float) -> type[TimelyHttp]:
    """The protocol, for `uvicorn.Config(http=…)`.

    Args:
        body_s: how long a whole request may take to arrive, in s.
    """
    return type("TimelyHttp", (TimelyHttp,), {"body_s": body_s})
