"""The hub alone: whatever the wire does, what it hands on is the log."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.messages import Ephemeral, Head, Message
from realtime_ui.core.position import Follow, Position, follow
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.events.wire import Signer, wire_channel
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.event_log import ChannelKey, Look
from realtime_ui.providers.base import MessageCallback, WireMessage
from realtime_ui.providers.memory import MemoryProvider
from tests.clock import ManualClock, settle

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")
KEY = (TENANT, CHANNEL)


class Shelf:
    """A log in memory, with the three questions that the hub asks."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.epoch = "e1"
        self.first = 1
        self.reads = 0
        self.stored = 0
        self.connections_lost = 0
        self.away = False

    def append(self, count: int = 1) -> list[Message]:
        """Store so many more messages."""
        at = self.messages[-1].seq if self.messages else 0
        new = [
            Message(TENANT, CHANNEL, seq, self.epoch, f"id-{seq}", "project.updated", {"n": seq}, self.stored + seq)
            for seq in range(at + 1, at + count + 1)
        ]
        self.messages += new
        self.stored += count
        return new

    def lose(self, count: int) -> None:
        """Go back, as a failover makes it: the newest messages are gone, and others will take their numbers."""
        del self.messages[max(0, len(self.messages) - count) :]
        self.stored += 1_000
        self.connections_lost += 1

    async def look(self, asked: Mapping[ChannelKey, int | None]) -> dict[ChannelKey, Look]:
        """Where they stand."""
        if self.away:
            raise DatabaseUnavailable("away")
        if KEY not in asked or not self.messages:
            return {}
        head = Head(self.epoch, self.first, self.messages[-1].seq)
        seq = asked[KEY] if asked[KEY] is not None else head.last
        return {KEY: Look(head, next((each.tag for each in self.messages if each.seq == seq), ""))}

    async def differing(self, asked: Mapping[ChannelKey, tuple[int, Sequence[str]]]) -> dict[ChannelKey, int]:
        """Where it has other rows."""
        if self.away:
            raise DatabaseUnavailable("away")
        there = {message.seq: message.tag for message in self.messages}
        found = {
            key: [seq for seq, tag in enumerate(tags, first) if there.get(seq, tag) != tag]
            for key, (first, tags) in asked.items()
        }
        return {key: seqs[0] for key, seqs in found.items() if seqs}

    async def begin_epoch(self, tenant: uuid.UUID, channel: ChannelName, position: Position) -> bool:
        """As the database does it."""
        look = (await self.look({KEY: position.seq}))[KEY]
        if follow(position, look.head, look.tag) is not Follow.DIVERGED:
            return False
        self.epoch += "'"
        self.messages = [replace(message, epoch=self.epoch) for message in self.messages]
        return True

    async def read(
        self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int
    ) -> list[Message]:
        """A page."""
        self.reads += 1
        return [message for message in self.messages if message.seq > max(after, self.first - 1)][:limit]


class Stage:
    """A hub on a shelf, a memory provider and a clock, with a sink that remembers."""

    def __init__(self, provider: MemoryProvider | None = None, *, window_s: float = 0.025) -> None:
        self.shelf = Shelf()
        self.clock = ManualClock()
        self.provider = provider or MemoryProvider()
        self.signer = Signer("secret")
        self.frames: list[Frame] = []
        self.foreign: list[WireMessage] = []
        self.hub = RealtimeHub(
            self.shelf,
            self.provider,
            self.signer,
            self.clock,
            lambda wire, tenant, channel: self.foreign.append(wire),
            frame_window_s=window_s,
            gap_wait_s=0.02,
            sweep_interval_s=2,
        )

    async def __aenter__(self) -> "Stage":
        await self.provider.connect("worker")
        await self.hub.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.hub.stop()
        await self.provider.disconnect()

    def take(self, frame: Frame) -> None:
        """The sink."""
        self.frames.append(frame)

    async def check(self, key: ChannelKey) -> None:
        """Have the hub compare, and time pass meanwhile."""
        checking = asyncio.create_task(self.hub.check(key))
        await self.clock.advance(0.1)
        await checking

    @property
    def seqs(self) -> list[int]:
        """What the sink was handed."""
        return [message.seq for frame in self.frames for message in frame.messages]


