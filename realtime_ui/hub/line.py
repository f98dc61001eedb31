"""What `/feed` says and hears of connections themselves: beats, their monitor, and what admins do about them."""

import asyncio
import logging
from dataclasses import asdict, dataclass
from typing import Any

from realtime_ui.access.policy import Action, require
from realtime_ui.core.channels import ChannelType, clip
from realtime_ui.core.clock import Clock
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import InvalidRequest, NotFound, RealtimeError
from realtime_ui.core.heartbeat import HeartbeatConfig
from realtime_ui.core.messages import Json
from realtime_ui.hub.connection_stats import ConnectionStats
from realtime_ui.hub.fanout import hang_up, send_to_room, sockets_in
from realtime_ui.hub.heartbeat import Heartbeats
from realtime_ui.hub.monitor import HEALTH_ROOM, Monitor, View
from realtime_ui.hub.namespace import ClientNamespace
from realtime_ui.hub.subscriptions import Tab
from realtime_ui.persistence.connection_stats import ConnectionStatsRepository
from realtime_ui.persistence.event_log import ChannelKey
from realtime_ui.persistence.health_samples import HealthSampleRepository
from realtime_ui.persistence.heartbeat_config import HeartbeatConfigRepository

logger = logging.getLogger(__name__)

MAX_ID = 200


@dataclass(frozen=True, slots=True)
class LineParts:
    """What it stands on: the heartbeats' configuration, the tables, and this worker's connections."""

    heartbeat_config: HeartbeatConfigRepository
    connections: ConnectionStatsRepository
    samples: HealthSampleRepository
    stats: ConnectionStats


