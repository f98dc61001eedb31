"""The HTTP API as a FastAPI app, beside Reflex's own routes and pages."""

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from realtime_ui.api import channels, events, health, keys, sign_in, stream, token
from realtime_ui.api.problems import install_problems
from realtime_ui.core.errors import NotFound

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


def create_api() -> FastAPI:
    """The app, with every route under /api and JSON for all that is not there."""
    api = FastAPI(
        title="Realtime UI",
        description="Emit events, read and follow channels, name them. Errors are RFC 9457 problem details.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # such a redirect would name the host that the request names
    )
    install_problems(api)
    for module in (events, channels, stream, token, sign_in, keys, health):
        api.include_router(module.router)

    @api.api_route("/api", methods=METHODS, include_in_schema=False)
    @api.api_route("/api/{path:path}", methods=METHODS, include_in_schema=False)
    async def unknown(request: Request) -> None:
        raise NotFound(f"There is nothing at {request.url.path}.", remedy="See /api/openapi.json for what there is.")

    return api


def beside(pages: ASGIApp) -> ASGIApp:
    """The API under /api and everything else as it was.

    Beside, not around: a WebSocket would keep every layer it came through for as long as it lasts.
    """
    api = create_api()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_api = scope["type"] == "http" and (path == "/api" or path.startswith("/api/"))
        await (api if is_api else pages)(scope, receive, send)

    return app
