"""Sends numbered events with known ids over HTTP, and remembers what was sent and what was answered."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_ui.client import EventClient

CHANNELS = tuple(f"{kind}:chaos-{number:02}" for kind in ("project", "session") for number in range(10))
SENDERS = 8
MAX_LIST = 5
PADDING = "x" * 1_000
PATIENCE_S = 600


@dataclass
class Sent:
    """What happened to the events: which were sent to which channel, and what the answers said."""

    channels: dict[str, str] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    longest_answer_s: float = 0.0
    refusals: list[str] = field(default_factory=list)


class Generator:
    """Emits at a bounded rate until told to stop; every event is repeated under its id until it is answered.

    Args:
        url: the app's address.
        key: an API key.
        rate: events a second in all.
        dice: which channel, how many in a list.
        part: begins the ids of its events.
    """

    def __init__(self, url: str, key: str, *, rate: float, dice: random.Random, part: str = "event") -> None:
        self.sent = Sent()
        self._url = url
        self._key = key
        self._rate = rate
        self._dice = dice
        self._part = part
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Send until `stop`, and then until the last answer."""
        async with EventClient(self._url, self._key, patience_s=PATIENCE_S) as client:
            await asyncio.gather(*(self._send_lists(client) for _ in range(SENDERS)))

    def stop(self) -> None:
        """Begin no new list."""
        self._stopping.set()

    async def _send_lists(self, client: EventClient) -> None:
        while not self._stopping.is_set():
            events = [self._next() for _ in range(self._dice.randint(1, MAX_LIST))]
            begun = time.monotonic()
            try:
                self._answered(await client.emit_many(events))
            except Exception as error:  # whatever it was, the client should have ridden it out
                self.sent.refusals.append(repr(error))
            took = time.monotonic() - begun
            self.sent.longest_answer_s = max(self.sent.longest_answer_s, took)
            await asyncio.sleep(max(0.0, len(events) * SENDERS / self._rate - took))

    def _next(self) -> dict[str, Any]:
        number = len(self.sent.channels) + 1
        channel = self._dice.choice(CHANNELS)
        kind, _, identity = channel.partition(":")
        payload = {f"{kind}Id": identity, "changes": {"n": number}, "padding": PADDING}
        event = {"type": f"{kind}.updated", "payload": payload, "id": f"{self._part}-{number}"}
        self.sent.channels[f"{self._part}-{number}"] = channel
        return event

    def _answered(self, receipts: Sequence[dict[str, Any]]) -> None:
        for receipt in receipts:
            [place] = receipt["channels"]
            self.sent.seqs[receipt["id"]] = place["seq"]
