"""Another Reflex app with a live page: what `realtime_ui` asks of one."""

import reflex as rx

from realtime_ui import (
    ChannelState,
    ConnectionState,
    Ephemeral,
    HeartbeatState,
    Message,
    PresenceDiff,
    PresenceState,
    Route,
    avatar_stack,
    install,
    live_feed,
    message_form,
    post,
    subscription,
)
from realtime_ui.core.channels import ChannelType


# region page
class Board(HeartbeatState, PresenceState, rx.State):
    """Watches one project and is present on it; counts on the server what comes, who, and silences of its tab."""

    seen: int = 0
    silences: int = 0
    company: str = ""

    @rx.event
    def open(self) -> None:
        """Watch the project in the address, and be there."""
        channel = f"project:{self.project_id}"  # type: ignore[attr-defined]
        self.subscribe(channel, rewind=50)
        self.enter(channel)

    async def _on_messages(self, batch: list[Message]) -> None:
        self.seen += len(batch)

    async def _on_timeout(self) -> None:
        self.silences += 1

    async def _on_presence(self, change: PresenceDiff) -> None:
        self.company = ", ".join(sorted(member.name for member in await self._members()))


@rx.page("/boards/[project_id]", on_load=Board.open)
def board() -> rx.Component:
    """The page."""
    return rx.vstack(
        rx.hstack(rx.badge(Board.status), rx.badge(ConnectionState.status), rx.text(Board.last_seq, " / ", Board.seen)),
        rx.cond(
            Board.timed_out,
            rx.text("No heartbeat for ", Board.elapsed // 1000, " s"),
            rx.text("Last heartbeat after ", Board.latency, " ms; silent so far: ", Board.silences),
        ),
        rx.hstack(avatar_stack(Board), rx.text(Board.count, " here: ", Board.company)),
        live_feed(Board),
        message_form(Board, type="project.commented"),
        rx.button("Applaud", on_click=post(Board, "project.applauded", {"after": Board.last_seq})),
        padding="4",
    )


POSTS = Route("project.", ChannelType.PROJECT, "projectId", posts=("project.commented", "project.applauded"))
POINTS = Route("board.pointed", ChannelType.PROJECT, "projectId", durable=False)  # shown now or never
app = install(rx.App(), routes=[POSTS, POINTS])
# endregion


class Counter(ChannelState, rx.State):
    """Watches a project on a page that shows none of it, and counts on the server what is stored and what passes."""

    stored: int = 0
    passed: int = 0

    @rx.event
    def open(self) -> None:
        """Watch the project in the address."""
        self.subscribe(f"project:{self.project_id}")  # type: ignore[attr-defined]

    async def _on_messages(self, batch: list[Message]) -> None:
        self.stored += len(batch)

    async def _on_ephemeral(self, batch: list[Ephemeral]) -> None:
        self.passed += len(batch)


@rx.page("/counters/[project_id]", on_load=Counter.open)
def counter() -> rx.Component:
    """The page; `Counter.ephemeral` lives in the browser."""
    return rx.vstack(
        subscription(Counter),
        rx.text(Counter.stored, " stored, ", Counter.passed, " passed"),
        rx.foreach(Counter.ephemeral, lambda event: rx.text("Pointed at ", event["data"].to(dict)["at"])),
    )
