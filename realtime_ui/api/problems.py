"""Turns every error of the API into RFC 9457 problem details."""

import logging
import math

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from realtime_ui.core.errors import (
    InvalidEvent,
    InvalidRequest,
    NotFound,
    RateLimited,
    RealtimeError,
    Unavailable,
)

logger = logging.getLogger(__name__)


def install_problems(api: FastAPI) -> None:
    """Register the handlers on an app."""
    api.add_exception_handler(RealtimeError, _realtime)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _unexpected)


def respond(error: RealtimeError) -> JSONResponse:
    """The response for an error."""
    headers = {}
    if isinstance(error, (RateLimited, Unavailable)):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        error.problem(), status_code=error.status, headers=headers, media_type="application/problem+json"
    )


async def _realtime(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RealtimeError)
    return respond(error)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    """FastAPI refused a parameter: name it and say what it should be."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return respond(
        InvalidEvent(
            f"{first['msg'].removeprefix('Value error, ')}.",
            field=field or None,
            remedy="See /api/openapi.json for what is expected.",
        )
    )


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return respond(
            NotFound(f"There is nothing at {request.url.path}.", remedy="See /api/openapi.json for what there is.")
        )
    refusal = InvalidRequest(
        f"{request.method} is not possible at {request.url.path}."
        if error.status_code == 405
        else "The request cannot be read.",
        remedy="See /api/openapi.json for what is.",
    )
    refusal.status, refusal.title = error.status_code, str(error.detail)
    return respond(refusal)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    route = request.scope.get("route")  # the path itself is the caller's
    logger.error("Unexpected error at %s", getattr(route, "path", "an unknown path"), exc_info=error)
    return respond(RealtimeError("The server failed at this request.", remedy="Try again; tell us if it stays."))
