"""`ChannelState`: a state class says what a tab watches and reacts to it; rows never pass through it.

    class Project(ChannelState, rx.State):
        @rx.event
        def open(self):
            self.subscribe(f"project:{self.project_id}", rewind=50)

`live_feed(Project)` performs the subscription over the tab's `/feed` socket and ends it with it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import reflex as rx

from realtime_ui.access.policy import Action, require
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Json, Message, Receipt
from realtime_ui.hub.subscriptions import StateSink
from realtime_ui.hub.watched import Frame
from realtime_ui.runtime import current
from realtime_ui.states.client_vars import ClientVar
from realtime_ui.states.principal import person_of

logger = logging.getLogger(__name__)

BATCH_INTERVAL_S = 0.2
"""At most five batches a second reach `_on_messages`."""
MAX_BATCH = 5_000
"""More than this many waiting messages lose their oldest; a feed still shows them all."""


class _Subscription:
    """What a handler calls. A plain class, so that none of it becomes an event handler any socket can call."""

    channel: str
    rewind: int

    def subscribe(self, channel: str, *, rewind: int = 50) -> None:
        """Watch a channel: the tab's `live_feed` subscribes as soon as it hears of it.

        Args:
            channel: `type:id`. Whether the person may read it is asked when the tab subscribes.
            rewind: how many earlier messages to begin with, 0 to 500.

        Raises:
            InvalidEvent: not a channel's name.
        """
        self.channel = str(ChannelName.parse(channel))
        self.rewind = rewind

    def unsubscribe(self) -> None:
        """Watch nothing."""
        self.channel = ""

    async def publish(self, type: str, payload: Mapping[str, Json], *, id: str | None = None) -> Receipt:
        """Emit an event as the signed-in person, through the bus like any other.

        Args:
            type: such as `session.message`.
            payload: names the ids its route needs.
            id: an own id, under which a repeat is stored once.

        Raises:
            NotAuthenticated, NotAllowed: nobody is signed in, or they may not post on the watched channel.
            InvalidEvent, Conflict, DatabaseUnavailable: as `EventBus.emit`.
        """
        assert isinstance(self, rx.State)
        channel = ChannelName.parse(self.channel)
        person = require(await person_of(self), Action.POST, channel)
        return await current().bus.emit(type, payload, person.tenant, id=id, emitted_by=person.label)


class ChannelState(_Subscription, rx.State, mixin=True):
    """Mixin for a state class that watches a channel (what `useRealtimeChannel` was).

    `status` (initialized, attaching, attached, suspended, failed), `error` and `last_seq` are client-side
    Vars of the tab's feed. Override `_on_messages` to react on the server.
    """

    channel: str = ""
    rewind: int = 50

    status: ClassVar[Any] = ClientVar("useFeed", "status", str, of_channel=True)
    error: ClassVar[Any] = ClientVar("useFeed", "error", str, of_channel=True)
    last_seq: ClassVar[Any] = ClientVar("useFeed", "last_seq", int, of_channel=True)

    async def _on_messages(self, batch: list[Message]) -> None:
        """React to what the tab is shown: in order, gathered, at most five times a second. Override it.

        That includes the `rewind` earlier messages and what came while the tab was away; after a page load it
        begins with them again, so go by `seq` where a repeat matters.
        """


class StateSinks:
    """Makes sinks that call `_on_messages` of the states of an app's tabs.

    Args:
        app: whose states.
    """

    def __init__(self, app: rx.App) -> None:
        self._app = app

    async def __call__(self, token: str, state_name: str, channel: ChannelName) -> StateSink | None:
        """A sink for a tab's state, where its class overrides `_on_messages`.

        Args:
            token: the Reflex client token of the tab's own WebSocket.
            state_name: what the tab says its state is called; checked, since anybody can say anything.
            channel: what the tab subscribes to.
        """
        try:
            state = rx.State.get_class_substate(state_name)
        except ValueError:
            return None
        if not token or not issubclass(state, ChannelState) or state._on_messages is ChannelState._on_messages:
            return None
        return _BatchingSink(self._app, token, state, str(channel))


class _BatchingSink:
    """Gathers a channel's messages for one tab's state; its task lives only while there are some."""

    def __init__(self, app: rx.App, token: str, state: type[ChannelState], channel: str) -> None:
        self._app = app
        self._token = token
        self._state = state
        self._channel = channel
        self._batch: list[Message] = []
        self._early: list[Message] = []
        self._live = False
        self._epoch, self._last = "", 0
        self._task: asyncio.Task[None] | None = None

    def __call__(self, frame: Frame) -> None:
        """Take a frame; while the tab still catches up, it waits."""
        if self._live:
            self._take(frame.messages)
        else:
            self._early.extend(frame.messages)
            del self._early[:-MAX_BATCH]

    def catch_up(self, messages: Sequence[Message], *, live: bool) -> None:
        """Take a page that the tab got; `live` when frames follow on it."""
        self._take(messages)
        if live:
            early, self._early = self._early, []
            self._live = True
            self._take(early)

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.epoch != self._epoch or message.seq > self._last:
                self._batch.append(message)
                self._epoch, self._last = message.epoch, message.seq
        del self._batch[:-MAX_BATCH]
        if self._batch and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._deliver(), name=f"on-messages {self._channel}")

    async def _deliver(self) -> None:
        while self._batch:
            batch, self._batch = self._batch, []
            namespace = self._app.event_namespace
            if namespace is None or self._token not in namespace.token_to_sid:
                return  # the tab is gone, and touching its state would bring it back to life
            try:
                async with self._app.modify_state(rx.BaseStateToken(ident=self._token, cls=self._state)) as root:
                    state = await root.get_state(self._state)
                    if state.channel == self._channel:
                        await state._on_messages(batch)
            except Exception:
                logger.exception("%s._on_messages failed", self._state.__name__)
            await asyncio.sleep(BATCH_INTERVAL_S)
