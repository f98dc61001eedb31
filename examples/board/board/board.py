"""Another Reflex app with a live page: what `realtime_ui` asks of one."""

import reflex as rx

from realtime_ui import (
    ChannelState,
    ConnectionState,
    Message,
    PresenceDiff,
    PresenceState,
    avatar_stack,
    install,
    live_feed,
)


class Board(ChannelState, PresenceState, rx.State):
    """Watches one project and is present on it; counts on the server what comes, and who."""

    seen: int = 0
    company: str = ""

    @rx.event
    def open(self) -> None:
        """Watch the project in the address, and be there."""
        channel = f"project:{self.project_id}"  # type: ignore[attr-defined]
        self.subscribe(channel, rewind=50)
        self.enter(channel)

    async def _on_messages(self, batch: list[Message]) -> None:
        self.seen += len(batch)

    async def _on_presence(self, change: PresenceDiff) -> None:
        self.company = ", ".join(sorted(member.name for member in await self._members()))


@rx.page("/boards/[project_id]", on_load=Board.open)
def board() -> rx.Component:
    """The page."""
    return rx.vstack(
        rx.hstack(rx.badge(Board.status), rx.badge(ConnectionState.status), rx.text(Board.last_seq, " / ", Board.seen)),
        rx.hstack(avatar_stack(Board), rx.text(Board.count, " here: ", Board.company)),
        live_feed(Board),
        padding="4",
    )


app = install(rx.App())