async def test_messages_are_handed_on_in_order_and_once() -> None:
    """A double is dropped, an early one waits."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        one, two, three = stage.shelf.append(3)
        for message in (one, three, one, two, three):
            stage.hub.deliver([message])
        await stage.clock.advance(0.1)
        assert stage.seqs == [1, 2, 3]
        assert stage.shelf.reads == 0


async def test_only_what_comes_after_attaching_is_handed_on() -> None:
    """What was before is the subscriber's own to read."""
    async with Stage() as stage:
        stage.shelf.append(5)
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append())
        assert stage.seqs == [6]


async def test_the_first_message_goes_at_once_and_the_next_ones_share_a_frame() -> None:
    """A quiet moment does not wait for the window; a burst does not cost a frame each."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        for message in stage.shelf.append(10):
            stage.hub.deliver([message])
        assert [len(frame.messages) for frame in stage.frames] == [1]
        await stage.clock.advance(0.025)
        assert [len(frame.messages) for frame in stage.frames] == [1, 9]
        await stage.clock.advance(1)
        stage.hub.deliver(stage.shelf.append())
        assert [len(frame.messages) for frame in stage.frames] == [1, 9, 1]


async def test_a_hole_waits_for_a_straggler_and_is_then_read_from_the_log() -> None:
    """With one read."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        one, _, three, four = stage.shelf.append(4)
        for message in (one, three, four):
            stage.hub.deliver([message])
        await stage.clock.advance(0.019)
        assert stage.shelf.reads == 0
        await stage.clock.advance(0.1)
        assert stage.seqs == [1, 2, 3, 4]
        assert stage.shelf.reads == 1


async def test_the_sweep_finds_what_the_wire_lost() -> None:
    """Even the last message, after which nothing shows a hole."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.append(3)
        await stage.clock.advance(1.9)
        assert stage.seqs == []
        await stage.clock.advance(0.2)
        assert stage.seqs == [1, 2, 3]


async def test_a_log_that_is_away_makes_the_feed_slower_not_wrong() -> None:
    """The sweep tries again."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.append(2)
        stage.shelf.away = True
        await stage.clock.advance(5)
        assert stage.seqs == []
        stage.shelf.away = False
        await stage.clock.advance(3)
        assert stage.seqs == [1, 2]


async def test_a_sweep_that_failed_is_repeated_sooner() -> None:
    """What it would have found may be a failover's doing, and is then found soon after the database is back."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.append(2)
        stage.shelf.away = True
        await stage.clock.advance(2.05)
        stage.shelf.away = False
        await stage.clock.advance(0.3)
        assert stage.seqs == [1, 2]


async def test_a_new_epoch_tells_every_sink_to_start_over() -> None:
    """An empty frame carries it, and what follows belongs to it."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(3))
        stage.shelf.epoch, stage.shelf.messages = "e2", []
        stage.shelf.append(1)
        await stage.clock.advance(3)
        assert (stage.frames[-1].epoch, stage.frames[-1].messages) == ("e2", ())
        stage.hub.deliver(stage.shelf.append())
        assert [(f.epoch, m.seq) for f in stage.frames[-1:] for m in f.messages] == [("e2", 2)]


async def test_what_was_pruned_is_passed_over() -> None:
    """A hole that the log no longer has does not stop the feed."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(1))
        stage.shelf.append(9)
        stage.shelf.first = 6
        await stage.clock.advance(3)
        assert stage.seqs == [1, 6, 7, 8, 9, 10]


async def test_a_sink_stays_until_it_detached_as_often_as_it_attached() -> None:
    """And the last one to go detaches the channel from the provider."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        await stage.hub.attach(KEY, stage.take)
        await stage.hub.detach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append())
        assert stage.seqs == [1]
        await stage.hub.detach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append())
        await stage.provider.publish(wire_channel(*KEY), stage.signer.to_wire(stage.shelf.messages[-1], "other"))
        await stage.clock.advance(3)
        assert stage.seqs == [1]


