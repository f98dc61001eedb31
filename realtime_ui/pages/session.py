"""A session: its feed, and a line to say something on it."""

import reflex as rx

from realtime_ui.access.policy import Action, require
from realtime_ui.components.live_feed import live_feed
from realtime_ui.components.message_form import message_form
from realtime_ui.components.presence import avatar_stack, typing_line
from realtime_ui.components.shell import page_head, refusal_card, shell
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import RealtimeError
from realtime_ui.pages.routes import SESSION
from realtime_ui.runtime import current
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.patience import patiently
from realtime_ui.states.presence import PresenceState
from realtime_ui.states.principal import person_of
from realtime_ui.states.session import SessionState

MESSAGE_FIELD = "message"


class SessionPageState(ChannelState, PresenceState, rx.State):
    """Which session is open."""

    title: str = ""
    refusal: str = ""
    """Why the address leads to no session; nothing else is shown then."""

    @rx.event
    async def open(self) -> None:
        """Watch the session in the address."""
        self.refusal = ""
        try:
            channel = ChannelName.parse(f"session:{getattr(self, 'session_id', '')}")
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


@rx.page(SESSION, title="Session · Realtime UI", on_load=[SessionState.load, SessionPageState.open])
def session() -> rx.Component:
    """The session page."""
    return shell(
        rx.cond(
            SessionPageState.refusal,
            refusal_card(SessionPageState.refusal),
            rx.el.div(
                page_head("session", SessionPageState, SessionPageState.title, avatar_stack(SessionPageState)),
                rx.el.section(
                    rx.el.h2("Conversation"),
                    live_feed(SessionPageState, label="Session messages"),
                    typing_line(SessionPageState, MESSAGE_FIELD),
                    message_form(SessionPageState, field=MESSAGE_FIELD),
                    class_name="rt-panel rt-panel-feed",
                ),
                class_name="rt-page rt-page-single",
            ),
        )
    )
