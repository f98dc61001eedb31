"""What callers want appended to the log, and what they are answered."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import (
    ChannelFull,
    Conflict,
    DatabaseUnavailable,
    InvalidEvent,
    InvalidRequest,
    RealtimeError,
    TooManyChannels,
)
from realtime_ui.core.messages import Event, Message
from realtime_ui.persistence.database import is_refusal, sql_state, violated
from realtime_ui.persistence.times import to_ms

logger = logging.getLogger(__name__)

LAST_SEQ = "realtime_channel_heads_last_seq_check"
"""The constraint by which no number passes what JavaScript can count (revision 0209)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way to one channel's log."""

    event: Event
    channel: ChannelName


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it came to stand; `duplicate` when it was there before."""

    message: Message
    duplicate: bool


@dataclass(slots=True)
class AppendRequest:
    """What one caller wants appended, whole or not at all, and the promise to it."""

    entries: Sequence[Entry]
    done: "asyncio.Future[list[Stored]]"
    keys: set[tuple[uuid.UUID, ChannelName, str]] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(entry.event.payload_json) for entry in self.entries)
        self.keys = {(entry.event.tenant, entry.channel, entry.event.id) for entry in self.entries}

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless the caller has an answer or went away."""
        if not self.done.done():
            self.done.set_exception(error)

    def answer(self, rows: Sequence[Any], most_channels: int | None) -> None:
        """Answer with what `realtime_append` returned for the entries.

        Args:
            rows: one for each entry, in order.
            most_channels: how many channels a tenant may have.
        """
        if self.done.done():  # the caller went away while its events were being stored
            return
        stored = []
        for entry, row in zip(self.entries, rows, strict=True):
            if row.verdict == "full":
                self.fail(TooManyChannels(entry.channel, most_channels))
                return
            if row.verdict == "refused":  # because of another entry of the list, which says why
                continue
            if row.verdict == "conflict":
                error = Conflict(
                    f"The id {entry.event.id!r} was used on {entry.channel} for other content.",
                    field="id",
                    remedy="Send a new id for a new event, or the same content again.",
                )
                self.fail(error)
                return
            stored.append(_stored(entry, row))
        self.done.set_result(stored)

    def refusal(self, error: Exception) -> RealtimeError:
        """What to answer where the entries failed by themselves; PostgreSQL's own words may quote the payload."""
        about = {"event_id": self.entries[0].event.id}
        if isinstance(error, InvalidRequest) or (isinstance(error, DBAPIError) and is_refusal(error)):
            state = sql_state(error) if isinstance(error, DBAPIError) else error.detail
            logger.warning("PostgreSQL refused an event: %s", state, extra=about)
            refusal: RealtimeError = (
                ChannelFull("A channel has given out its last number, 2^53 - 1.", remedy="Use another channel.")
                if isinstance(error, DBAPIError) and violated(error) == LAST_SEQ
                else InvalidEvent("PostgreSQL cannot store this payload.", field="payload", remedy="Simplify it.")
            )
            refusal.__cause__ = error
            return refusal
        if isinstance(error, DBAPIError) and sql_state(error) is not None:
            logger.error("An append failed: %s", sql_state(error), extra=about)
            return unavailable(error)
        logger.error("An event cannot be sent to PostgreSQL", exc_info=error, extra=about)
        refusal = InvalidEvent(
            "The event cannot be stored.", remedy="Make events with Event.create and routes of Route."
        )
        refusal.__cause__ = error
        return refusal


def unavailable(error: Exception) -> DatabaseUnavailable:
    """The answer where nothing is known about the outcome; `error` is the cause."""
    away = DatabaseUnavailable(
        "The database could not store this now.", remedy="Send the same event again in a moment."
    )
    away.__cause__ = error
    return away


def _stored(entry: Entry, row: Any) -> Stored:
    event = entry.event
    message = Message(
        event.tenant,
        entry.channel,
        row.seq,
        str(row.epoch),
        event.id,
        event.type,
        event.payload,
        to_ms(row.published_at),
        emitted_by=event.emitted_by,
    )
    return Stored(message, row.verdict == "duplicate")