async def test_a_failing_sink_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged."""

    def broken(frame: Frame) -> None:
        raise RuntimeError("broken sink")

    async with Stage() as stage:
        await stage.hub.attach(KEY, broken)
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append())
        assert stage.seqs == [1]
        assert "broken sink" in caplog.text


async def test_a_foreign_message_is_recorded_not_shown() -> None:
    """It is shown when it comes back from the log with a number."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        wire = WireMessage("their-id", "project.updated", {"projectId": "x"}, 1, "react-page")
        await stage.provider.publish(wire_channel(*KEY), wire)
        assert stage.foreign == [wire]
        assert stage.seqs == []


async def test_an_attach_that_fails_leaves_nothing_behind() -> None:
    """The next one begins anew."""
    async with Stage() as stage:
        stage.shelf.away = True
        with pytest.raises(DatabaseUnavailable):
            await stage.hub.attach(KEY, stage.take)
        stage.shelf.away = False
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append())
        assert stage.seqs == [1]


def ephemeral(number: int) -> Ephemeral:
    """A numbered one."""
    return Ephemeral(*KEY, f"e{number}", "session.message.delta", {"index": number}, 1)


async def test_ephemeral_messages_share_the_frames_and_take_no_number() -> None:
    """They are handed on once, to who is there, and to nobody later."""
    async with Stage() as stage:
        stage.hub.deliver([ephemeral(0)])
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver([ephemeral(1)])
        stage.hub.deliver([*stage.shelf.append(), ephemeral(2), ephemeral(3)])
        await stage.clock.advance(0.03)
        shown = [([m.seq for m in frame.messages], [e.id for e in frame.ephemeral]) for frame in stage.frames]
        assert shown == [([], ["e1"]), ([1], ["e2", "e3"])]
        await stage.hub.attach(KEY, lambda frame: shown.append(([], ["again"])))
        await stage.clock.advance(5)
        assert len(shown) == 2


async def test_an_ephemeral_message_comes_over_the_wire_too() -> None:
    """From another worker, signed; or from this one, a second time."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        for _ in range(2):
            await stage.provider.publish(wire_channel(*KEY), stage.signer.to_wire(ephemeral(7), "other"))
        assert [e.id for frame in stage.frames for e in frame.ephemeral] == ["e7"]


FATES = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["deliver", "drop", "double", "late"]), st.integers(0, 40)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150)
@given(FATES)
async def test_whatever_the_wire_does_the_feed_is_the_log(fates: list[tuple[int, str, int]]) -> None:
    """Dropped, doubled, late and reordered: every message once, in order, within one sweep.

    Ephemeral ones between them come once, or not at all where the wire loses them.
    """
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        late: list[Message] = []
        for number, (count, fate, pause_ms) in enumerate(fates):
            for _ in range({"drop": 0, "double": 2}.get(fate, 1)):
                stage.hub.deliver([ephemeral(number)])
            for message in stage.shelf.append(count):
                if fate == "late":
                    late.append(message)
                elif fate != "drop":
                    for _ in range(2 if fate == "double" else 1):
                        stage.hub.deliver([message])
            if pause_ms > 20 and late:
                stage.hub.deliver([late.pop()])
            await stage.clock.advance(pause_ms / 1000)
        for message in reversed(late):
            stage.hub.deliver([message])
        await stage.clock.advance(2.5)
        await settle()
        assert stage.seqs == [message.seq for message in stage.shelf.messages]
        brought = [each.id for frame in stage.frames for each in frame.ephemeral]
        assert brought == [f"e{number}" for number, (_, fate, _) in enumerate(fates) if fate != "drop"]


async def test_the_lag_is_how_long_something_known_has_not_been_handed_on() -> None:
    """It grows while a hole cannot be filled, and ends with the hole."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.away = True
        _, second = stage.shelf.append(2)
        assert stage.hub.lag_s == 0
        stage.hub.deliver([second])
        await stage.clock.advance(7)
        assert stage.hub.lag_s == pytest.approx(7)
        stage.shelf.away = False
        await stage.clock.advance(2.5)
        assert stage.seqs == [1, 2]
        assert stage.hub.lag_s == 0


