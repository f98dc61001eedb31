"""`POST /api/events`: events in."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from realtime_ui.access.policy import Action, require
from realtime_ui.api.identity import AuthenticatedRoute, Caller
from realtime_ui.core import metrics
from realtime_ui.core.errors import InvalidRequest, RealtimeError, TooLarge, UnsupportedMedia
from realtime_ui.core.messages import Event, Json
from realtime_ui.core.payloads import too_deep
from realtime_ui.core.principals import Principal
from realtime_ui.runtime import current

logger = logging.getLogger(__name__)

router = APIRouter(tags=["events"], route_class=AuthenticatedRoute)

MAX_LIST = 1_000
LOGGED_IDS = 5


class EventIn(BaseModel):
    """An event to emit."""

    type: str = Field(description="Dotted lower-case words; the first part chooses the route.")
    payload: dict[str, Any] = Field(description="A JSON object with the route's id; at most 64 KiB and 64 levels deep.")
    id: str | None = Field(None, description="Your own id; the same id with the same content is stored once.")


class Place(BaseModel):
    """Where an event stands."""

    channel: str
    seq: int | None = Field(description="Null for an ephemeral event, which the log does not have.")
    epoch: str | None


class Accepted(BaseModel):
    """The answer for one event."""

    id: str
    type: str
    channels: list[Place]
    duplicate: bool = Field(description="Whether all of it had been stored before.")


class AcceptedEvents(BaseModel):
    """The answer after the commit: one entry an event, in order."""

    events: list[Accepted]


_EXAMPLE = {"type": "project.updated", "payload": {"projectId": "abc123", "changes": {"status": "completed"}}}
_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        EventIn.model_json_schema(),
                        {"type": "array", "items": EventIn.model_json_schema(), "maxItems": MAX_LIST},
                    ]
                },
                "example": _EXAMPLE,
            }
        },
    }
}


@router.post(
    "/api/events", status_code=202, response_model=AcceptedEvents, openapi_extra=_REQUEST_BODY, summary="Emit events"
)
async def emit(request: Request, caller: Caller) -> JSONResponse:
    """Store one event, or a list of up to 1,000 (whole or not at all); answers when they are committed."""
    runtime = current()
    principal = require(caller, Action.EMIT, None)
    items, prefixes = _items(await _json(request))
    events: list[Event] = []
    try:
        with metrics.failed_emits_counted(len(items)):
            runtime.emit_limit.spend(principal.label, len(items))
            events += (_event(item, principal, prefix) for item, prefix in zip(items, prefixes, strict=True))
        receipts = await runtime.bus.emit_many_as(principal, events)
    except RealtimeError as error:
        _log(metrics.outcome_of(error), len(items), events, reason=error.detail)
        raise
    _log("stored", len(items), events)
    return JSONResponse({"events": [receipt.public() for receipt in receipts]}, status_code=202)


def _log(outcome: str, count: int, events: Sequence[Event], **more: str) -> None:
    """One line a request, so that an event's id leads to the request that brought it."""
    ids = [event.id for event in events[:LOGGED_IDS]]
    logger.info("Emit request", extra={"outcome": outcome, "events": count, "event_ids": ids, **more})


async def _json(request: Request) -> Json:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMedia(
            f"The body is {kind or 'of no stated type'}.",
            field="Content-Type",
            remedy="Send Content-Type: application/json.",
        )
    try:
        return json.loads(await request.body())
    except RecursionError:  # the parser's own bound, which is far beyond ours
        raise too_deep("payload") from None
    except ValueError as error:
        raise InvalidRequest(f"The body is not JSON: {error}.", remedy="Send an event or a list of them.") from error


def _items(body: Json) -> tuple[list[Json], list[str]]:
    if not isinstance(body, list):
        return [body], [""]
    if not body:
        raise InvalidRequest("The list is empty.", remedy="Send at least one event.")
    if len(body) > MAX_LIST:
        raise TooLarge(f"The list has {len(body):,} events; {MAX_LIST:,} is the limit.", remedy="Send several lists.")
    return body, [f"[{number}]." for number in range(len(body))]


def _event(item: Json, principal: Principal, prefix: str) -> Event:
    if not isinstance(item, dict):
        raise InvalidRequest("An event is not a JSON object.", field=prefix.rstrip(".") or None, remedy="Send objects.")
    unknown = sorted(set(item) - EventIn.model_fields.keys())
    if unknown:
        raise InvalidRequest(
            "An event has a field that means nothing.",
            field=f"{prefix}{unknown[0][:60]}",
            remedy="Put your data into payload.",
        )
    return Event.create(
        item.get("type"),
        item.get("payload"),
        principal.tenant,
        id=item.get("id"),
        emitted_by=principal.stamp,
        prefix=prefix,
    )
