"""What a tab asks for when it subscribes, checked; where a reader's rows begin, and the page that a tab gets."""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from realtime_ui.core.channels import ChannelName, clip
from realtime_ui.core.errors import InvalidRequest
from realtime_ui.core.messages import Head, Message
from realtime_ui.core.position import Follow, Position, follow
from realtime_ui.persistence.event_log import ChannelKey, Look

MAX_REWIND = 500
MAX_TEXT = 300
MAX_STATES = 10
PAGE = 200
PAGE_BYTES = 256_000
_TAG = re.compile(r"([0-9a-f]{16})?")


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """A checked `sub`."""

    channel: ChannelName
    position: Position | None
    rewind: int
    states: tuple[str, ...]

    @classmethod
    def parse(cls, data: object) -> "SubscribeRequest":
        """Check what came in.

        Raises:
            InvalidRequest, InvalidEvent: a field has the wrong type or is out of bounds.
        """
        if not isinstance(data, dict):
            raise InvalidRequest("sub takes an object.", remedy="Send {channel, last, epoch, tag, rewind}.")
        last, epoch, tag = data.get("last"), data.get("epoch", ""), data.get("tag", "")
        rewind = data.get("rewind", 50)
        states = data.get("states", [])
        if not (last is None or (type(last) is int and 0 <= last < 2**62)):
            raise InvalidRequest(f"last is {clip(last)}.", field="last", remedy="Send the last seq you have, or null.")
        if not (type(rewind) is int and 0 <= rewind <= MAX_REWIND):
            raise InvalidRequest(f"rewind is {clip(rewind)}.", field="rewind", remedy=f"Send 0 to {MAX_REWIND}.")
        if not (isinstance(epoch, str) and len(epoch) <= MAX_TEXT):
            raise InvalidRequest(f"epoch is {clip(epoch)}.", field="epoch", remedy="Send the epoch you were given.")
        if not (isinstance(tag, str) and _TAG.fullmatch(tag)):
            raise InvalidRequest(f"tag is {clip(tag)}.", field="tag", remedy="Send the tag you were given.")
        position = None if last is None else Position(epoch, last, tag)
        return cls(ChannelName.parse(data.get("channel")), position, rewind, checked_states(states))


class LogReader(Protocol):
    """What reading a channel needs of the log."""

    async def look(self, asked: Mapping[ChannelKey, int | None]) -> Mapping[ChannelKey, Look]:
        """Where channels stand, and the tag of the row at the seq asked for, or of the last one."""
        ...

    async def read(
        self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int
    ) -> list[Message]:
        """A page of a channel, oldest first."""
        ...


Check = Callable[[ChannelKey], Awaitable[None]]
"""Has the hub compare a channel with the log now; see `RealtimeHub.check`."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader's rows begin: with the first one after `position`, which is of the epoch of `head`.

    `how` is never DIVERGED: to the reader that is a reset like any other.
    """

    head: Head
    position: Position
    how: Follow


async def find_start(log: LogReader, key: ChannelKey, position: Position | None, rewind: int, check: Check) -> Start:
    """Find where a reader goes on.

    A position that contradicts the log resets its reader. It is a client's word, so it resets nobody else; but what
    it says may be true of all, so the hub compares what it knows itself first, which then begins a new epoch.

    Args:
        log: what there is.
        key: the channel.
        position: where the reader stands; None where it has nothing.
        rewind: with how many rows it begins that has nothing, or nothing that counts.
        check: has the hub compare.

    Raises:
        DatabaseUnavailable: the log cannot be read now.
    """
    look, how = await _follow(log, key, position)
    if how is Follow.DIVERGED:
        await check(key)
        look, how = await _follow(log, key, position)
    if how in (Follow.RESET, Follow.DIVERGED):
        look, _ = await _follow(log, key, None)
        how = Follow.RESET
    head = look.head
    if position and how is Follow.RESUME:
        return Start(head, Position(head.epoch, position.seq, position.tag), how)
    if how is Follow.GAP:
        return Start(head, Position(head.epoch, head.first - 1), how)
    after = max(head.first - 1, head.last - rewind)
    return Start(head, Position(head.epoch, after, look.tag if after == head.last else ""), how)


async def _follow(log: LogReader, key: ChannelKey, position: Position | None) -> tuple[Look, Follow]:
    look = (await log.look({key: position.seq if position else None})).get(key, Look.EMPTY)
    return look, follow(position, look.head, look.tag)


@dataclass(frozen=True, slots=True)
class Page:
    """What a tab gets: the `rows` that follow `start`; after a reset, in place of what it has."""

    start: Start
    rows: list[Message]

    @property
    def head(self) -> Head:
        """Where the log stood."""
        return self.start.head

    @property
    def reset(self) -> bool:
        """Whether what the tab had is void."""
        return self.start.how is Follow.RESET

    @property
    def more(self) -> bool:
        """Whether another page follows."""
        return bool(self.rows) and self.rows[-1].seq < self.head.last

    @property
    def tag(self) -> str:
        """The tag of the last row that the tab then has."""
        return self.rows[-1].tag if self.rows else self.start.position.tag


async def read_page(log: LogReader, key: ChannelKey, wish: SubscribeRequest, check: Check) -> Page:
    """Read what follows on what a tab has.

    Raises:
        DatabaseUnavailable: the log cannot be read now.
    """
    while True:
        start = await find_start(log, key, wish.position, wish.rewind, check)
        rows = await log.read(*key, after=start.position.seq, limit=PAGE, max_bytes=PAGE_BYTES)
        if not rows or rows[0].epoch == start.head.epoch:
            break
        # The channel's first event, or another epoch, came between the two: what the tab is told must be of one.
    head = start.head
    oldest = rows[0].seq if rows else head.last + 1
    if oldest > start.position.seq + 1:  # the log was pruned since the head was read
        how = Follow.GAP if start.how is Follow.RESUME else start.how
        start = Start(Head(head.epoch, oldest, head.last), Position(head.epoch, oldest - 1), how)
    return Page(start, rows)


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
