"""Tabs that people open, close, lose and reload, one after another, each with both namespaces."""

import asyncio
import random
import uuid
from contextlib import suppress
from dataclasses import dataclass, field

import websockets

from tests.chaos.generator import CHANNELS
from tests.chaos.wire import ANSWER, CONNECTED, EVENT, Wire, open_wire

HYDRATE = {
    "name": "reflex___state____state.hydrate_and_load",
    "payload": {"hashes": []},
    "router_data": {"pathname": "/", "asPath": "/"},
}
SHORTEST_OPEN_S = 0.5
RETRY_S = 1.0
ENDS = ("closed", "lost", "reloaded")


@dataclass
class Counts:
    """What the tabs did."""

    opened: int = 0
    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ENDS, 0))
    rows: int = 0
    put_off: int = 0
    """Subscriptions that were told to come again, and did."""
    troubles: list[str] = field(default_factory=list)


async def one_tab_after_another(
    port: int, cookie: str, dice: random.Random, counts: Counts, stopping: asyncio.Event, *, longest_open_s: float
) -> None:
    """Open a tab, let it be for a while, end it in one of three ways, and again; until told to stop."""
    token = str(uuid.uuid4())
    while not stopping.is_set():
        how = dice.choice(ENDS)
        try:
            async with open_wire(port, cookie, token=token) as wire:
                counts.opened += 1
                reading = asyncio.create_task(_use(wire, dice, counts))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), dice.uniform(SHORTEST_OPEN_S, longest_open_s))
                if how == "lost":
                    wire.abort()
                counts.ends[how] += 1
                reading.cancel()
                [outcome] = await asyncio.gather(reading, return_exceptions=True)
                token = wire.token
                if isinstance(outcome, Exception) and how != "lost":
                    counts.troubles.append(f"a tab ended by itself: {outcome!r}")
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            counts.troubles.append(f"a tab did not open: {error!r}")
        if how != "reloaded":
            token = str(uuid.uuid4())


async def _use(wire: Wire, dice: random.Random, counts: Counts) -> None:
    """Hydrate the state as a page does, watch a few channels, and count their rows."""
    await wire.connect("/_event")
    wishes: dict[int, dict[str, object]] = {}
    async for packet in wire.packets():
        if packet.kind == CONNECTED and packet.namespace == "/_event":
            await wire.send("/_event", "event", HYDRATE)
            await wire.connect("/feed")
        elif packet.kind == CONNECTED:
            for number, channel in enumerate(dice.sample(CHANNELS, dice.randint(1, 3))):
                wishes[number] = {"channel": channel, "last": None, "epoch": "", "rewind": 50}
                await wire.send("/feed", "sub", wishes[number], number=number)
        elif packet.kind == ANSWER:
            [answer] = packet.data
            if answer["ok"]:
                counts.rows += len(answer["rows"])
                continue
            assert answer["error"]["retryable"], answer
            counts.put_off += 1
            await asyncio.sleep(RETRY_S)
            assert packet.number is not None
            await wire.send("/feed", "sub", wishes[packet.number], number=packet.number)
        elif packet.kind == EVENT and packet.data[0] == "frame":
            counts.rows += len(packet.data[1]["rows"])
