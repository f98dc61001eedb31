"""`HeartbeatState`: its Vars and its hook; and the specification's heartbeat, in our words."""

import asyncio

import pytest
import reflex as rx

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Message
from realtime_ui.states import sinks as module
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.heartbeat import HeartbeatState
from realtime_ui.states.sinks import StateSinks, has_hooks
from tests.unit.states.test_channel import FakeApp, frame, page

CHANNEL = ChannelName.parse("project:x")
heard: list[str] = []


class Calm(HeartbeatState, rx.State):
    """Looks at its line in the browser alone."""


class Worried(HeartbeatState, rx.State):
    """Reacts to silence on the server."""

    async def _on_timeout(self) -> None:
        heard.append("timeout")


class Both(HeartbeatState, rx.State):
    """Wants messages, too."""

    async def _on_messages(self, batch: list[Message]) -> None:
        heard.extend(str(message.seq) for message in batch)

    async def _on_timeout(self) -> None:
        heard.append("timeout")


class App(FakeApp):
    """Gives out the state asked for."""

    async def get_state(self, kind: type[ChannelState]) -> ChannelState:  # type: ignore[override]
        """The state, watching the channel."""
        state = kind()
        state.channel = str(CHANNEL)
        return state


@pytest.fixture
def sinks(monkeypatch: pytest.MonkeyPatch) -> StateSinks:
    """A factory of sinks, without pauses."""
    monkeypatch.setattr(module, "BATCH_INTERVAL_S", 0)
    heard.clear()
    return StateSinks(App())  # type: ignore[arg-type]


async def settled(count: int) -> None:
    """Wait until so much was heard."""
    async with asyncio.timeout(60):
        while len(heard) < count:
            await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_its_vars_live_in_the_browser() -> None:
    """Each class has its own, and none is state of the server."""
    for name in ("last_beat", "elapsed", "timed_out", "latency"):
        assert isinstance(getattr(Calm, name), rx.Var)
        assert str(getattr(Calm, name)) != str(getattr(Worried, name))
        assert name not in Calm().dict()[Calm.get_full_name()]


def test_nobody_can_call_the_hook_from_outside() -> None:
    """It is no event handler."""
    assert "_on_timeout" not in Worried.event_handlers


def test_a_class_is_named_to_the_server_only_where_it_overrides_a_hook() -> None:
    """Nothing is called for the others."""
    assert [has_hooks(each) for each in (Calm, Worried, Both)] == [False, True, True]


async def test_silence_calls_the_hook_and_nothing_else(sinks: StateSinks) -> None:
    """A class without `_on_messages` is not told of messages."""
    sink = await sinks("tab", Worried.get_full_name(), CHANNEL)
    assert sink is not None
    assert not sink.wants_frames
    sink.catch_up(page(1))
    sink.timed_out()
    sink.timed_out()
    await settled(1)
    assert heard == ["timeout"]


async def test_one_class_can_have_both(sinks: StateSinks) -> None:
    """A heartbeat is no message: silence comes through a door of its own."""
    sink = await sinks("tab", Both.get_full_name(), CHANNEL)
    assert sink is not None
    assert sink.wants_frames
    sink.catch_up(page(1))
    sink(frame(2))
    await settled(2)
    sink.timed_out()
    await settled(3)
    assert heard == ["1", "2", "timeout"]


async def test_a_class_without_hooks_has_no_sink(sinks: StateSinks) -> None:
    """Whatever the tab says."""
    assert await sinks("tab", Calm.get_full_name(), CHANNEL) is None
