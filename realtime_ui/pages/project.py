"""A project: its feed, and its fields as the events left them."""

import reflex as rx

from realtime_ui.access.policy import Action, require
from realtime_ui.components.live_feed import live_feed
from realtime_ui.components.presence import avatar_stack
from realtime_ui.components.shell import page_head, refusal_card, shell
from realtime_ui.components.views import current_fields
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import RealtimeError
from realtime_ui.pages.routes import PROJECT
from realtime_ui.runtime import current
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.patience import patiently
from realtime_ui.states.presence import PresenceState
from realtime_ui.states.principal import person_of
from realtime_ui.states.session import SessionState


class ProjectState(ChannelState, PresenceState, rx.State):
    """Which project is open."""

    title: str = ""
    refusal: str = ""
    """Why the address leads to no project; nothing else is shown then."""

    @rx.event
    async def open(self) -> None:
        """Watch the project in the address."""
        self.refusal = ""
        try:
            channel = ChannelName.parse(f"project:{getattr(self, 'project_id', '')}")
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


@rx.page(PROJECT, title="Project · Realtime UI", on_load=[SessionState.load, ProjectState.open])
def project() -> rx.Component:
    """The project page."""
    return shell(
        rx.cond(
            ProjectState.refusal,
            refusal_card(ProjectState.refusal),
            rx.el.div(
                page_head("project", ProjectState, ProjectState.title, avatar_stack(ProjectState)),
                rx.el.section(
                    rx.el.h2("Activity"),
                    live_feed(ProjectState, label="Project activity"),
                    class_name="rt-panel rt-panel-feed",
                ),
                rx.el.aside(
                    rx.el.h2("Now"),
                    current_fields(ProjectState),
                    class_name="rt-panel rt-panel-fields",
                    aria_label="Current fields",
                ),
                class_name="rt-page",
            ),
        )
    )
