"""The way out, with a clock moved by hand and a wire that does as it is told."""

import asyncio
import dataclasses
import uuid
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RateLimited, TooLarge
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.core.payloads import Unreadable
from realtime_ui.events.bridge import BATCH, Bridge
from realtime_ui.events.wire import NOTICE, Signer
from realtime_ui.persistence.event_log import ChannelKey, EventLog, Published, Run
from realtime_ui.providers.base import WireMessage
from realtime_ui.providers.memory import MemoryProvider
from tests.clock import ManualClock, settle

TENANT = uuid.UUID(int=1)
ONE, OTHER = ChannelName.parse("project:one"), ChannelName.parse("project:other")


class Wire(MemoryProvider):
    """Remembers what was published; fails with what stands in `errors`, and waits while `open` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: deque[Exception] = deque()
        self.open = asyncio.Event()
        self.open.set()
        self.sent: list[tuple[str, tuple[WireMessage, ...]]] = []

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Take messages."""
        await self.open.wait()
        if self.errors:
            raise self.errors.popleft()
        for message in messages:
            if self.max_message_bytes and len(str(message.data)) > self.max_message_bytes:
                raise TooLarge("too large")
        self.sent.append((channel, messages))

    def ids(self, channel: ChannelName) -> list[str]:
        """What went out on a channel, in its order."""
        return [each.id for name, messages in self.sent if name == f"{TENANT}:{channel}" for each in messages]


