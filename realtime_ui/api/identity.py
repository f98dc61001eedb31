"""Who sent an HTTP request, and from where."""

from typing import Annotated

from fastapi import Depends, Request

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
"""Declared on a route, so that it is asked before anything of the request is looked at."""


def client_address(request: Request) -> str:
    """The caller's network address as the server sees it; uvicorn reads trusted proxies' headers."""
    return request.client.host if request.client else "unknown"
