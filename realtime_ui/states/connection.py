"""`ConnectionState`: how the tab's own connection stands (what `useRealtimeConnection` was)."""

from typing import Any, ClassVar

from realtime_ui.states.client_vars import ClientVar


class ConnectionState:
    """Client-side Vars only, so that they stay true while the connection is down; nothing of it is on the server.

    `status` is `connecting`, `connected`, `disconnected` (being retried) or `failed` (the server ended it, see
    `error`). `is_answering` is false while the connection is open and nothing comes over it. `online` says whether the
    device has a network at all. `obstacle` names what keeps it from connecting: `sign_in_page` (one of the network's
    own answers in place of the app), `another_server` (that one does) or `no_websockets` (the app answers, and no
    WebSocket opens). `latency` is the last round trip in ms, `since` the time in ms since the epoch when the status
    began, `client_id` the connection's id. `degraded` names what the server cannot reach while the tab is connected to
    it: `database`, `provider`; or `delivery`, where it is behind with its messages.
    """

    status: ClassVar[Any] = ClientVar("useConnection", "status", str)
    is_connected: ClassVar[Any] = ClientVar("useConnection", "is_connected", bool)
    is_answering: ClassVar[Any] = ClientVar("useConnection", "is_answering", bool)
    obstacle: ClassVar[Any] = ClientVar("useConnection", "obstacle", str)
    online: ClassVar[Any] = ClientVar("useConnection", "online", bool)
    error: ClassVar[Any] = ClientVar("useConnection", "error", str)
    client_id: ClassVar[Any] = ClientVar("useConnection", "client_id", str)
    latency: ClassVar[Any] = ClientVar("useConnection", "latency", int)
    since: ClassVar[Any] = ClientVar("useConnection", "since", int)
    degraded: ClassVar[Any] = ClientVar("useConnection", "degraded", list[str])
