"""The look at the house, with a clock moved by hand and a database that answers as told."""

import asyncio

from realtime_ui.core.errors import DatabaseUnavailable
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


async def test_a_start_without_the_database_says_so_at_once() -> None:
    """Before anybody asks whether it is ready."""
    desk, clock = Desk(), ManualClock()
    desk.away = True
    async with Stage() as stage:
        health = Health(desk.ping, MemoryProvider(), stage.hub, desk, clock)
        await health.start()
        assert desk.told == [("database", "provider")]
        await health.stop()
