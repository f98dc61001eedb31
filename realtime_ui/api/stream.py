"""`GET /api/stream`: channels as Server-Sent Events, for browsers' EventSource, curl and programs."""

import random
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sse_starlette import EventSourceResponse
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send

from realtime_ui.api.identity import AuthenticatedRoute, Caller, client_address
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import NotAllowed, NotAuthenticated, RateLimited, RealtimeError, Unavailable
from realtime_ui.core.principals import Principal
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.cursor import Cursor
from realtime_ui.hub.fanout import SCOPE_SEND, cut_off
from realtime_ui.hub.stream import Stream
from realtime_ui.hub.stream_event import closing
from realtime_ui.hub.streams import StreamRequest, Streams
from realtime_ui.hub.subscribe import MAX_REWIND
from realtime_ui.runtime import current

REFUSALS: tuple[tuple[type[RealtimeError], Ending], ...] = (
    (NotAuthenticated, Ending.SESSION_EXPIRED),
    (NotAllowed, Ending.RIGHTS_CHANGED),
    (RateLimited, Ending.TOO_MANY_CONNECTIONS),
    (Unavailable, Ending.UNAVAILABLE),
)
"""What a stream that is refused ends with; everything else is a protocol error."""


class StreamRoute(AuthenticatedRoute):
    """Answers a refusal with a stream that says why, where the client is a browser's EventSource.

    An EventSource gives up for good on any other answer than a stream, and its page cannot read the status. It is
    recognised by what it sends: it asks for `text/event-stream` and cannot send an `Authorization` header. Programs
    send their key there, and get HTTP statuses.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with refusals turned into streams."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await answer(request)
            except (RealtimeError, RequestValidationError) as error:
                headers = request.headers
                if "text/event-stream" not in headers.get("accept", "") or "authorization" in headers:
                    raise
                return Response(_refusal(error, request), media_type="text/event-stream")

        return handler


def _refusal(error: RealtimeError | RequestValidationError, request: Request) -> bytes:
    named = request.query_params.get("named", "").lower() in ("1", "true", "on", "yes", "t", "y")
    if isinstance(error, RequestValidationError):
        return closing(Ending.PROTOCOL_ERROR, f"{error.errors()[0]['msg']}.", named)
    ending = next((ending for kind, ending in REFUSALS if isinstance(error, kind)), Ending.PROTOCOL_ERROR)
    after_ms = round(error.retry_after_s * 1000) if isinstance(error, RateLimited) else None
    detail = " ".join(part for part in (error.detail, error.remedy) if part)
    return closing(ending, detail, named, after_ms=after_ms)


router = APIRouter(tags=["channels"], route_class=StreamRoute)

RETRY_MS = (2_000, 3_000)

# The worker ends our streams itself, at once and with a last word; the library would cancel them half a second later.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class StreamResponse(EventSourceResponse):
    """Sends a stream's events and closes the stream, however the connection ends.

    Args:
        streams: whose it is.
        stream: a new one.
    """

    def __init__(self, streams: Streams, stream: Stream) -> None:
        # A comment first, which makes proxies send the headers on. Heartbeats are our own.
        retry = ServerSentEvent(comment="realtime", retry=random.randint(*RETRY_MS), sep="\n").encode()
        super().__init__(streams.events(stream, retry), ping=0)
        self._streams = streams
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream or the connection ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._streams.close(self._stream)


@router.get(
    "/api/stream",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    summary="Follow channels as Server-Sent Events",
)
async def stream(
    request: Request,
    caller: Caller,
    channel: Annotated[list[str], Query(min_length=1, max_length=1_000, description="Once for each channel.")],
    named: Annotated[bool, Query(description="Name events by their type; else they are `message` events.")] = False,
    rewind: Annotated[int, Query(ge=0, le=MAX_REWIND, description="How many earlier messages to begin with.")] = 0,
    cursor: Annotated[str | None, Query(description="Where to go on: the last `id` that was received.")] = None,
    last_event_id: Annotated[str | None, Header(description="The same; EventSource sends it, and it wins.")] = None,
) -> StreamResponse:
    """Messages as `data: {channel, seq, epoch, id, type, data, timestamp}`, each with an `id` to resume from.

    Besides, `data: {"type":"heartbeat","timestamp":…}` at the channels' interval; `{"type":"gap",channel,first,last}`
    where messages are no longer kept; `{"type":"reset",channel,after}` where the log is not the one that was
    followed so far (it went back in a failover, or was restored): what came before is void, and messages follow from
    `after` on. A stream ends after some minutes; EventSource comes back by itself and misses nothing.

    One that ends for good says `{"type":"closed",code,name,detail,reconnect,after_ms,action}` first: the client should
    close. A refusal is such a stream for browsers' EventSource (`Accept: text/event-stream` without `Authorization`),
    which could not read its status.
    """
    runtime = current()
    streams = runtime.streams
    names = tuple(dict.fromkeys(ChannelName.parse(each) for each in channel))
    field, text = ("Last-Event-ID", last_event_id) if last_event_id else ("cursor", cursor)
    known = Cursor.parse(text, field=field, max_channels=streams.limits.channels) if text else None
    authorization, cookie = request.headers.get("authorization"), request.headers.get("cookie")

    async def identify() -> Principal | None:
        return await runtime.gate.by_headers(authorization, cookie)

    info = ClientInfo.of_scope(request.scope, "sse", runtime.settings.address_privacy)
    send = request.scope.get(SCOPE_SEND)
    wish = StreamRequest(names, named, rewind, known)
    opened = streams.open(wish, caller, identify, client_address(request), info, lambda: cut_off(send))
    return StreamResponse(streams, opened)
