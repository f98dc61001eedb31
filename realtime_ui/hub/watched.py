"""One watched channel: brings its messages into order and gathers them for the next frame. It waits for nothing.

`seq <= last` is dropped, what comes early is kept, and what is missing between the two is the log's to tell.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Ephemeral, Head, Message
from realtime_ui.persistence.event_log import ChannelKey

EARLY_LIMIT = 1_000
RECENT_LIMIT = 1_000


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
    seen: int = 0  # the highest seq known to exist
    delivered: int = 0  # how many messages were handed on
    window_open: bool = False
    reading: "asyncio.Task[None] | None" = None
    behind_since: float | None = None  # while it knows of a message that it does not have
    _early: dict[int, Message] = field(default_factory=dict)
    _buffer: list[Message] = field(default_factory=list)
    _ephemeral: list[Ephemeral] = field(default_factory=list)
    _recent: dict[str, None] = field(default_factory=dict)  # the ids of ephemeral messages, oldest first

    def begin_at(self, head: Head | None) -> bool:
        """Begin after a head; False when what came meanwhile leaves a hole."""
        self.epoch, self.last = (head.epoch, head.last) if head else ("", 0)
        self.ready = True
        early, self._early = self._early, {}
        whole = all([self.accept(early[seq]) for seq in sorted(early)])
        return whole and self.last >= self.seen

    def restart_at(self, head: Head) -> None:
        """Begin anew in another epoch; what had gathered belongs to the old one."""
        self.epoch, self.last, self.seen, self.behind_since = head.epoch, head.last, head.last, None
        self._early.clear()
        self._buffer.clear()

    def accept(self, message: Message) -> bool:
        """Take a committed message; False when the log must be asked: for a hole, or for another epoch."""
        if not self.ready:
            self._early[message.seq] = message
            return True
        if self.epoch == "":  # the channel's first event
            self.epoch = message.epoch
        if message.epoch != self.epoch:
            return False
        if message.seq <= self.last:
            return True
        self.seen = max(self.seen, message.seq)
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
        if page and page[0].seq > self.last + 1:
            self.last = page[0].seq - 1  # tabs show the gap themselves
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

    def _push(self, message: Message) -> None:
        self.last = message.seq
        if message.seq >= self.seen:
            self.behind_since = None
        self._buffer.append(message)
