"""`ChannelState` and the Vars that live in the browser."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import reflex as rx

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.core.messages import Ephemeral, Head, Message
from realtime_ui.core.payloads import Unreadable
from realtime_ui.core.position import Follow, Position
from realtime_ui.hub.subscribe import Page, Start
from realtime_ui.hub.watched import Frame
from realtime_ui.states import sinks as module
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.connection import ConnectionState
from realtime_ui.states.sinks import StateSinks

TENANT = uuid.UUID(int=1)
CHANNEL = ChannelName.parse("project:x")


class Watching(ChannelState, rx.State):
    """Wants messages."""

    async def _on_messages(self, batch: list[Message]) -> None:
        heard.append([message.seq for message in batch])
        unreadable.update({message.seq: message.unreadable for message in batch if message.unreadable})


class Passing(ChannelState, rx.State):
    """Wants ephemeral messages alone."""

    async def _on_ephemeral(self, batch: list[Ephemeral]) -> None:
        passed.append([message.id for message in batch])


passed: list[list[str]] = []


class Silent(ChannelState, rx.State):
    """Wants none."""


heard: list[list[int]] = []
unreadable: dict[int, Unreadable] = {}


def messages(*seqs: int, epoch: str = "e") -> list[Message]:
    """Messages by their numbers."""
    return [Message(TENANT, CHANNEL, seq, epoch, f"id-{seq}", "project.updated", {}, seq) for seq in seqs]


def frame(*seqs: int, epoch: str = "e") -> Frame:
    """A frame of them."""
    return Frame(TENANT, CHANNEL, epoch, tuple(messages(*seqs, epoch=epoch)))


def page(*seqs: int, epoch: str = "e", more: bool = False, reset: bool = False) -> Page:
    """A page of them; with `more`, the log goes on after it."""
    head = Head(epoch, 1, max(seqs, default=0) + more)
    how = Follow.RESET if reset else Follow.RESUME
    return Page(Start(head, Position(epoch, min(seqs, default=1) - 1), how), messages(*seqs, epoch=epoch))


async def heard_are(*seqs: int) -> None:
    """Wait until the state has heard so many, and see that they are these."""
    async with asyncio.timeout(60):
        while sum(map(len, heard)) < len(seqs):
            await asyncio.sleep(0)
    assert [seq for batch in heard for seq in batch] == list(seqs)


def test_subscribing_declares_a_channel_and_unsubscribing_none() -> None:
    """A wrong name is refused at once."""
    state = Watching()
    state.subscribe("project:abc", rewind=7)
    assert (state.channel, state.rewind) == ("project:abc", 7)
    state.unsubscribe()
    assert state.channel == ""
    with pytest.raises(InvalidEvent):
        state.subscribe("planet:abc")


def test_what_a_handler_calls_is_no_handler_itself() -> None:
    """Any socket can call a handler by name; these it cannot."""
    assert not {"subscribe", "unsubscribe", "publish", "_on_messages"} & set(Watching.event_handlers)


def test_client_side_vars_are_vars_of_their_class_and_no_server_state() -> None:
    """Two classes have two, and an instance has none."""
    assert isinstance(Watching.status, rx.Var)
    assert str(Watching.status) != str(Silent.status)
    assert str(ConnectionState.latency).endswith(".latency")
    state = Watching()
    with pytest.raises(AttributeError, match="lives in the browser"):
        _ = state.status


class FakeApp:
    """As much of a Reflex app, and of a state's root, as a sink needs."""

    def __init__(self) -> None:
        self.event_namespace = self
        self.token_to_sid = {"tab": "sid"}

    @asynccontextmanager
    async def modify_state(self, token: Any) -> AsyncIterator["FakeApp"]:
        """Hand out a root."""
        yield self

    async def get_state(self, kind: type[Watching]) -> Watching:
        """The state, watching the channel."""
        state = kind()
        state.channel = str(CHANNEL)
        return state


@pytest.fixture
def sinks(monkeypatch: pytest.MonkeyPatch) -> StateSinks:
    """A factory of sinks, without pauses."""
    monkeypatch.setattr(module, "BATCH_INTERVAL_S", 0)
    heard.clear()
    return StateSinks(FakeApp())  # type: ignore[arg-type]


async def test_only_a_class_that_wants_messages_gets_a_sink(sinks: StateSinks) -> None:
    """Whatever name a tab says."""
    assert await sinks("tab", Watching.get_full_name(), CHANNEL) is not None
    assert await sinks("tab", Silent.get_full_name(), CHANNEL) is None
    assert await sinks("tab", rx.State.get_full_name(), CHANNEL) is None
    assert await sinks("tab", "reflex___state____state.made_up", CHANNEL) is None
    assert await sinks("", Watching.get_full_name(), CHANNEL) is None


