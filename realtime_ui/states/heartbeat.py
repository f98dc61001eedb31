"""`HeartbeatState`: a `ChannelState` that knows whether its line is alive (what `useSSEHeartbeat` was).

class Project(HeartbeatState, rx.State):
async def _on_timeout(self):
...

rx.cond(Project.timed_out, rx.badge("The line is dead"))
"""

from typing import Any, ClassVar

from realtime_ui.states.channel import ChannelState
from realtime_ui.states.client_vars import ClientVar


class HeartbeatState(ChannelState, mixin=True):
    """Mixin for a state class that watches a channel and its heartbeat.

    Client-side Vars of the heartbeats of the channel's type, so that they stay true while the socket is down:
    `last_beat` (when the last one came, in ms since the Unix epoch; 0 before the first), `elapsed` (ms since then,
    ticking), `timed_out` (whether that is longer than the type's timeout) and `latency` (ms of the last round
    trip; null before the first).
    """

    last_beat: ClassVar[Any] = ClientVar("useHeartbeat", "last_beat", int, of_channel=True)
    elapsed: ClassVar[Any] = ClientVar("useHeartbeat", "elapsed", int, of_channel=True)
    timed_out: ClassVar[Any] = ClientVar("useHeartbeat", "timed_out", bool, of_channel=True)
    latency: ClassVar[Any] = ClientVar("useHeartbeat", "latency", int, of_channel=True)

    async def _on_timeout(self) -> None:
        """React to the tab's silence: it answered no heartbeat for the type's timeout. Override it.

        Called once for each silence; if that goes on for 5 s more, the socket is hung up. What it changes on the
        state reaches the tab if the tab comes back.
        """
