"""Code inside the app's own process."""

from typing import Any

from realtime_ui.core.principals import Principal
from realtime_ui.runtime import current


async def emit(project_id: str, principal: Principal) -> None:
    """Put an event on a project's channel."""
    # region emit
    await current().bus.emit(
        "project.updated", {"projectId": project_id, "changes": {"status": "completed"}}, principal.tenant
    )
    # endregion


def on_updates(notify: Any) -> None:
    """React to what this process emits."""
    # region on
    current().bus.on("project.updated", lambda event: notify(event.payload["projectId"]))
    # endregion
