"""`/api/channels/…`: history out, titles in."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from realtime_ui.access.policy import Action, require
from realtime_ui.api.identity import AuthenticatedRoute, Caller
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidRequest, NotFound
from realtime_ui.core.names import checked_name
from realtime_ui.persistence.channels import EVERY_TYPE
from realtime_ui.runtime import current

router = APIRouter(tags=["channels"], route_class=AuthenticatedRoute)

MAX_PAGE = 1_000
MAX_TITLE = 200
MAX_TYPES = 50
_TYPE_PATTERN = re.compile(r"\*|[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?")


class EmitterOut(BaseModel):
    """Who emitted a message: `kind` is person, key, foreign (a client of the provider) or app (the app's own code)."""

    kind: str
    name: str


class UnreadableOut(BaseModel):
    """Says of a message that its payload is not shown."""

    bytes: int = Field(description="How large the payload is.")
    reason: Literal["depth", "size", "number"] = Field(
        description="Nested more than 64 levels deep, larger than 256 KiB, or with a number that readers do not take."
    )


class MessageOut(BaseModel):
    """A message on a channel; `timestamp` is ms since the Unix epoch."""

    seq: int
    id: str
    type: str
    data: Any = Field(description="The payload; null where it is unreadable.")
    timestamp: int
    emitted_by: EmitterOut | None
    unreadable: UnreadableOut | None = Field(None, description="There only where `data` is null for this reason.")


class History(BaseModel):
    """A page of a channel, oldest first.

    `first` and `last` are the seqs that the log keeps, `kept_days` for how many days (null: for ever).
    """

    channel: str
    title: str | None
    epoch: str
    first: int
    last: int
    kept_days: float | None
    messages: list[MessageOut]


def _title(value: str) -> str:
    try:
        return checked_name(value, field="title", longest=MAX_TITLE)
    except InvalidRequest as error:
        raise ValueError(error.detail.rstrip(".")) from error


Title = Annotated[str, AfterValidator(_title)]


def _inbound(value: object) -> bool | list[str]:
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and len(value) <= MAX_TYPES and all(map(_is_pattern, value)):
        return value
    raise ValueError(f"inbound is true, false, or up to {MAX_TYPES} types such as project.noted or project.*")


def _is_pattern(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 100 and _TYPE_PATTERN.fullmatch(value) is not None


InboundTypes = Annotated[
    Any,
    AfterValidator(_inbound),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]}),
]


class ChannelIn(BaseModel):
    """What to change of a channel; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = Field(None, description="For people; null takes it away.")
    inbound: InboundTypes = Field(
        False,
        description="Whether what others publish on it over the provider is recorded even when nobody watches; a list "
        "names the types, or prefixes like `project.*`, that are accepted from clients whose identity the provider "
        "does not vouch for, and true all of them. What is not accepted is recorded as `foreign.message`.",
    )


class ChannelOut(BaseModel):
    """A channel as it is now."""

    channel: str
    title: str | None
    inbound: bool | list[str]


@router.get("/api/channels/{name}/history", summary="Read a channel", response_model_exclude_unset=True)
async def history(
    caller: Caller,
    name: str,
    after: Annotated[int | None, Query(ge=0, lt=2**62, description="Only messages above this seq.")] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**62, description="Only messages below this seq.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")] = 100,
) -> History:
    """Messages above `after` from the oldest on; or the newest ones below `before` (or of all, with neither)."""
    channel = ChannelName.parse(name, field="name")
    tenant = require(caller, Action.READ, channel).tenant
    if after is not None and before is not None and after >= before:
        raise InvalidRequest("after is not below before.", field="after", remedy="Send one of them, or after < before.")
    runtime = current()
    while True:
        head = await runtime.log.head(tenant, channel)
        if head is None:
            raise NotFound(
                f"There is no channel {channel} here.", field="name", remedy="Emit to it, or give it a title."
            )
        below = head.last + 1 if after is None and before is None else before
        messages = await runtime.log.read(tenant, channel, after=after or 0, before=below, limit=limit)
        if not messages or messages[0].epoch == head.epoch:
            break  # else another epoch began between the two: look again
    return History(
        channel=str(channel),
        title=await runtime.channels.title(tenant, channel),
        epoch=head.epoch,
        first=head.first,
        last=head.last,
        kept_days=runtime.settings.retention[channel.type],
        messages=[MessageOut.model_validate(message.row()) for message in messages],
    )


@router.put("/api/channels/{name}", summary="Name a channel, or open it for others")
async def change(caller: Caller, name: str, body: ChannelIn) -> ChannelOut:
    """Give a channel a title for people, or let others publish on it. Needs an admin or a key that may emit."""
    channel = ChannelName.parse(name, field="name")
    tenant = require(caller, Action.EMIT, channel).tenant
    channels = current().channels
    if "title" in body.model_fields_set:
        await channels.set_title(tenant, channel, body.title)
    if "inbound" in body.model_fields_set:
        given = body.inbound
        types = (tuple(given) or None) if isinstance(given, list) else EVERY_TYPE if given else None
        await channels.set_inbound(tenant, channel, types)
    title, inbound = await channels.described(tenant, channel)
    accepted: bool | list[str] = inbound == EVERY_TYPE if inbound in (None, EVERY_TYPE) else list(inbound)
    return ChannelOut(channel=str(channel), title=title, inbound=accepted)
