"""A project: its feed, and its fields as the events left them."""

import reflex as rx

from realtime_ui.components.live_feed import live_feed
from realtime_ui.components.presence import avatar_stack
from realtime_ui.components.shell import page_head, refusal_card, shell
from realtime_ui.components.views import current_fields
from realtime_ui.core.channels import ChannelType
from realtime_ui.pages.channel_page import ChannelPageState
from realtime_ui.pages.routes import PROJECT
from realtime_ui.states.session import SessionState


class ProjectState(ChannelPageState, rx.State):
    """Which project is open."""

    @rx.event
    async def open(self) -> None:
        """Watch the project in the address."""
        await self._open(ChannelType.PROJECT, getattr(self, "project_id", ""))


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
