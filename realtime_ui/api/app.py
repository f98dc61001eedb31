"""The HTTP API as a FastAPI app; Reflex's own routes and pages are mounted behind it."""

from fastapi import FastAPI, Request

from realtime_ui.api import channels, events, sign_in
from realtime_ui.api.problems import install_problems
from realtime_ui.core.errors import NotFound

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


def create_api() -> FastAPI:
    """The app, with every route under /api and JSON for all that is not there."""
    api = FastAPI(
        title="Realtime UI",
        description="Emit events, read channels, name them. Errors are RFC 9457 problem details.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    install_problems(api)
    for module in (events, channels, sign_in):
        api.include_router(module.router)

    @api.api_route("/api", methods=METHODS, include_in_schema=False)
    @api.api_route("/api/{path:path}", methods=METHODS, include_in_schema=False)
    async def unknown(request: Request) -> None:
        raise NotFound(f"There is nothing at {request.url.path}.", remedy="See /api/openapi.json for what there is.")

    return api
