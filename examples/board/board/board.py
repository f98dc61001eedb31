"""Another Reflex app with a live page: what `realtime_ui` asks of one."""

import reflex as rx

from realtime_ui import ChannelState, ConnectionState, Message, install, live_feed


# region page
class Board(ChannelState, rx.State):
    """Watches one project, and counts on the server what comes."""

    seen: int = 0

    @rx.event
    def open(self) -> None:
        """Watch the project in the address."""
        self.subscribe(f"project:{self.project_id}", rewind=50)  # type: ignore[attr-defined]

    async def _on_messages(self, batch: list[Message]) -> None:
        self.seen += len(batch)


@rx.page("/boards/[project_id]", on_load=Board.open)
def board() -> rx.Component:
    """The page."""
    return rx.vstack(
        rx.hstack(rx.badge(Board.status), rx.badge(ConnectionState.status), rx.text(Board.last_seq, " / ", Board.seen)),
        live_feed(Board),
        padding="4",
    )


app = install(rx.App())
# endregion