async def test_a_state_hears_pages_and_frames_once_and_in_order(sinks: StateSinks) -> None:
    """Frames that come before the tab has caught up wait for the pages."""
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    sink(frame(5, 6))
    sink.catch_up(page(1, 2, 3, more=True))
    sink(frame(7))
    sink.catch_up(page(4, 5))
    sink(frame(8))
    await heard_are(1, 2, 3, 4, 5, 6, 7, 8)


async def test_a_state_hears_an_unreadable_row_in_its_place(sinks: StateSinks) -> None:
    """In a page and in a frame; marked as such, and the rows around it come as ever."""
    unreadable.clear()
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    hidden = Unreadable(70_000, "depth")
    first, second = page(1, 2, 3), frame(4, 5, 6)
    first.rows[1] = replace(first.rows[1], unreadable=hidden)
    rows = second.messages
    sink.catch_up(first)
    sink(replace(second, messages=(rows[0], replace(rows[1], unreadable=hidden), rows[2])))
    await heard_are(1, 2, 3, 4, 5, 6)
    assert unreadable == {2: hidden, 5: hidden}


async def test_a_state_hears_a_restored_log_from_where_its_tab_begins_again(sinks: StateSinks) -> None:
    """Another epoch counts anew, below what was heard before."""
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    sink.catch_up(page(8, 9))
    sink(frame(epoch="f"))
    sink.catch_up(page(3, 4, epoch="f", reset=True))
    sink(frame(4, 5, epoch="f"))
    await heard_are(8, 9, 3, 4, 5)


async def test_a_state_hears_a_log_that_went_back_from_where_its_tab_begins_again(sinks: StateSinks) -> None:
    """Within the epoch, where the tab alone knew better than the log."""
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    sink.catch_up(page(8, 9))
    sink.catch_up(page(7, 8, reset=True))
    sink(frame(9))
    await heard_are(8, 9, 7, 8, 9)


async def test_what_comes_of_a_restored_log_before_its_tab_asked_waits_for_the_page(sinks: StateSinks) -> None:
    """Else the page's first ones would be passed over as old."""
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    sink.catch_up(page(8, 9))
    sink(frame(epoch="f"))
    sink(frame(5, epoch="f"))
    sink.catch_up(page(3, 4, 5, epoch="f", reset=True))
    sink(frame(6, epoch="f"))
    await heard_are(8, 9, 3, 4, 5, 6)


async def test_what_waits_of_a_log_before_it_was_restored_is_void(sinks: StateSinks) -> None:
    """Also what comes of it late."""
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    sink(frame(5, 6))
    sink.catch_up(page(4, 5, 6, epoch="f", reset=True))
    sink(frame(7))
    sink(frame(7, epoch="f"))
    await heard_are(4, 5, 6, 7)


async def test_what_a_tab_was_shown_before_it_asked_again_comes_before_the_page(sinks: StateSinks) -> None:
    """Its first question was not answered, but it is in the room."""
    sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
    assert sink is not None
    sink(frame(6))
    sink.catch_up(page(7))
    sink(frame(7, 8))
    await heard_are(6, 7, 8)


async def test_a_state_hears_a_channels_first_event(sinks: StateSinks) -> None:
    """Whether it comes before the empty page or after it."""
    for early in (True, False):
        heard.clear()
        sink = await sinks("tab", Watching.get_full_name(), CHANNEL)
        assert sink is not None
        if early:
            sink(frame(1))
        sink.catch_up(page(epoch=""))
        sink(frame(1, 2))
        await heard_are(1, 2)


def passing(*ids: str) -> Frame:
    """A frame of ephemeral messages, with a stored one beside them."""
    fleeting = tuple(Ephemeral(TENANT, CHANNEL, each, "board.pointed", {}, 0) for each in ids)
    return Frame(TENANT, CHANNEL, "e", tuple(messages(1)), fleeting)


async def test_a_state_hears_ephemeral_messages_as_they_come(sinks: StateSinks) -> None:
    """Gathered while its hook is busy; whether its tab has caught up or not, since none comes again."""
    passed.clear()
    sink = await sinks("tab", Passing.get_full_name(), CHANNEL)
    assert sink is not None
    assert sink.wants_frames
    sink(passing("a"))
    sink(passing("b", "c"))
    sink.catch_up(page(1))
    async with asyncio.timeout(60):
        while not passed:
            await asyncio.sleep(0)
    sink(passing("d"))
    async with asyncio.timeout(60):
        while len(passed) < 2:
            await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert passed == [["a", "b", "c"], ["d"]]
    assert heard == []