class LineEvents(ClientNamespace):
    """The part of the namespace that knows of beats and of the monitor.

    Args:
        namespace: its name.
        parts: what it stands on.
        clock: tells the time.
    """

    def __init__(self, namespace: str, parts: LineParts, clock: Clock) -> None:
        super().__init__(namespace)
        self._heartbeat_config = parts.heartbeat_config
        self._connections = parts.connections
        self._stats = parts.stats
        self.heartbeats = Heartbeats(
            parts.heartbeat_config.read, parts.stats, self, lambda sid, key: self._timed_out(sid, key), clock
        )
        self.monitor = Monitor(
            parts.connections, parts.samples, parts.stats, self.heartbeats, self._send_monitor, clock
        )
        self._closing: set[asyncio.Task[None]] = set()

    async def stop_line(self) -> None:
        """End the beats, and let closings that are under way come to their end."""
        await self.heartbeats.stop()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def on_beat(self, sid: str, data: object = None) -> Json:
        """A tab answers a beat: `{type, timestamp}`; the answer tells it how long a round trip takes."""
        kind = data.get("type") if isinstance(data, dict) else None
        timestamp = data.get("timestamp") if isinstance(data, dict) else None
        if isinstance(kind, str) and kind in set(ChannelType) and type(timestamp) is int:
            self.heartbeats.answered(sid, ChannelType(kind), timestamp)
            return {"ok": True}
        problem = InvalidRequest(f"{clip(data)} answers no beat.", remedy="Send back its type and timestamp.")
        return {"ok": False, "error": problem.problem()}

    async def on_monitor(self, sid: str, data: object = None) -> Json:
        """Look at a page of the monitor, or away; `{page: "connections" | "health", look}` in, all of it out."""
        try:
            tab = await self._tab(sid)
            page = data.get("page") if isinstance(data, dict) else None
            look = bool(data.get("look")) if isinstance(data, dict) else False
            if page == "connections":
                require(tab.person, Action.LIST, None)
                view = View.of(tab.person)
                if not look:
                    await self.leave_room(sid, view.room)
                    return {"ok": True}
                await self.enter_room(sid, view.room)
                return {"ok": True, "all": view.all, "operator": view.operator, **await self.monitor.enter(view)}
            if page != "health":
                raise InvalidRequest(f"{clip(page)} is no page of the monitor.", field="page")
            require(tab.person, Action.OPERATE, None)
            if not look:
                await self.leave_room(sid, HEALTH_ROOM)
                return {"ok": True}
            await self.enter_room(sid, HEALTH_ROOM)
            return {"ok": True, **await self.monitor.enter_health()}
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}

    async def on_set_heartbeat(self, sid: str, data: object = None) -> Json:
        """An operator changes a type's heartbeat; `{type, interval_ms, timeout_ms}` in, `{ok, saved}` or a problem out.

        `saved` is what holds now, `{interval_ms, timeout_ms}`.
        """
        try:
            tab = await self._tab(sid)
            require(tab.person, Action.OPERATE, None)
            given: dict[str, Any] = data if isinstance(data, dict) else {}
            kind = given.get("type")
            if not isinstance(kind, str) or kind not in set(ChannelType):
                known = ", ".join(ChannelType)
                raise InvalidRequest(f"{clip(kind)} is no channel type.", field="type", remedy=f"Send one of {known}.")
            kind = ChannelType(kind)
            config = HeartbeatConfig.checked(given.get("interval_ms"), given.get("timeout_ms"))
            await self._heartbeat_config.write(kind, config)
            logger.info("%s set the heartbeat of %s", tab.person.label, kind)
            self.heartbeats.apply({kind: config})
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        return {"ok": True, "saved": asdict(config)}

    async def on_close_connection(self, sid: str, data: object = None) -> Json:
        """An admin closes a connection of their tenant; `{connection}` in, `{ok}` or a problem out."""
        try:
            tab = await self._tab(sid)
            require(tab.person, Action.ADMINISTER, None)
            connection = data.get("connection") if isinstance(data, dict) else None
            if not isinstance(connection, str) or len(connection) > MAX_ID:
                raise InvalidRequest(f"{clip(connection)} is no connection's id.", field="connection")
            if not self._stats.cut(tab.person.tenant, connection) and not await self._connections.ask_to_close(
                tab.person.tenant, connection
            ):
                raise NotFound("That connection has ended already.")
            logger.info("%s closed connection %s", tab.person.label, connection)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        return {"ok": True}

    async def leave_monitor(self, tab: Tab) -> None:
        """Take a tab out of the monitor's rooms."""
        for room in (View.of(tab.person).room, HEALTH_ROOM):
            await self.leave_room(tab.sid, room)

    def send_beat(self, room: str, beat: Json) -> int:
        """Send a beat to a room; returns how many sockets it went to."""
        return send_to_room(self.server, self.namespace, room, "beat", beat)

    def cut(self, sid: str) -> None:
        """Close a tab's feeds because an admin wants it."""
        self.close_soon(sid, Ending.CLOSED_BY_ADMIN)

    def close_soon(self, sid: str, ending: Ending) -> None:
        """Close a tab's feeds in a task of its own, for callers that cannot wait or that still have to answer it."""
        task = asyncio.create_task(self.close(sid, ending), name="close-feed")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self, sid: str, ending: Ending) -> None:
        """Tell a tab why its feeds end, then disconnect it."""
        await self.emit("closed", ending.packet(), to=sid)
        await self.disconnect(sid)

    async def hang_up(self, sid: str) -> None:
        """Drop a socket that does not answer; it may still read why."""
        if (socket := self.engine_socket(sid)) is not None:
            send_to_room(self.server, self.namespace, sid, "closed", Ending.SILENT.packet())
            await hang_up(socket)

    def _send_monitor(self, room: str, event: str, data: Json) -> int:
        if data is None:
            return sockets_in(self.server, self.namespace, room)
        return send_to_room(self.server, self.namespace, room, event, data)

    async def _tab(self, sid: str) -> Tab:
        raise NotImplementedError

    def engine_socket(self, sid: str) -> Any:
        """The Engine.IO socket below a tab's, or None."""
        raise NotImplementedError

    def _timed_out(self, sid: str, key: ChannelKey) -> None:
        raise NotImplementedError
