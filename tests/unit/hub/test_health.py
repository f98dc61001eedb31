"""The look at the house, with a clock moved by hand and a database that answers as told."""

import asyncio

import pytest

from realtime_ui.core.errors import DatabaseUnavailable, ProviderRefused, RateLimited
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.hub.health import Health
from realtime_ui.providers.memory import MemoryProvider
from tests.clock import ManualClock, settle
from tests.unit.hub.test_hub import KEY, Stage


class Desk:
    """What health asks and whom it tells."""

    sockets = 3
    subscriptions = 5

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.away = False
        self.frozen = asyncio.Event()
        self.frozen.set()
        self.pings = 0

    async def ping(self) -> None:
        """The database's answer."""
        self.pings += 1
        await self.frozen.wait()
        if self.away:
            raise DatabaseUnavailable("away")

    def tell_health(self, degraded: tuple[str, ...]) -> None:
        """What the tabs hear."""
        self.told.append(degraded)


async def begin(stage: Stage) -> tuple[Desk, Health]:
    """A health that watches."""
    desk = Desk()
    health = Health(desk.ping, stage.provider, stage.hub, desk, stage.clock)
    await health.start()
    return desk, health


async def test_nothing_is_told_while_all_is_well() -> None:
    """And the database is asked once a second."""
    async with Stage() as stage:
        desk, health = await begin(stage)
        await stage.clock.advance(10)
        assert (desk.pings, desk.told) == (11, [])
        now = health.snapshot()
        assert (now.database_up, now.database_for_s, now.degraded) == (True, 10, ())
        assert (now.provider, now.provider_status, now.sockets, now.subscriptions) == ("memory", "connected", 3, 5)
        await health.stop()


async def test_a_database_that_refuses_is_away_and_its_return_is_told() -> None:
    """Each once."""
    async with Stage() as stage:
        desk, health = await begin(stage)
        desk.away = True
        await stage.clock.advance(5)
        assert desk.told == [("database",)]
        assert health.snapshot().database_for_s == 4
        desk.away = False
        await stage.clock.advance(1)
        assert desk.told == [("database",), ()]
        await health.stop()


async def test_a_database_that_does_not_answer_is_away_after_two_seconds_and_asked_no_second_time() -> None:
    """The watch goes on meanwhile; an answer, however late, is one."""
    async with Stage() as stage:
        desk, health = await begin(stage)
        desk.frozen.clear()
        await stage.clock.advance(2)
        assert desk.told == []
        await stage.clock.advance(10)
        assert (desk.pings, desk.told) == (2, [("database",)])
        desk.frozen.set()
        await settle()
        assert desk.told == [("database",), ()]
        await health.stop()


async def test_a_frozen_database_does_not_hold_up_the_end() -> None:
    """Nothing of it is left running."""
    async with Stage() as stage:
        desk, health = await begin(stage)
        desk.frozen.clear()
        await stage.clock.advance(1)
        await health.stop()


async def test_a_provider_that_is_away_is_told_beside_the_database() -> None:
    """Within a second."""
    async with Stage() as stage:
        desk, health = await begin(stage)
        await stage.provider.disconnect()
        await stage.clock.advance(1)
        desk.away = True
        await stage.clock.advance(1)
        await stage.provider.connect("worker")
        await stage.clock.advance(1)
        assert desk.told == [("provider",), ("database", "provider"), ("database",)]
        await health.stop()


async def test_the_snapshot_has_the_hubs_lag() -> None:
    """As the hub has it at that moment."""
    async with Stage() as stage:
        _, health = await begin(stage)
        await stage.hub.attach(KEY, lambda frame: None)
        stage.shelf.away = True
        stage.hub.deliver([stage.shelf.append(2)[1]])
        await stage.clock.advance(3)
        assert health.snapshot().hub_lag_s == 3
        await health.stop()


async def test_a_hub_that_stays_behind_is_told_of_until_it_has_caught_up() -> None:
    """Where nothing else is away, which would be the reason."""
    async with Stage() as stage:
        desk, health = await begin(stage)
        await stage.hub.attach(KEY, lambda frame: None)
        stage.shelf.away = True
        stage.hub.deliver([stage.shelf.append(2)[1]])
        await stage.clock.advance(5)
        assert desk.told == []
        await stage.clock.advance(2)
        assert desk.told == [("delivery",)]
        stage.shelf.away = False
        await stage.clock.advance(5)
        assert desk.told == [("delivery",), ()]
        assert health.snapshot().degraded == ()
        await health.stop()


async def test_a_start_without_the_database_says_so_at_once() -> None:
    """Before anybody asks whether it is ready."""
    desk, clock = Desk(), ManualClock()
    desk.away = True
    async with Stage() as stage:
        health = Health(desk.ping, MemoryProvider(), stage.hub, desk, clock)
        await health.start()
        assert desk.told == [("database", "provider")]
        await health.stop()


async def test_what_is_wrong_with_the_provider_is_logged_once_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    """While it says the same; another trouble is told again, and the last one stays to be seen."""
    async with Stage() as stage:
        _, health = await begin(stage)
        refused = ProviderRefused("Ably does not accept the key.", remedy="Check ABLY_API_KEY.")
        for status in (ConnectionStatus.FAILED, ConnectionStatus.CONNECTING, ConnectionStatus.FAILED):
            stage.provider._become(status, refused if status is ConnectionStatus.FAILED else None)
            await stage.clock.advance(5)
        assert [record.levelname for record in caplog.records if "ABLY_API_KEY" in record.message] == ["ERROR"]
        assert health.snapshot().provider_error == "Ably does not accept the key. Check ABLY_API_KEY."
        stage.provider._become(ConnectionStatus.CONNECTED)
        now = health.snapshot()
        assert now.provider_error == ""
        assert now.provider_trouble is not None
        assert now.provider_trouble.text == "Ably does not accept the key. Check ABLY_API_KEY."
        stage.provider._become(ConnectionStatus.CONNECTED, RateLimited("Too fast.", retry_after_s=1))
        assert health.snapshot().provider_trouble != now.provider_trouble
        await health.stop()
