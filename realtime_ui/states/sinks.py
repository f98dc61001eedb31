"""How the hub reaches a tab's state on the server: sinks that call the hooks which its class overrides."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import reflex as rx

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.hub.subscribe import Page
from realtime_ui.hub.subscriptions import StateSink
from realtime_ui.hub.watched import Frame
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.heartbeat import HeartbeatState

logger = logging.getLogger(__name__)

BATCH_INTERVAL_S = 0.2
"""At most five batches a second reach `_on_messages`, and `_on_ephemeral`."""
MAX_BATCH = 5_000
"""More than this many waiting messages lose their oldest; a feed still shows them all."""


def overrides(state: type[ChannelState], hook: str) -> bool:
    """Whether a class has a hook of its own."""
    own = getattr(state, hook, None)
    return own is not None and own not in (getattr(ChannelState, hook, None), getattr(HeartbeatState, hook, None))


def has_hooks(state: type[ChannelState]) -> bool:
    """Whether a class wants to hear of anything on the server."""
    return any(overrides(state, hook) for hook in ("_on_messages", "_on_ephemeral", "_on_timeout"))


class StateSinks:
    """Makes sinks that call the hooks of the states of an app's tabs.

    Args:
        app: whose states.
    """

    def __init__(self, app: rx.App) -> None:
        self._app = app

    async def __call__(self, token: str, state_name: str, channel: ChannelName) -> StateSink | None:
        """A sink for a tab's state, where its class overrides a hook.

        Args:
            token: the Reflex client token of the tab's own WebSocket.
            state_name: what the tab says its state is called; checked, since anybody can say anything.
            channel: what the tab subscribes to.
        """
        try:
            state = rx.State.get_class_substate(state_name)
        except ValueError:
            return None
        if not token or not issubclass(state, ChannelState) or not has_hooks(state):
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
        self._fleeting: list[Ephemeral] = []
        self._early: list[Message] = []
        self._live = False
        self._epoch, self._last = "", 0
        self._wants_messages = overrides(state, "_on_messages")
        self._wants_ephemeral = overrides(state, "_on_ephemeral")
        self._task: asyncio.Task[None] | None = None
        self._timing_out: asyncio.Task[None] | None = None

    @property
    def wants_frames(self) -> bool:
        """Whether a hook is called with what frames bring."""
        return self._wants_messages or self._wants_ephemeral

    def __call__(self, frame: Frame) -> None:
        """Take a frame; while the tab still catches up, its messages wait."""
        if self._wants_ephemeral and frame.ephemeral:
            self._fleeting.extend(frame.ephemeral)
            del self._fleeting[:-MAX_BATCH]
            self._deliver_soon()
        if not self._wants_messages:
            return
        if self._live and not frame.messages and not frame.ephemeral:  # another epoch: the tab asks where it stands
            self._live = False
        elif self._live:
            self._take(frame.messages)
        else:
            self._early.extend(frame.messages)
            del self._early[:-MAX_BATCH]

    def catch_up(self, page: Page) -> None:
        """Take a page that the tab got; frames follow on the last one."""
        if not self._wants_messages:
            return
        epoch, rows = page.head.epoch, page.rows
        if epoch != self._epoch or page.reset:
            self._epoch, self._last = epoch, 0
        early = [each for each in self._early if epoch in (each.epoch, "")]
        # A tab shows frames between two of its questions; what it asks for then comes after them, or in their place.
        self._take([each for each in early if rows and each.seq < rows[0].seq and not page.reset])
        self._take(rows)
        if page.more:
            self._early = early
        else:
            self._early, self._live = [], True
            self._take(early)

    def timed_out(self) -> None:
        """Call `_on_timeout`, where the class overrides it; the tab is silent, so nobody waits for it."""
        if overrides(self._state, "_on_timeout") and (self._timing_out is None or self._timing_out.done()):
            self._timing_out = asyncio.create_task(
                self._call(lambda state: state._on_timeout()), name=f"on-timeout {self._channel}"
            )

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if self._epoch == "":  # the channel's first event
                self._epoch = message.epoch
            if message.epoch == self._epoch and message.seq > self._last:
                self._batch.append(message)
                self._last = message.seq
        del self._batch[:-MAX_BATCH]
        if self._batch:
            self._deliver_soon()

    def _deliver_soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver(), name=f"on-messages {self._channel}")

    async def _deliver(self) -> None:
        while self._batch or self._fleeting:
            batch, self._batch = self._batch, []
            fleeting, self._fleeting = self._fleeting, []
            if batch:
                await self._call(lambda state, batch=batch: state._on_messages(batch))  # type: ignore[misc]
            if fleeting:
                await self._call(lambda state, batch=fleeting: state._on_ephemeral(batch))  # type: ignore[misc]
            await asyncio.sleep(BATCH_INTERVAL_S)

    async def _call(self, hook: Callable[[Any], Awaitable[None]]) -> None:
        """Run a hook on the tab's state, unless the tab is gone or watches something else by now."""
        namespace = self._app.event_namespace
        if namespace is None or self._token not in namespace.token_to_sid:
            return  # touching its state would bring it back to life
        try:
            async with self._app.modify_state(rx.BaseStateToken(ident=self._token, cls=self._state)) as root:
                state = await root.get_state(self._state)
                if state.channel == self._channel:
                    await hook(state)
        except Exception:
            logger.exception("A hook of %s failed", self._state.__name__)
