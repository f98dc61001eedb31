"""The flaky provider does what its rates say."""

import asyncio

import pytest

from realtime_ui.core.errors import ProviderUnavailable
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.base import WireMessage
from tests.doubles.flaky import FlakyProvider, Rates

CALM = {"drop": 0.0, "double": 0.0, "reorder": 0.0, "delay": 0.0, "disconnect": 0.0, "longest_s": 0.02}


async def arriving(count: int, **rates: float) -> list[str]:
    """The ids that a subscriber hears of so many messages, after a while."""
    provider = FlakyProvider(Rates(**{**CALM, **rates}))
    heard: list[str] = []
    await provider.connect("me")
    await provider.subscribe("x", lambda channel, message: heard.append(message.id))
    for number in range(count):
        await provider.publish("x", WireMessage(str(number), "a.b", {}, 0, "me"))
    await asyncio.sleep(2 * CALM["longest_s"])
    await provider.disconnect()
    return heard


async def test_it_is_a_plain_wire_at_rates_of_zero() -> None:
    """All, once, in order."""
    assert await arriving(5) == ["0", "1", "2", "3", "4"]


async def test_it_drops_doubles_reorders_and_delays() -> None:
    """Each at its rate."""
    assert await arriving(5, drop=1) == []
    assert await arriving(2, double=1) == ["0", "0", "1", "1"]
    assert await arriving(2, reorder=1) == ["1", "0"]
    assert sorted(await arriving(5, delay=1)) == ["0", "1", "2", "3", "4"]


async def test_it_loses_its_connection_for_a_moment() -> None:
    """Publishing is refused meanwhile, and status changes tell."""
    provider = FlakyProvider(Rates(**{**CALM, "disconnect": 1}))
    changes: list[ConnectionStatus] = []
    await provider.connect("me")
    provider.on_status(changes.append)
    with pytest.raises(ProviderUnavailable):
        await provider.publish("x", WireMessage("1", "a.b", {}, 0, "me"))
    async with asyncio.timeout(60):
        while not provider.is_connected:
            await asyncio.sleep(0.01)
    assert changes == [ConnectionStatus.DISCONNECTED, ConnectionStatus.CONNECTED]
    await provider.disconnect()
