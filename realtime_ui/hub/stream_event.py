"""What streams send, as bytes: frames, encoded once for all streams, and single events of Server-Sent Events."""

import json
import random
import time
from collections.abc import Sequence

from sse_starlette.event import ServerSentEvent

from realtime_ui.core.endings import Ending
from realtime_ui.core.messages import Ephemeral, Json, Message
from realtime_ui.core.position import Position
from realtime_ui.hub.cursor import place_text


class Encoded:
    """A frame as streams send it, encoded once for all of them, plain and named each when first wanted."""

    def __init__(self, epoch: str, messages: Sequence[Message], ephemeral: Sequence[Ephemeral] = ()) -> None:
        self.epoch = epoch
        self.messages = messages
        self.ephemeral = ephemeral
        self._bodies: dict[bool, Bodies] = {}

    def bodies(self, named: bool) -> "Bodies":
        """(position, place, bytes) of each message; the bytes of the ephemeral ones; and how many bytes it all is."""
        found = self._bodies.get(named)
        if found is None:
            numbered = []
            for each in self.messages:
                position = Position(each.epoch, each.seq, each.tag)
                numbered.append((position, place_text(each.channel, position), _of_message(each, named)))
            fleeting = b"".join(event({"channel": str(each.channel), **each.row()}, named) for each in self.ephemeral)
            size = len(fleeting) + sum(len(body) for _, _, body in numbered)
            found = self._bodies[named] = (numbered, fleeting, size)
        return found


Bodies = tuple[list[tuple[Position, str, bytes]], bytes, int]


def _of_message(message: Message, named: bool) -> bytes:
    row = message.row()
    return event({"channel": str(message.channel), "seq": row.pop("seq"), "epoch": message.epoch, **row}, named)


def event(data: dict[str, Json], named: bool) -> bytes:
    """An event without an id, named by its type or not at all."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(text, event=data["type"] if named else None, sep="\n").encode()


def now_ms() -> int:
    """The wall clock's time in ms since the Unix epoch."""
    return round(time.time() * 1000)


FINAL_RETRY_MS = 60_000
"""EventSource cannot be told not to reconnect; where the page does not close it, it comes back after this, in ms."""


def closing(ending: Ending, detail: str, named: bool, *, after_ms: int | None = None) -> bytes:
    """The last bytes of a stream: why it ends, and when the client may come back.

    A final ending is an event `{type: "closed", code, name, detail, reconnect, after_ms, action}`, on which a client
    stops. One after which the client comes back anyway is a comment, so that no client has to know of it.

    Args:
        ending: why.
        detail: a more exact sentence; the table's own when "".
        named: whether events are named by their type.
        after_ms: how long the client should wait, where that is known better than in the table.
    """
    packet = ending.packet(detail, after_ms=after_ms)
    wait = packet["after_ms"] if packet["reconnect"] else FINAL_RETRY_MS
    retry = ServerSentEvent(
        comment=f"{packet['name']}: {packet['detail']}", retry=round(wait * random.uniform(0.5, 1.5)), sep="\n"
    ).encode()
    return retry if packet["reconnect"] else retry + event({"type": "closed", **packet}, named)
