"""What others publish, on its way into the log."""

import asyncio
import dataclasses
import uuid

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import Conflict, DatabaseUnavailable
from realtime_ui.core.messages import Event, Json
from realtime_ui.events.foreign import LIMIT, RETRY_MAX_S, ForeignMessages
from realtime_ui.providers.base import WireMessage
from tests.clock import ManualClock, settle

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")


def wire(name: str = "project.updated", data: Json = None, id: str = "their-id") -> WireMessage:
    """A foreign message."""
    return WireMessage(id, name, {"n": 1} if data is None else data, 1, "page")


async def judge(wire: WireMessage, tenant: uuid.UUID, channel: ChannelName) -> Event:
    """Accept all, under the provider's id."""
    return Event.create(wire.name, wire.data, tenant, id=wire.id, emitted_by="foreign:page")


class Log:
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.clock = ManualClock()
        self.away = False

    async def record(self, event: Event, channel: ChannelName) -> None:
        """Take an event, unless its id says otherwise."""
        await asyncio.sleep(0)
        if self.away:
            raise DatabaseUnavailable("away")
        if event.id == "conflict":
            raise Conflict("the id is taken")
        self.ids.append(event.id)


async def test_they_are_recorded_in_order_and_a_refused_one_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is told."""
    log = Log()
    foreign = ForeignMessages(judge, log.record, lambda: True, log.clock)
    await foreign.start()
    for each in ("a", "conflict", "b"):
        foreign.take(wire(id=each), TENANT, CHANNEL)
    await settle()
    assert log.ids == ["a", "b"]
    assert "the id is taken" in caplog.text
    await foreign.stop()


async def test_one_of_any_depth_is_refused_and_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The bound is that of every other event."""
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    log = Log()
    foreign = ForeignMessages(judge, log.record, lambda: True, log.clock)
    await foreign.start()
    foreign.take(dataclasses.replace(wire(id="deep"), data={"a": deep}), TENANT, CHANNEL)
    foreign.take(wire(id="b"), TENANT, CHANNEL)
    await settle()
    assert log.ids == ["b"]
    assert "64 levels" in caplog.text
    await foreign.stop()


async def test_what_is_heard_while_the_database_is_away_is_recorded_later() -> None:
    """In its order; nobody else has it."""
    log = Log()
    log.away = True
    foreign = ForeignMessages(judge, log.record, lambda: True, log.clock)
    await foreign.start()
    for each in ("a", "b"):
        foreign.take(wire(id=each), TENANT, CHANNEL)
    await log.clock.advance(3)
    assert log.ids == []
    log.away = False
    await log.clock.advance(RETRY_MAX_S)
    assert log.ids == ["a", "b"]
    await foreign.stop()


async def test_whose_turn_it_is_not_records_nothing() -> None:
    """Somebody else does it for all."""
    log = Log()
    foreign = ForeignMessages(judge, log.record, lambda: False, log.clock)
    await foreign.start()
    foreign.take(wire(), TENANT, CHANNEL)
    await settle()
    assert log.ids == []
    await foreign.stop()


async def test_a_flood_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """What does not fit is told, and the rest is recorded."""
    log = Log()
    foreign = ForeignMessages(judge, log.record, lambda: True, log.clock)
    for number in range(LIMIT + 1):
        foreign.take(wire(id=str(number)), TENANT, CHANNEL)
    assert "was dropped" in caplog.text
    await foreign.start()
    async with asyncio.timeout(60):
        while len(log.ids) < LIMIT:
            await settle()
    await foreign.stop()
