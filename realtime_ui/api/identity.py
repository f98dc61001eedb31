"""Who sent an HTTP request, and from where."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from realtime_ui.access.policy import known
from realtime_ui.core.principals import Principal
from realtime_ui.runtime import current


async def caller_of(request: Request) -> Principal:
    """The principal behind a request's headers.

    Raises:
        NotAuthenticated: there is none, or an API key was sent that is not valid.
    """
    headers = request.headers
    return known(await current().gate.by_headers(headers.get("authorization"), headers.get("cookie")))


Caller = Annotated[Principal, Depends(caller_of)]
"""Declared on a route that needs a caller; its router has `AuthenticatedRoute`."""


class AuthenticatedRoute(APIRoute):
    """A route that authenticates before it reads the body or checks a parameter, so that strangers get 401 first.

    FastAPI itself reads and parses a body before it resolves dependencies.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with authentication in front."""
        handle = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            await caller_of(request)
            return await handle(request)

        return authenticated


def client_address(request: Request) -> str:
    """The caller's network address as the server sees it; uvicorn reads trusted proxies' headers."""
    return request.client.host if request.client else "unknown"
