"""One channel: its messages in order, who is present, and who is attached."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tests.doubles.ably.wire import MAX_MESSAGE_BYTES, AblyError, Action, Flag, Frame, PresenceAction, normal, size_of

SYNC_PAGE = 20
_BATCH_ID = re.compile(r"(.*):(\d+)")


class Listener(Protocol):
    """An attached connection, as a channel knows it."""

    def deliver(self, frame: Frame, origin: str) -> None:
        """Take a frame with messages or presence, which connection `origin` sent."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A published frame at its place in the channel."""

    number: int
    frame: Frame
    origin: str


@dataclass
class Channel:
    """A channel of the app.

    `epoch` changes when continuity is lost: a serial of another epoch cannot be resumed from.
    """

    name: str
    epoch: Callable[[], str]
    entries: list[Entry] = field(default_factory=list)
    members: dict[tuple[str, str], Frame] = field(default_factory=dict)
    attached: dict[str, Listener] = field(default_factory=dict)
    _serials: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def serial(self) -> str:
        """The place of the newest frame."""
        return f"{self.epoch()}@{self.entries[-1].number if self.entries else 0:012}"

    def since(self, serial: str) -> list[Entry] | None:
        """What came after a place; None when nobody knows any more."""
        epoch, _, number = serial.rpartition("@")
        if epoch != self.epoch():
            return None
        return [entry for entry in self.entries if entry.number > int(number)]

    def publish(self, messages: list[Frame], frame_id: str, origin: str) -> list[str]:
        """Take messages of one publish; those whose id is known are not sent again. Gives their serials.

        Raises:
            AblyError: 40009 too large, 40031 ids that do not go together.
        """
        if (size := size_of(messages)) > MAX_MESSAGE_BYTES:
            raise AblyError(40009, f"Maximum message length exceeded; size = {size}, limit = {MAX_MESSAGE_BYTES}")
        _check_ids(messages)
        now, fresh, serials = int(time.time() * 1000), [], []
        for index, each in enumerate(map(normal, messages)):
            identity = each.get("id") or f"{frame_id}:{index}"
            if identity not in self._serials:
                self._serials[identity] = f"{self.epoch()}{now:014}-{len(self._serials):09}"
                fresh.append({**each, "id": identity, "timestamp": now, "serial": self._serials[identity], "action": 0})
            serials.append(self._serials[identity])
        if fresh:
            number = next(self._numbers)
            frame = {"action": Action.MESSAGE, "channel": self.name, "id": frame_id, "timestamp": now}
            if origin:
                frame["connectionId"] = origin
                fresh = [{"connectionId": origin, **each} for each in fresh]
            frame |= {"channelSerial": f"{self.epoch()}@{number:012}", "messages": fresh}
            self._send(Entry(number, frame, origin))
        return serials

    def present(self, changes: list[Frame], frame_id: str, origin: str, *, synthesized: bool = False) -> None:
        """Take changes of who is present; a client id must be in each."""
        now = int(time.time() * 1000)
        told = []
        for index, each in enumerate(map(normal, changes)):
            key = (origin, each["clientId"])
            identity = f"{'left:' if synthesized else ''}{frame_id}:{index}"
            action = PresenceAction(each["action"])
            if action is PresenceAction.LEAVE:
                if (before := self.members.pop(key, None)) is None:
                    continue
                if each.get("data") is None:
                    each = {**each, **{part: before[part] for part in ("data", "encoding") if part in before}}
            elif action is PresenceAction.UPDATE and key not in self.members:
                action = PresenceAction.ENTER
            elif action is PresenceAction.ENTER and key in self.members:
                action = PresenceAction.UPDATE
            entry = {**each, "id": identity, "action": action, "connectionId": origin, "timestamp": now}
            if action is not PresenceAction.LEAVE:
                self.members[key] = entry
            told.append(entry)
        if told:
            frame = {"action": Action.PRESENCE, "channel": self.name, "id": frame_id, "connectionId": origin}
            for listener in list(self.attached.values()):
                listener.deliver({**frame, "timestamp": now, "presence": told}, origin)

    def leave(self, origin: str) -> None:
        """A connection is gone: so are its members."""
        gone = [{"action": PresenceAction.LEAVE, "clientId": name} for owner, name in self.members if owner == origin]
        self.present(gone, f"{time.time_ns()}:0", origin, synthesized=True)

    def sync(self) -> Iterator[Frame]:
        """Who is present, in pages; the last one's cursor is empty."""
        members = [{**each, "action": PresenceAction.PRESENT} for each in self.members.values()]
        sequence = f"sync{time.time_ns()}"
        for start in range(0, len(members), SYNC_PAGE):
            last = start + SYNC_PAGE >= len(members)
            yield {
                "action": Action.SYNC,
                "channel": self.name,
                "channelSerial": f"{sequence}:{'' if last else start + SYNC_PAGE}",
                "timestamp": int(time.time() * 1000),
                "presence": members[start : start + SYNC_PAGE],
            }

    def attached_frame(self, *, resumed: bool = False, error: AblyError | None = None) -> Frame:
        """What an attached client is told."""
        flags = Flag.PRESENCE | Flag.PUBLISH | Flag.SUBSCRIBE | Flag.PRESENCE_SUBSCRIBE
        flags |= (Flag.RESUMED if resumed else Flag(0)) | (Flag.HAS_PRESENCE if self.members else Flag(0))
        frame: Frame = {"action": Action.ATTACHED, "channel": self.name, "flags": int(flags)}
        frame |= {"channelSerial": self.serial}
        return frame | ({"error": error.info} if error else {})

    def _send(self, entry: Entry) -> None:
        self.entries.append(entry)
        for listener in list(self.attached.values()):
            listener.deliver(entry.frame, entry.origin)


def _check_ids(messages: list[Frame]) -> None:
    """Ids of a batch are `base:index`, with one base and each one's own place."""
    ids = [each.get("id") for each in messages]
    if len(ids) < 2 or not any(ids):
        return
    parts = [_BATCH_ID.fullmatch(each or "") for each in ids]
    if not all(parts) or len({part[1] for part in parts if part}) > 1:
        raise AblyError(40031, "Invalid publish request: ids of a batch must be base:index with one base")
    if [int(part[2]) for part in parts if part] != list(range(len(ids))):
        raise AblyError(40031, "Invalid publish request: ids of a batch must count from 0")
