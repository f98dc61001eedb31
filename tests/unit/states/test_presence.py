"""`PresenceState`: what it declares, what it tells of the browser's list, and what its sink calls."""

import asyncio
import uuid
from typing import Any

import pytest
import reflex as rx

from realtime_ui.components.presence import avatar_stack, typing_line
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.hub.members import Activity, Member, PresenceDiff
from realtime_ui.states import presence as module
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.presence import PresenceSinks, PresenceState
from tests.waiting import until

CHANNEL = ChannelName.parse("project:x")


class Minding(ChannelState, PresenceState, rx.State):
    """Wants to know who comes and goes, and watches a channel besides."""

    async def _on_presence(self, change: PresenceDiff) -> None:
        heard.append(change)
        if change.count == 666:
            raise RuntimeError


class Careless(PresenceState, rx.State):
    """Does not."""


heard: list[PresenceDiff] = []


def joins(*people: int, count: int = 1) -> PresenceDiff:
    """A diff."""
    members = (Member(uuid.UUID(int=each), "A", Activity.ONLINE, 1, 1, ()) for each in people)
    return PresenceDiff(tuple(members), (), (), count)


def test_entering_declares_a_channel_and_leaving_none() -> None:
    """A wrong name is refused at once; the watched channel is another matter."""
    state = Minding()
    state.enter("project:abc")
    assert (state.present_on, state.present_as, state.channel) == ("project:abc", "online", "")
    state.update("away")
    assert state.present_as == "away"
    state.leave()
    assert state.present_on == ""
    with pytest.raises(InvalidEvent):
        state.enter("planet:abc")


async def test_on_no_channel_there_are_no_members() -> None:
    """Nobody has to be asked."""
    assert await Careless()._members() == []


def test_what_a_handler_calls_is_no_handler_itself() -> None:
    """Any socket can call a handler by name; these it cannot."""
    assert not {"enter", "update", "leave", "_members", "_on_presence"} & set(Minding.event_handlers)


def test_members_live_in_the_browser_and_follow_the_classs_own_channel() -> None:
    """Two classes have two lists."""
    assert isinstance(Minding.members, rx.Var)
    assert str(Minding.count).endswith(".count")
    assert str(Minding.members) != str(Careless.members)
    data = Minding.members._get_all_var_data()
    assert data is not None
    [hook] = [each for each in data.hooks if "usePresence(" in each]
    assert "present_on" in hook


def test_the_components_name_the_state_only_where_it_wants_to_know() -> None:
    """Others cost the server nothing."""
    for make in (avatar_stack, lambda state: typing_line(state, "field")):
        assert Minding.get_full_name() in str(make(Minding))
        assert f'"{Careless.get_full_name()}"' not in str(make(Careless))


class FakeApp:
    """As much of a Reflex app, and of a state's root, as a sink needs."""

    def __init__(self) -> None:
        self.event_namespace = self
        self.token_to_sid = {"tab": "sid"}
        self.state: Any = Minding()

    def modify_state(self, token: object) -> "FakeApp":
        """The state, held."""
        return self

    async def __aenter__(self) -> "FakeApp":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def get_state(self, kind: object) -> Any:
        """The one state there is."""
        return self.state


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    """One tab on the channel."""
    monkeypatch.setattr(module, "CHANGE_INTERVAL_S", 0.01)
    heard.clear()
    app = FakeApp()
    app.state.enter(str(CHANNEL))
    return app


def sink(app: FakeApp, state: str = Minding.get_full_name(), of: str = "tab") -> Any:
    """What the namespace gets."""
    return PresenceSinks(app)(of, state, CHANNEL)  # type: ignore[arg-type]


def test_only_a_presence_state_that_wants_it_gets_a_sink(app: FakeApp) -> None:
    """Whatever a tab claims."""
    assert sink(app) is not None
    for state in (Careless.get_full_name(), "no.such.state", rx.State.get_full_name()):
        assert sink(app, state) is None
    assert sink(app, of="") is None


async def test_diffs_are_gathered_and_a_failure_is_not_the_end(app: FakeApp) -> None:
    """One call for those that came meanwhile."""
    told = sink(app)
    told(joins(1, count=666))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told(joins(2, count=2))
    told(joins(3, count=3))
    await until(lambda: len(heard) == 2)
    await asyncio.sleep(0.1)  # in which no third call comes
    assert [(len(each.joins), each.count) for each in heard] == [(1, 666), (2, 3)]


async def test_a_tab_that_is_gone_or_elsewhere_is_not_called(app: FakeApp) -> None:
    """Its state must not come back to life."""
    app.state.enter("project:other")
    sink(app)(joins(1))
    app.token_to_sid = {}
    sink(app)(joins(1))
    await asyncio.sleep(0.05)
    assert heard == []
