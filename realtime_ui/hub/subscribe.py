"""What a tab asks for when it subscribes, checked; where its rows begin, and the page that it gets."""

import uuid
from dataclasses import dataclass
from typing import Protocol

from realtime_ui.core.channels import ChannelName, clip
from realtime_ui.core.errors import InvalidRequest
from realtime_ui.core.messages import Head, Message
from realtime_ui.persistence.event_log import ChannelKey

MAX_REWIND = 500
MAX_TEXT = 300
MAX_STATES = 10
PAGE = 200
PAGE_BYTES = 256_000


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """A checked `sub`."""

    channel: ChannelName
    last: int | None
    epoch: str
    rewind: int
    states: tuple[str, ...]

    @classmethod
    def parse(cls, data: object) -> "SubscribeRequest":
        """Check what came in.

        Raises:
            InvalidRequest, InvalidEvent: a field has the wrong type or is out of bounds.
        """
        if not isinstance(data, dict):
            raise InvalidRequest("sub takes an object.", remedy="Send {channel, last, epoch, rewind}.")
        last, epoch, rewind = data.get("last"), data.get("epoch", ""), data.get("rewind", 50)
        states = data.get("states", [])
        if not (last is None or (type(last) is int and 0 <= last < 2**62)):
            raise InvalidRequest(f"last is {clip(last)}.", field="last", remedy="Send the last seq you have, or null.")
        if not (type(rewind) is int and 0 <= rewind <= MAX_REWIND):
            raise InvalidRequest(f"rewind is {clip(rewind)}.", field="rewind", remedy=f"Send 0 to {MAX_REWIND}.")
        if not (isinstance(epoch, str) and len(epoch) <= MAX_TEXT):
            raise InvalidRequest(f"epoch is {clip(epoch)}.", field="epoch", remedy="Send the epoch you were given.")
        return cls(ChannelName.parse(data.get("channel")), last, epoch, rewind, checked_states(states))

    def kind(self, after: int, reset: bool) -> str:
        """How the rows begin, in one word: fresh, resume, gap or reset."""
        if reset:
            return "reset"
        if self.last is None:
            return "fresh"
        return "gap" if after > self.last else "resume"

    def begin(self, head: Head) -> tuple[int, bool]:
        """After which seq the rows begin, and whether what the tab has is void, with the log as `head` says."""
        known = self.last is not None and self.epoch == head.epoch and self.last <= head.last
        began_empty = self.last == 0 and not self.epoch  # it watched from before the channel's first event
        if self.last is not None and (known or began_empty):
            return max(self.last, head.first - 1), False
        return max(head.first - 1, head.last - self.rewind), self.last is not None and self.epoch != ""


class LogReader(Protocol):
    """What reading a channel needs of the log."""

    async def head(self, tenant: uuid.UUID, channel: ChannelName) -> Head | None:
        """Where a channel stands."""
        ...

    async def read(
        self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int
    ) -> list[Message]:
        """A page of a channel, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """What a tab gets: the `rows` that follow seq `after`; with `reset`, in place of what it has."""

    head: Head
    after: int
    reset: bool
    rows: list[Message]

    @property
    def more(self) -> bool:
        """Whether another page follows."""
        return bool(self.rows) and self.rows[-1].seq < self.head.last


async def read_page(log: LogReader, key: ChannelKey, wish: SubscribeRequest) -> Page:
    """Read what follows on what a tab has.

    Raises:
        DatabaseUnavailable: the log cannot be read now.
    """
    while True:
        head = await log.head(*key) or Head("", 1, 0)
        after, reset = wish.begin(head)
        rows = await log.read(*key, after=after, limit=PAGE, max_bytes=PAGE_BYTES)
        if not rows or rows[0].epoch == head.epoch:
            break
        # The channel's first event, or another epoch, came between the two: what the tab is told must be of one.
    oldest = rows[0].seq if rows else head.last + 1
    if oldest > after + 1:  # the log was pruned since the head was read
        after, head = oldest - 1, Head(head.epoch, oldest, head.last)
    return Page(head, after, reset, rows)


def checked_states(states: object) -> tuple[str, ...]:
    """The names of a few state classes, as a tab sent them.

    Raises:
        InvalidRequest: not a short list of short strings.
    """
    if not (
        isinstance(states, list)
        and len(states) <= MAX_STATES
        and all(isinstance(state, str) and len(state) <= MAX_TEXT for state in states)
    ):
        raise InvalidRequest(f"states is {clip(states)}.", field="states", remedy="Send a few state names.")
    return tuple(states)