async def test_a_straggler_that_closes_the_hole_ends_the_lag() -> None:
    """Without a read."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        first, second = stage.shelf.append(2)
        stage.hub.deliver([second])
        await stage.clock.advance(0.01)
        assert stage.hub.lag_s == pytest.approx(0.01)
        stage.hub.deliver([first])
        assert stage.hub.lag_s == 0


async def test_what_the_hub_mends_is_counted() -> None:
    """A lost message is one repair of the sweep and one hole filled; then it is a frame."""
    names = ("realtime_sweep_repairs_total", "realtime_hub_gaps_filled_total", "realtime_frames_total")
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        before = [REGISTRY.get_sample_value(name) or 0 for name in names]
        stage.shelf.append()
        await stage.clock.advance(5)
        assert stage.seqs == [1]
        after = [REGISTRY.get_sample_value(name) or 0 for name in names]
        assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]


async def test_a_channel_whose_missing_messages_are_all_gone_goes_on() -> None:
    """Nothing is asked for again and again, and the lag ends."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.append(5)
        stage.shelf.first = 6
        await stage.clock.advance(2.5)
        reads = stage.shelf.reads
        await stage.clock.advance(6)
        assert stage.shelf.reads == reads
        assert stage.hub.lag_s == 0
        stage.hub.deliver(stage.shelf.append())
        assert stage.seqs == [6]


class SlowWire(MemoryProvider):
    """A wire that attaches when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach, later."""
        await self.open.wait()
        await super().subscribe(channel, callback)


async def test_rows_do_not_wait_for_a_slow_wire() -> None:
    """They come from the log; what fell into the time before the wire was there is found when it is."""
    stage = Stage(SlowWire())
    async with stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.append(2)
        assert stage.seqs == []
        assert isinstance(stage.provider, SlowWire)
        stage.provider.open.set()
        await stage.clock.advance(0.1)  # well before the sweep
        assert stage.seqs == [1, 2]


async def test_whoever_leaves_before_the_wire_is_there_leaves_nothing_attached() -> None:
    """The attempt ends with the channel."""
    stage = Stage(SlowWire())
    async with stage:
        await stage.hub.attach(KEY, stage.take)
        await stage.hub.detach(KEY, stage.take)
        assert isinstance(stage.provider, SlowWire)
        stage.provider.open.set()
        await stage.clock.advance(5)
        assert not stage.provider._network.subscribers[wire_channel(*KEY)]


async def test_a_sweep_touches_nothing_that_was_left_while_it_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither reads for it nor attaches it."""
    async with Stage() as stage:
        stage.provider._become(ConnectionStatus.DISCONNECTED)
        await stage.hub.attach(KEY, stage.take)
        stage.provider._become(ConnectionStatus.CONNECTED)
        stage.shelf.append()
        look = stage.shelf.look

        async def and_leave(asked: Mapping[ChannelKey, int | None]) -> dict[ChannelKey, Look]:
            await stage.hub.detach(KEY, stage.take)
            return await look(asked)

        monkeypatch.setattr(stage.shelf, "look", and_leave)
        await stage.clock.advance(5)
        assert stage.shelf.reads == 0
        assert not stage.provider._network.subscribers[wire_channel(*KEY)]


async def test_a_notice_makes_the_hub_read_the_log() -> None:
    """At once, once, and with those before it."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        large = stage.shelf.append(3)[-1]
        wire = stage.signer.to_wire(large, "other", max_bytes=0)
        for _ in range(2):
            await stage.provider.publish(wire_channel(*KEY), wire)
        await stage.clock.advance(0.1)
        assert stage.seqs == [1, 2, 3]
        assert stage.shelf.reads == 1


async def test_word_of_a_loss_is_looked_into_at_once() -> None:
    """And what is lost while it is, too."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.shelf.append(2)
        stage.provider._tell_loss()
        stage.provider._tell_loss()
        await stage.clock.advance(0.1)
        assert stage.seqs == [1, 2]
