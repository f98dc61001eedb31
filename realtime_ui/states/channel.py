"""`ChannelState`: a state class says what a tab watches and reacts to it; rows never pass through it.

    class Project(ChannelState, rx.State):
        @rx.event
        def open(self):
            self.subscribe(f"project:{self.project_id}", rewind=50)

`live_feed(Project)` performs the subscription over the tab's `/feed` socket and ends it with it; on a page that shows
no feed `subscription(Project)` does.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import reflex as rx

from realtime_ui.access.policy import known
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Ephemeral, Json, Message, Receipt
from realtime_ui.runtime import current
from realtime_ui.states.client_vars import ClientVar
from realtime_ui.states.principal import person_of


class _Subscription:
    """What a handler calls. A plain class, so that none of it becomes an event handler any socket can call."""

    channel: str
    rewind: int

    def subscribe(self, channel: str, *, rewind: int = 50) -> None:
        """Watch a channel: the tab's `live_feed` or `subscription` subscribes as soon as it hears of it.

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
        """Emit an event as the signed-in person, who must be allowed to post on every channel that it goes to.

        Args:
            type: such as `session.message`. This handler chooses it, not the browser.
            payload: names the ids its route needs.
            id: an own id, under which a repeat is stored once.

        Raises:
            NotAuthenticated, NotAllowed: nobody is signed in, or they may not post on one of its channels.
            InvalidEvent, Conflict, DatabaseUnavailable: as `EventBus.emit`.
        """
        assert isinstance(self, rx.State)
        person = known(await person_of(self))
        return await current().bus.emit_as(person, type, payload, id=id, chosen_by_app=True)


class ChannelState(_Subscription, rx.State, mixin=True):
    """Mixin for a state class that watches a channel (what `useRealtimeChannel` was).

    `status` (initialized, attaching, attached, suspended, failed), `error` and `last_seq` are client-side
    Vars of the tab's feed. So is `ephemeral`: the channel's last 50 ephemeral events since the tab subscribed, oldest
    first, `{id, type, data, timestamp}` each, without the chunks of messages that are being written (`….delta`), which
    `live_feed` shows as such. Override `_on_messages` and `_on_ephemeral` to react on the server.
    """

    channel: str = ""
    rewind: int = 50

    status: ClassVar[Any] = ClientVar("useFeed", "status", str, of_channel=True)
    error: ClassVar[Any] = ClientVar("useFeed", "error", str, of_channel=True)
    last_seq: ClassVar[Any] = ClientVar("useFeed", "last_seq", int, of_channel=True)
    ephemeral: ClassVar[Any] = ClientVar("useFeed", "ephemeral", list[dict[str, Any]], of_channel=True)

    async def _on_messages(self, batch: list[Message]) -> None:
        """React to what the tab is shown: in order, gathered, at most five times a second. Override it.

        That includes the `rewind` earlier messages and what came while the tab was away; after a page load it
        begins with them again, and a lost line may repeat or cost the last ones: go by `seq` where that matters.
        After the log went back, in a failover that lost rows, it begins again in the same way, with another `epoch`
        of the messages for those tabs that were there.
        A message whose stored payload is not shown has `data` {} and says why in `unreadable`.
        """

    async def _on_ephemeral(self, batch: list[Ephemeral]) -> None:
        """React to ephemeral events of the channel, those of a `Route(…, durable=False)`. Override it.

        They come as they are shown, gathered, at most five times a second: not before the tab has subscribed, never
        again, and in no order with what `_on_messages` gets. Of more than 5,000 in a batch the oldest are left out.
        """
