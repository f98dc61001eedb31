"""What the pages of single channels have in common: the channel that the address names, or why it cannot be shown."""

import reflex as rx

from realtime_ui.access.policy import Action, require
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import RealtimeError
from realtime_ui.runtime import current
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.patience import patiently
from realtime_ui.states.presence import PresenceState
from realtime_ui.states.principal import person_of


class ChannelPageState(ChannelState, PresenceState, rx.State, mixin=True):
    """Which channel is open."""

    title: str = ""
    refusal: str = ""
    """Why the address leads to no channel; nothing else is shown then."""

    async def _open(self, kind: ChannelType, identity: str) -> None:
        """Watch a channel and be present on it, or set `refusal`.

        Args:
            kind: the channel's type.
            identity: its id, as the address has it.
        """
        self.refusal = ""
        try:
            channel = ChannelName.parse(f"{kind}:{identity}")
            self.title = await patiently(lambda: self._title_of(channel))
        except RealtimeError as error:
            self.unsubscribe()
            self.leave()
            self.title, self.refusal = "", " ".join(filter(None, (error.detail, error.remedy)))
            return
        self.subscribe(str(channel), rewind=50)
        self.enter(str(channel))

    async def _title_of(self, channel: ChannelName) -> str:
        person = require(await person_of(self), Action.READ, channel)
        return await current().channels.title(person.tenant, channel) or channel.id
