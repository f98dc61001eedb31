"""A tab without a browser that keeps its feeds in step as `feed_client.js` does, and remembers what it showed."""

import asyncio
import random
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import websockets

from tests.chaos.wire import ANSWER, CONNECTED, DISCONNECTED, EVENT, REFUSED, Packet, Wire, open_wire

NAMESPACE = "/feed"
ANSWER_S, RETRY_S, LOOK_S = 10.0, 1.0, 0.25
RECONNECT_S = (0.5, 1.5)
STOP_READING, STOPPED_S = 0.002, (2.0, 15.0)
NEVER = float("inf")


@dataclass
class Shown:
    """A list as it was shown: seq, event id and time (s since the epoch) of each row, in the order shown.

    `after` is the seq after which the server said that it begins; None where nobody heard that.
    """

    watcher: str
    line: str
    channel: str
    after: int | None = None
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    ids: list[str] = field(default_factory=list)
    times: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, seq: int, identity: str, when: float) -> None:
        """A row appeared at the end."""
        self.seqs.append(seq)
        self.ids.append(identity)
        self.times.append(when)


@dataclass
class Feed:
    """One channel as the tab holds it."""

    shown: Shown
    epoch: str = ""
    last: int | None = None
    tag: str = ""
    asked: int | None = None
    """The number of the `sub` whose answer is awaited; frames wait meanwhile."""
    ask_again_at: float = NEVER
    waiting: list[dict[str, Any]] = field(default_factory=list)
    attached_since: float = NEVER


