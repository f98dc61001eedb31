"""Programs outside the app: they need `realtime_ui`'s EventClient, which loads httpx and no more."""

from pathlib import Path
from typing import Any

from realtime_ui import EventClient


async def emit(url: str, key: str, project_id: str) -> None:
    """Put an event on a project's channel."""
    # region emit
    async with EventClient(url, key) as client:
        await client.emit("project.updated", {"projectId": project_id, "changes": {"status": "completed"}})
    # endregion


async def follow(url: str, key: str, handle_message: Any) -> None:
    """Hear everything on a channel, across restarts of anything."""
    # region follow
    async with EventClient(url, key) as client:
        async for message in client.stream("project:abc123"):
            handle_message(message)
    # endregion


async def follow_for_good(url: str, key: str, file: Path, handle_message: Any) -> None:
    """Go on where the last run of this program ended."""
    # region cursor
    async with EventClient(url, key) as client:
        stream = client.stream("project:abc123", cursor=file.read_text() if file.exists() else None)
        async for message in stream:
            handle_message(message)
            file.write_text(stream.cursor or "")
    # endregion
