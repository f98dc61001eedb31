"""Who sent an HTTP request, and from where."""

from fastapi import Request

from realtime_ui.core.principals import Principal
from realtime_ui.runtime import current


async def principal_of(request: Request) -> Principal | None:
    """The principal behind a request's headers, or None.

    Raises:
        NotAuthenticated: an API key was sent and is not valid.
    """
    headers = request.headers
    return await current().gate.by_headers(headers.get("authorization"), headers.get("cookie"))


def client_address(request: Request) -> str:
    """The caller's network address as the server sees it; uvicorn reads trusted proxies' headers."""
    return request.client.host if request.client else "unknown"