class Watcher:
    """One tab. `run` until cancelled; it reconnects by itself.

    Args:
        name: for reports.
        port: where it connects: the app's, or a proxy's.
        line: what that port is called in reports.
        cookie: the `Cookie` header.
        channels: what it watches, from `rewind` rows before the head on.
        rewind: 0 to 500.
        dice: for its pauses.
        slow: it reads slowly, and stops reading for seconds now and then.
    """

    def __init__(
        self,
        name: str,
        port: int,
        line: str,
        cookie: str,
        channels: Sequence[str],
        *,
        rewind: int,
        dice: random.Random,
        slow: bool = False,
    ) -> None:
        self.name = name
        self.line = line
        self._slow = slow
        self.feeds = {channel: Feed(Shown(name, line, channel)) for channel in channels}
        self.connections = 0
        self.resets: list[float] = []
        self.voided: list[Shown] = []
        self.times_behind = 0
        self.longest_silence_s = 0.0
        self.refusals: list[str] = []
        self._port = port
        self._cookie = cookie
        self._rewind = rewind
        self._dice = dice
        self._number = 0

    @property
    def lists(self) -> list[Shown]:
        """What it shows. `voided` has the lists that a reset replaced, `resets` when that was (s since the epoch)."""
        return [feed.shown for feed in self.feeds.values()]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            with suppress(OSError, TimeoutError, websockets.WebSocketException):
                async with open_wire(self._port, self._cookie, small_buffer=self._slow) as wire:
                    await self._use(wire)
            for feed in self.feeds.values():
                feed.asked, feed.ask_again_at, feed.attached_since = None, NEVER, NEVER
                feed.waiting.clear()
            await asyncio.sleep(self._dice.uniform(*RECONNECT_S))

    def hurry(self) -> None:
        """Read without pauses from now on."""
        self._slow = False

    async def _use(self, wire: Wire) -> None:
        asking = asyncio.create_task(self._ask_again(wire))
        try:
            await wire.connect(NAMESPACE)
            async for packet in wire.packets():
                if packet.namespace == NAMESPACE and not await self._take(wire, packet):
                    return
                if self._slow and self._dice.random() < STOP_READING:
                    await asyncio.sleep(self._dice.uniform(*STOPPED_S))
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _take(self, wire: Wire, packet: Packet) -> bool:
        """Take a packet of the namespace; False when the connection is of no more use."""
        if packet.kind == CONNECTED:
            self.connections += 1
            await self._ask_all(wire)
        elif packet.kind == ANSWER:
            await self._answered(wire, packet)
        elif packet.kind == EVENT and packet.data[0] == "frame":
            frame = packet.data[1]
            feed = self.feeds[frame["channel"]]
            if feed.asked is not None:
                feed.waiting.append(frame)
            elif not self._accept(feed, frame):
                await self._ask(wire, feed)
        elif packet.kind == EVENT and packet.data[0] == "behind":
            self.times_behind += 1
            await self._ask_all(wire)
        elif packet.kind in (DISCONNECTED, REFUSED):
            if not (packet.data or {}).get("data", {}).get("reconnect", packet.kind == DISCONNECTED):
                self.refusals.append(str(packet.data))
            return False
        return True

    async def _ask_all(self, wire: Wire) -> None:
        for feed in self.feeds.values():
            await self._ask(wire, feed)

    async def _ask(self, wire: Wire, feed: Feed) -> None:
        self._number += 1
        feed.asked, feed.ask_again_at, feed.attached_since = self._number, time.monotonic() + ANSWER_S, NEVER
        wish = {"channel": feed.shown.channel, "last": feed.last, "epoch": feed.epoch, "tag": feed.tag}
        wish["rewind"] = self._rewind
        await wire.send(NAMESPACE, "sub", wish, number=self._number)

    async def _ask_again(self, wire: Wire) -> None:
        """Repeat what was refused or not answered."""
        with suppress(websockets.WebSocketException):
            while True:
                await asyncio.sleep(LOOK_S)
                for feed in self.feeds.values():
                    if feed.ask_again_at <= time.monotonic():
                        await self._ask(wire, feed)

    async def _answered(self, wire: Wire, packet: Packet) -> None:
        feed = next((feed for feed in self.feeds.values() if feed.asked == packet.number), None)
        if feed is None:  # it came too late and was asked again
            return
        [answer] = packet.data
        if not answer["ok"]:
            if not answer["error"]["retryable"]:
                self.refusals.append(str(answer["error"]))
            feed.ask_again_at = time.monotonic() + RETRY_S
            return
        if feed.last is None:
            feed.shown.after = answer["after"]
        if answer["reset"]:
            self.resets.append(time.time())
            self.voided.append(feed.shown)
            feed.shown = Shown(self.name, self.line, feed.shown.channel, answer["after"])
        feed.epoch, feed.last = answer["epoch"], answer["after"]
        self._show(feed, answer["rows"], answer["tag"])
        if answer["more"]:
            await self._ask(wire, feed)
            return
        waiting, feed.waiting = feed.waiting, []
        feed.asked, feed.ask_again_at, feed.attached_since = None, NEVER, time.time()
        if not all([self._accept(feed, frame) for frame in waiting]):
            await self._ask(wire, feed)

    def _accept(self, feed: Feed, frame: dict[str, Any]) -> bool:
        """Take a frame's new rows; False when it does not follow on what is held."""
        rows = frame["rows"]
        if not rows and not frame.get("ephemeral"):  # another epoch began
            return False
        if frame["epoch"] != feed.epoch:
            if feed.epoch or feed.last != 0 or not rows or rows[0]["seq"] != 1:
                return False
            feed.epoch = frame["epoch"]  # the channel's first event
        assert feed.last is not None
        fresh = [row for row in rows if row["seq"] > feed.last]
        if fresh and fresh[0]["seq"] != feed.last + 1:
            return False
        if fresh:
            self._show(feed, fresh, frame["tag"])
        return True

    def _show(self, feed: Feed, rows: list[dict[str, Any]], tag: str) -> None:
        now = time.time()
        feed.tag = tag
        for row in rows:
            feed.shown.add(row["seq"], row["id"], now)
            feed.last = row["seq"]
            committed = row["timestamp"] / 1000
            if committed >= feed.attached_since:
                self.longest_silence_s = max(self.longest_silence_s, now - committed)