class Shelf:
    """What the bridge needs of the log."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.marked: dict[ChannelKey, list[Published]] = {}

    async def mark_published(self, runs: Mapping[ChannelKey, Sequence[Published]]) -> None:
        """Remember."""
        for key, each in runs.items():
            self.marked.setdefault(key, []).extend(each)

    async def unpublished(self, *, age_s: float, but: Collection[ChannelKey]) -> list[tuple[ChannelKey, Run]]:
        """Each message that nobody marked, as a hole of its own."""
        return [
            ((each.tenant, each.channel), (each.seq, each.seq))
            for each in self.messages
            if (each.tenant, each.channel) not in but
            if not any(run.first <= each.seq <= run.last for run in self.marked.get((each.tenant, each.channel), []))
        ]

    async def read(self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int) -> list[Message]:
        """A page."""
        return [each for each in self.messages if each.channel == channel and each.seq > after][:limit]


class Stage:
    """A bridge between a shelf and a wire."""

    def __init__(self) -> None:
        self.shelf, self.wire, self.clock = Shelf(), Wire(), ManualClock()
        self.shown: list[str] = []
        self.bridge = Bridge(
            cast(EventLog, self.shelf),
            self.wire,
            Signer("secret"),
            lambda messages: self.shown.extend(each.id for each in messages),
            client_id="worker",
            clock=self.clock,
        )

    async def __aenter__(self) -> "Stage":
        await self.wire.connect("worker")
        await self.bridge.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.bridge.stop()


def message(seq: int, channel: ChannelName = ONE, text: str = "") -> Message:
    """The message with a number."""
    return Message(TENANT, channel, seq, "epoch", f"{channel.id}-{seq}", "project.updated", {"text": text}, seq)


def ephemeral(number: int) -> Ephemeral:
    """One without a number."""
    return Ephemeral(TENANT, ONE, f"ephemeral-{number}", "session.message.delta", {}, 1)


async def test_messages_are_shown_at_once_and_go_out_in_order() -> None:
    """And what went out is marked within a second or so."""
    async with Stage() as stage:
        stage.bridge.publish([message(1), message(2)])
        stage.bridge.publish([message(3)])
        assert stage.shown == ["one-1", "one-2", "one-3"]
        await settle()
        assert stage.wire.ids(ONE) == ["one-1", "one-2", "one-3"]
        await stage.clock.advance(1.1)
        assert stage.shelf.marked == {(TENANT, ONE): [Published(1, 3, "epoch", "one-3")]}


async def test_what_gathers_while_one_publish_is_on_its_way_goes_in_the_next() -> None:
    """So a slow service costs time, not order, and not a call for each message."""
    async with Stage() as stage:
        stage.wire.open.clear()
        stage.bridge.publish([message(1)])
        await settle()
        stage.bridge.publish([message(seq) for seq in range(2, BATCH + 10)])
        stage.wire.open.set()
        await settle()
        assert [len(messages) for _, messages in stage.wire.sent] == [1, BATCH, 8]
        assert stage.wire.ids(ONE) == [f"one-{seq}" for seq in range(1, BATCH + 10)]


async def test_a_channel_in_trouble_does_not_hold_up_another() -> None:
    """Each has a lane of its own."""
    async with Stage() as stage:
        stage.wire.errors.append(ProviderUnavailable("away"))
        stage.bridge.publish([message(1)])
        await settle()
        stage.bridge.publish([message(1, OTHER)])
        await settle()
        assert (stage.wire.ids(ONE), stage.wire.ids(OTHER)) == ([], ["other-1"])
        await stage.clock.advance(0.2)
        assert stage.wire.ids(ONE) == ["one-1"]


async def test_the_pause_grows_while_the_provider_is_away_and_ephemeral_messages_are_given_up() -> None:
    """Their moment is over; the others wait their turn."""
    async with Stage() as stage:
        stage.wire.errors.extend([ProviderUnavailable("away")] * 3)
        stage.bridge.publish([message(1), ephemeral(1)])
        await stage.clock.advance(0.34)  # at least the halves of 0.1, 0.2 and 0.4
        assert stage.wire.sent == []
        stage.bridge.publish([message(2)])
        await stage.clock.advance(0.4)
        assert stage.wire.ids(ONE) == ["one-1", "one-2"]


async def test_a_service_that_counts_us_out_is_left_alone_for_as_long_as_it_says() -> None:
    """Then all goes out."""
    async with Stage() as stage:
        stage.wire.errors.append(RateLimited("too fast", retry_after_s=7))
        stage.bridge.publish([message(1)])
        await stage.clock.advance(6.9)
        assert stage.wire.sent == []
        await stage.clock.advance(0.2)
        assert stage.wire.ids(ONE) == ["one-1"]


async def test_a_message_too_large_for_the_wire_goes_as_a_notice() -> None:
    """It has the number, signed, and none of the payload."""
    async with Stage() as stage:
        stage.wire.max_message_bytes = 100
        stage.bridge.publish([message(1, text="x" * 200), message(2)])
        await settle()
        notice, small = stage.wire.sent[0][1]
        assert (notice.headers["seq"], notice.headers[NOTICE], notice.data) == ("1", "1", {})
        assert NOTICE not in small.headers


async def test_one_that_the_service_finds_too_large_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """They go out, it is told, and counts as published: hubs read it from the log."""
    async with Stage() as stage:
        stage.wire.errors.extend([TooLarge("too large"), TooLarge("too large")])
        stage.bridge.publish([message(1), message(2)])
        await settle()
        assert stage.wire.ids(ONE) == ["one-2"]
        assert "too large" in caplog.text
        await stage.clock.advance(1.1)
        assert stage.shelf.marked == {(TENANT, ONE): [Published(1, 2, "epoch", "one-2")]}


async def test_a_refused_channel_is_tried_again_seldom_and_loses_nothing() -> None:
    """What was refused is not marked, and so adopted when the service takes it again."""
    async with Stage() as stage:
        stage.wire.errors.append(ProviderRefused("no right to publish"))
        stage.shelf.messages = [message(1)]
        stage.bridge.publish(stage.shelf.messages)
        await stage.clock.advance(20)
        assert stage.wire.sent == []
        await stage.clock.advance(20)
        assert stage.wire.ids(ONE) == ["one-1"]
        assert stage.shelf.marked == {(TENANT, ONE): [Published(1, 1, "epoch", "one-1")]}


async def test_orphans_are_adopted_however_many_holes_they_leave() -> None:
    """With what a dead worker committed among our own."""
    async with Stage() as stage:
        stage.shelf.messages = [message(seq) for seq in range(1, 9)]
        stage.bridge.publish(stage.shelf.messages[::2])
        await stage.clock.advance(5)
        assert sorted(stage.wire.ids(ONE)) == [f"one-{seq}" for seq in range(1, 9)]
        assert stage.wire.ids(ONE)[4:] == ["one-2", "one-4", "one-6", "one-8"]


async def test_what_others_published_is_shown_and_marked_but_not_sent_again() -> None:
    """It is on the wire already."""
    async with Stage() as stage:
        stage.bridge.take_over([message(1)])
        assert stage.shown == ["one-1"]
        await stage.clock.advance(1.1)
        assert stage.wire.sent == []
        assert stage.shelf.marked == {(TENANT, ONE): [Published(1, 1, "epoch", "one-1")]}


async def test_one_that_cannot_be_published_for_whatever_reason_is_not_tried_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others of its batch go out; it is logged once and counts as published, so nobody adopts it."""
    async with Stage() as stage:
        stage.wire.errors.extend([RecursionError("deep"), RecursionError("deep")])
        stage.shelf.messages = [message(1), message(2)]
        stage.bridge.publish(stage.shelf.messages)
        await stage.clock.advance(20)
        assert stage.wire.ids(ONE) == ["one-2"]
        assert caplog.text.count("Publishing on project:one failed") == 1
        assert stage.shelf.marked == {(TENANT, ONE): [Published(1, 2, "epoch", "one-2")]}


async def test_an_unreadable_orphan_goes_out_once_as_a_notice() -> None:
    """Its payload stays in the log."""
    async with Stage() as stage:
        unreadable = Unreadable(70_000, "depth")
        stage.shelf.messages = [dataclasses.replace(message(1), data={}, unreadable=unreadable)]
        await stage.clock.advance(20)
        ((_, (notice,)),) = stage.wire.sent
        assert (notice.headers["seq"], notice.headers[NOTICE], notice.data) == ("1", "1", {})
        assert stage.shelf.marked == {(TENANT, ONE): [Published(1, 1, "epoch", "one-1")]}


async def test_runs_of_two_epochs_are_marked_apart() -> None:
    """Though their numbers follow on each other."""
    async with Stage() as stage:
        stage.bridge.take_over([message(1), replace(message(2), epoch="another")])
        await stage.clock.advance(1.1)
        assert stage.shelf.marked == {
            (TENANT, ONE): [Published(1, 1, "epoch", "one-1"), Published(2, 2, "another", "one-2")]
        }
