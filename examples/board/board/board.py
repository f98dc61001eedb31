"""Another Reflex app with a live page: what `realtime_ui` asks of one."""

import reflex as rx

from realtime_ui import ConnectionState, HeartbeatState, Message, install, live_feed


# region page
class Board(HeartbeatState, rx.State):
    """Watches one project, and counts on the server what comes, and how often its tab fell silent."""

    seen: int = 0
    silences: int = 0

    @rx.event
    def open(self) -> None:
        """Watch the project in the address."""
        self.subscribe(f"project:{self.project_id}", rewind=50)  # type: ignore[attr-defined]

    async def _on_messages(self, batch: list[Message]) -> None:
        self.seen += len(batch)

    async def _on_timeout(self) -> None:
        self.silences += 1


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
        live_feed(Board),
        padding="4",
    )


app = install(rx.App())
# endregion
