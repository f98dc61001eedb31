"""`PresenceState`: a state class says where its tab is present; who else is there lives in the browser.

    class Project(PresenceState, rx.State):
        @rx.event
        def open(self):
            self.enter(f"project:{self.project_id}")

`avatar_stack(Project)` performs it over the tab's `/feed` socket and ends it with it.
"""

import asyncio
import logging
from typing import Any, ClassVar, Literal

import reflex as rx

from realtime_ui.access.policy import Action, require
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Json
from realtime_ui.hub.members import Member, PresenceDiff
from realtime_ui.hub.presence_rooms import PresenceSink
from realtime_ui.runtime import current
from realtime_ui.states.client_vars import ClientVar
from realtime_ui.states.principal import person_of

logger = logging.getLogger(__name__)

CHANGE_INTERVAL_S = 0.2
"""At most five changes a second reach `_on_presence`."""

Said = Literal["online", "away", "typing"]


class _Presence:
    """What a handler calls. A plain class, so that none of it becomes an event handler any socket can call."""

    present_on: str
    present_as: str

    def enter(self, channel: str, state: Said = "online") -> None:
        """Be present on a channel, as soon as the tab hears of it. A tab is on one channel at a time.

        Args:
            channel: `type:id`. Whether the person may read it is asked when the tab enters.
            state: what to say of the person. The tab itself says away when nobody uses it.

        Raises:
            InvalidEvent: not a channel's name.
        """
        self.present_on = str(ChannelName.parse(channel))
        self.present_as = state

    def update(self, state: Said) -> None:
        """Say something else of the person."""
        self.present_as = state

    def leave(self) -> None:
        """Be present on no channel; the person stays online in the tenant while the tab is there."""
        self.present_on = ""

    async def _members(self) -> list[Member]:
        """Everybody on the channel that the tab is on, as the server knows it.

        Raises:
            NotAuthenticated, NotAllowed: nobody is signed in, or they may not read the channel.
        """
        assert isinstance(self, rx.State)
        if not self.present_on:
            return []
        channel = ChannelName.parse(self.present_on)
        person = require(await person_of(self), Action.READ, channel)
        return current().presence.members(person.tenant, channel)


class PresenceState(_Presence, rx.State, mixin=True):
    """Mixin for a state class that is present on a channel (what `useRealtimePresence` was).

    `members` and `count` are client-side Vars. A member is a person:
    `{person, name, state, since, tabs, metas: [{tab, since, entered, device, browser, channel, state}]}`, with
    times in ms since the Unix epoch. `members` has 200 at most, `count` is the true number. Override
    `_on_presence` to react on the server.
    """

    present_on: str = ""
    present_as: str = "online"

    members: ClassVar[Any] = ClientVar(
        "usePresence", "members", list[dict[str, Json]], of_channel=True, channel="present_on"
    )
    count: ClassVar[Any] = ClientVar("usePresence", "count", int, of_channel=True, channel="present_on")

    async def _on_presence(self, change: PresenceDiff) -> None:
        """React to who came, went or changed, at most five times a second. Override it.

        The first change names everybody who is there as joins; after a reconnect it does so again.
        """


class PresenceSinks:
    """Makes sinks that call `_on_presence` of the states of an app's tabs.

    Args:
        app: whose states.
    """

    def __init__(self, app: rx.App) -> None:
        self._app = app

    def __call__(self, token: str, state_name: str, channel: ChannelName) -> PresenceSink | None:
        """A sink for a tab's state, where its class overrides `_on_presence`.

        Args:
            token: the Reflex client token of the tab's own WebSocket.
            state_name: what the tab says its state is called; checked, since anybody can say anything.
            channel: what the tab enters.
        """
        try:
            state = rx.State.get_class_substate(state_name)
        except ValueError:
            return None
        if not token or not issubclass(state, PresenceState) or state._on_presence is PresenceState._on_presence:
            return None
        return _GatheringSink(self._app, token, state, str(channel))


class _GatheringSink:
    """Puts a channel's diffs together for one tab's state; its task lives only while there are some."""

    def __init__(self, app: rx.App, token: str, state: type[PresenceState], channel: str) -> None:
        self._app = app
        self._token = token
        self._state = state
        self._channel = channel
        self._change: PresenceDiff | None = None
        self._task: asyncio.Task[None] | None = None

    def __call__(self, diff: PresenceDiff) -> None:
        """Take a diff."""
        self._change = diff if self._change is None else self._change.then(diff)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver(), name=f"on-presence {self._channel}")

    async def _deliver(self) -> None:
        while self._change is not None:
            change, self._change = self._change, None
            namespace = self._app.event_namespace
            if namespace is None or self._token not in namespace.token_to_sid:
                return  # the tab is gone, and touching its state would bring it back to life
            try:
                async with self._app.modify_state(rx.BaseStateToken(ident=self._token, cls=self._state)) as root:
                    state = await root.get_state(self._state)
                    if state.present_on == self._channel:
                        await state._on_presence(change)
            except Exception:
                logger.exception("%s._on_presence failed", self._state.__name__)
            await asyncio.sleep(CHANGE_INTERVAL_S)
