"""What every Socket.IO namespace here has in common: which events a client may call."""

from collections.abc import Mapping
from typing import Any

from socketio import AsyncNamespace
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime_ui.core import metrics
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import RealtimeError

MAX_FRAME_BYTES = 65_536
"""The largest message that a client may send over its WebSocket."""
SCOPE_REFUSAL = "realtime_ui.refusal"
"""Where an ASGI scope holds the error that every namespace refuses its socket with."""
OWN_EVENTS = {"connect", "disconnect"}
"""Called by the server alone. python-socketio dispatches a client's event of that name to the same methods, so that
any socket could connect again with an environment, and so an identity, of its own making."""


class ClientNamespace(AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """Refuses events that no handler here takes in that form."""

    async def trigger_event(self, event: Any, *args: Any) -> Any:
        """Dispatch an event that the server raises or a client sends; a refused one is counted and not answered."""
        sid = args[0] if args else None
        # While the server itself calls these two, the socket is not connected yet, or not any more.
        from_client = event not in OWN_EVENTS or self.server.manager.is_connected(sid, self.namespace)
        if from_client and (
            not isinstance(event, str)
            or event in OWN_EVENTS
            or not hasattr(self, f"on_{event}")
            or len(args) > 2  # the socket and one value
        ):
            metrics.EVENTS_REFUSED.inc()
            return None
        if event == "connect":
            _refuse_if_told(args[1])
        return await super().trigger_event(event, *args)


def _refuse_if_told(environ: Mapping[str, Any]) -> None:
    error: RealtimeError | None = environ["asgi.scope"].get(SCOPE_REFUSAL)
    if error is not None:
        raise Refused(error.title, Ending.TOO_MANY_CONNECTIONS.packet(f"{error.detail} {error.remedy or ''}".rstrip()))
