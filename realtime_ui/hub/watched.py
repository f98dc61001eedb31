"""One watched channel: brings its messages into order and gathers them for the next frame. It waits for nothing.

`seq <= last` is dropped, what comes early is kept, and what is missing between the two is the log's to tell.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.core.position import Position
from realtime_ui.persistence.event_log import ChannelKey, Look

EARLY_LIMIT = 1_000
RECENT_LIMIT = 1_000
KNOWN_TAGS = 64
"""Of how many of the newest rows the tags are remembered, to tell a double from another row with its number."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Consecutive messages of one channel, and ephemeral ones beside them.

    Without either it says that only the epoch changed.
    """

    tenant: uuid.UUID
    channel: ChannelName
    epoch: str
    messages: tuple[Message, ...]
    ephemeral: tuple[Ephemeral, ...] = ()


Sink = Callable[[Frame], None]
"""Called with every frame of a channel, in order; must not block."""


@dataclass(slots=True)
class Watched:
    """A channel that somebody here watches."""

    key: ChannelKey
    sinks: dict[Sink, int] = field(default_factory=dict)  # with how often each attached
    attached: bool = False  # to the wire
    attaching: "asyncio.Task[None] | None" = None
    ready: bool = False  # it knows where the log stood when it began
    epoch: str = ""
    last: int = 0  # the highest seq handed on, or gathered
    _tags: deque[str] = field(default_factory=lambda: deque(maxlen=KNOWN_TAGS))  # of the rows up to `last`, in order
    seen: int = 0  # the highest seq known to exist
    doubted: Position | None = None  # where a message contradicted it; nothing is taken until that is clear
    delivered: int = 0  # how many messages were handed on
    window_open: bool = False
    reading: "asyncio.Task[None] | None" = None
    behind_since: float | None = None  # while it knows of a message that it does not have
    _early: dict[int, Message] = field(default_factory=dict)
    _buffer: list[Message] = field(default_factory=list)
    _ephemeral: list[Ephemeral] = field(default_factory=list)
    _recent: dict[str, None] = field(default_factory=dict)  # the ids of ephemeral messages, oldest first

    @property
    def position(self) -> Position:
        """What is to be compared with the log: the last row handed on, or gathered, or one that is doubted."""
        return self.doubted or Position(self.epoch, self.last, self._tags[-1] if self._tags else "")

    @property
    def known(self) -> tuple[int, tuple[str, ...]]:
        """The seq of the first row whose tag is remembered, and the tags from there up to `last`."""
        return self.last - len(self._tags) + 1, tuple(self._tags)

    def doubt(self, seq: int, tag: str) -> None:
        """Hand nothing on until the log was asked about a row that was."""
        self.doubted = Position(self.epoch, seq, tag)

    def begin_at(self, look: Look) -> bool:
        """Begin after the last row; False when what came meanwhile leaves a hole."""
        self._stand_at(look)
        self.ready = True
        early, self._early = self._early, {}
        whole = all([self.accept(early[seq]) for seq in sorted(early)])
        return whole and self.last >= self.seen

    def restart_at(self, look: Look) -> None:
        """Begin anew in another epoch; what had gathered belongs to the old one."""
        self._stand_at(look)
        self.seen, self.behind_since, self.doubted = self.last, None, None
        self._early.clear()
        self._buffer.clear()

    def pass_over(self, last: int) -> None:
        """Go on after `last`, where that is further: the log does not keep what is up to there."""
        if last > self.last:
            self.last = last
            self._tags.clear()

    def forget_lost(self, last: int, seen: int) -> None:
        """Expect nothing above `last`, where the log ends, of what was known (up to `seen`) when that was read."""
        if seen > last:
            self._early = {seq: message for seq, message in self._early.items() if not last < seq <= seen}
            self.seen = max(self.last, last, self.seen if self.seen > seen else 0)

    def accept(self, message: Message) -> bool:
        """Take a committed message; False when the log must be asked: for a hole, another epoch, or another row."""
        if not self.ready:
            self._early[message.seq] = message
            return True
        if self.epoch == "":  # the channel's first event
            self.epoch = message.epoch
        if message.epoch != self.epoch:
            return False
        if message.seq <= self.last:
            if not self._has(message):
                self.doubted = self.position
            return self.doubted is None
        self.seen = max(self.seen, message.seq)
        if self.doubted:  # to follow on a row that is not the log's would hide that it is not
            return False
        if message.seq > self.last + 1:
            if len(self._early) < EARLY_LIMIT:
                self._early[message.seq] = message
            return False
        self._push(message)
        while following := self._early.pop(self.last + 1, None):
            self._push(following)
        return True

    def expect(self, seq: int, epoch: str) -> bool:
        """Hear of a committed message that is to be read from the log; False when it must be read now."""
        if not self.ready:
            self.seen = max(self.seen, seq)
            return True
        if epoch == self.epoch and seq <= self.last:
            return True
        self.seen = max(self.seen, seq)
        return False

    def accept_from_log(self, page: Sequence[Message]) -> None:
        """Take a page that follows on `last`; what it lacks below its first message, the log no longer keeps."""
        if page:
            self.pass_over(page[0].seq - 1)  # tabs show the gap themselves
        for message in page:
            self.accept(message)

    def accept_ephemeral(self, message: Ephemeral) -> None:
        """Take an ephemeral message once: what this worker emits comes back over the wire."""
        if not self.ready or message.id in self._recent or len(self._ephemeral) >= EARLY_LIMIT:
            return
        self._recent[message.id] = None
        if len(self._recent) > RECENT_LIMIT:
            del self._recent[next(iter(self._recent))]
        self._ephemeral.append(message)

    def take(self) -> Frame | None:
        """What has gathered, as a frame."""
        if not (self._buffer or self._ephemeral):
            return None
        frame = Frame(*self.key, self.epoch, tuple(self._buffer), tuple(self._ephemeral))
        self._buffer, self._ephemeral = [], []
        return frame

    def _stand_at(self, look: Look) -> None:
        self.epoch, self.last = look.head.epoch, look.head.last
        self._tags.clear()
        if look.tag:
            self._tags.append(look.tag)

    def _has(self, message: Message) -> bool:
        """Whether a message is the row that stands at its seq, as far as that is remembered."""
        age = self.last - message.seq
        return age >= len(self._tags) or self._tags[-1 - age] == message.tag

    def _push(self, message: Message) -> None:
        self.last = message.seq
        self._tags.append(message.tag)
        if message.seq >= self.seen:
            self.behind_since = None
        self._buffer.append(message)
