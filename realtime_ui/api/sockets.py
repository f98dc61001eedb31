"""How many WebSockets one caller may have open: a person, or a network address for those who are not signed in.

An office shares an address, so signed-in people do not count against it. Counted before anything is accepted, for
each worker by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime_ui.access.gate import SCOPE_TOKEN
from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.networks import network_of
from realtime_ui.api.guard import send_problem
from realtime_ui.core import metrics
from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import InvalidRequest, RealtimeError, TooLarge, TooManyConnections
from realtime_ui.core.principals import Person
from realtime_ui.hub.fanout import SCOPE_SEND, cut_off
from realtime_ui.hub.namespace import SCOPE_REFUSAL

MAX_HEADERS = 16_384
"""Bytes of a handshake's headers: Reflex keeps them in the tab's state."""
MAX_TOKEN = 128
TOLD = 10
"""So many sockets beyond a bound are accepted, so that the page can say why it is refused; others get a 429."""
TOLD_S = 5.0
"""How long such a socket may take to read it."""
NEW_PER_S = 5.0
"""How often an address of strangers may open a socket in the long run; at once, twice as many as it may have."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Bounds, from Settings."""

    per_person: int
    per_address: int


class SocketDoor:
    """Wraps an ASGI app.

    Args:
        app: what the sockets are for.
        identify: who a session's token belongs to.
        limits: how many.
        clock: tells the time.
    """

    def __init__(
        self,
        app: ASGIApp,
        identify: Callable[[str | None], Awaitable[Person | None]],
        limits: SocketLimits,
        clock: Clock | None = None,
    ) -> None:
        self._app = app
        self._identify = identify
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._new = RateLimiter(NEW_PER_S, 2 * limits.per_address, clock or SystemClock())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a socket in, or refuse it."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        try:
            _check_handshake(scope)
            caller, most = await self._caller(scope)
        except RealtimeError as error:
            metrics.HANDSHAKES_REFUSED.labels("malformed" if error.status < 429 else "bound").inc()
            await _refuse(scope, receive, send, error)
            return
        over = self._open[caller] - most
        refusal = None
        if over >= 0:
            metrics.HANDSHAKES_REFUSED.labels("bound").inc()
            refusal = too_many(most, caller)
            if over >= TOLD:
                await _refuse(scope, receive, send, refusal)
                return
            scope[SCOPE_REFUSAL] = refusal
        self._open[caller] += 1
        ending = asyncio.get_running_loop().call_later(TOLD_S, cut_off, scope.get(SCOPE_SEND)) if refusal else None
        try:
            await self._app(scope, receive, send)
        finally:
            if ending:
                ending.cancel()
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    async def _caller(self, scope: Scope) -> tuple[str, int]:
        """The person or address that a socket counts for, and how many they may have.

        Raises:
            TooManyConnections: the address opens too many in too short a time.
        """
        try:
            person = await self._identify(scope.get(SCOPE_TOKEN))
        except RealtimeError:  # the database is away, and this worker does not know the cookie
            person = None
        if person is not None:
            return f"person:{person.tenant}/{person.id}", self._limits.per_person
        caller = f"address:{network_of((scope.get('client') or ('unknown',))[0])}"
        try:
            self._new.spend(caller)
        except RealtimeError as error:
            raise too_many(self._limits.per_address, caller) from error
        return caller, self._limits.per_address


def too_many(most: int, caller: str) -> TooManyConnections:
    """The error for a caller that has reached a bound."""
    if caller.startswith("person:"):
        return TooManyConnections(
            f"You have {most} pages open, and no more may be.", remedy="Close some of them and reload this one."
        )
    return TooManyConnections(
        f"From your network {most} pages are open where nobody is signed in, and no more may be.",
        remedy="Sign in, or try again later.",
    )


def _check_handshake(scope: Scope) -> None:
    """Refuse a handshake that no page of ours makes.

    Raises:
        InvalidRequest: Reflex's client token is missing, or is none.
        TooLarge: the headers are.
    """
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
        raise TooLarge(f"The headers pass the limit of {MAX_HEADERS:,} bytes.", remedy="Clear this site's cookies.")
    query = parse_qs(scope.get("query_string", b"")[: 4 * MAX_HEADERS].decode("latin-1"))
    [token] = query.get("token", [""])[:1] or [""]
    if not 0 < len(token) <= MAX_TOKEN:
        raise InvalidRequest("The socket comes without a client token.", field="token", remedy="Open a page instead.")


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RealtimeError) -> None:
    """Answer a handshake with an error: as HTTP where the server can."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.title})
        return

    async def as_denial(message: Message) -> None:
        await send({**message, "type": str(message["type"]).replace("http.", "websocket.http.")})

    await send_problem(as_denial, error)
