"""A session: its feed, and a line to say something on it."""

import reflex as rx

from realtime_ui.components.live_feed import live_feed
from realtime_ui.components.message_form import message_form
from realtime_ui.components.presence import avatar_stack, typing_line
from realtime_ui.components.shell import page_head, refusal_card, shell
from realtime_ui.core.channels import ChannelType
from realtime_ui.pages.channel_page import ChannelPageState
from realtime_ui.pages.routes import SESSION
from realtime_ui.states.session import SessionState

MESSAGE_FIELD = "message"


class SessionPageState(ChannelPageState, rx.State):
    """Which session is open."""

    @rx.event
    async def open(self) -> None:
        """Watch the session in the address."""
        await self._open(ChannelType.SESSION, getattr(self, "session_id", ""))


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
