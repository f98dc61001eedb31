"""The `/feed` namespace: a second Socket.IO namespace on a tab's own WebSocket, where rows travel in rooms.

A tab says `sub {channel, last, epoch}` and gets pages of what it misses until it has reached the head;
frames that come meanwhile it keeps back. The room is entered before the head is read, so nothing can fall
between. Whatever a tab holds here (rooms, sinks) ends with its socket.
"""

import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from socketio import AsyncServer
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime_ui.access.gate import SCOPE_TOKEN, Gate
from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.policy import Action, may, require
from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import NotAuthenticated, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.payloads import too_deep
from realtime_ui.hub import channel_feed
from realtime_ui.hub.channel_feed import ChannelEvents
from realtime_ui.hub.checks import TabChecks
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.fanout import hang_up, is_silent, send_to_room, sockets_in
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.line import LineEvents, LineParts
from realtime_ui.hub.lobby import Lobby
from realtime_ui.hub.posts import MAX_POST_BYTES, Posts
from realtime_ui.hub.presence import Presence
from realtime_ui.hub.presence_feed import BURST, RATE, PresenceEvents, PresenceSinkFactory
from realtime_ui.hub.subscribe import SubscribeRequest, read_page
from realtime_ui.hub.subscriptions import SinkFactory, Subscriptions, Tab, room_of
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.channels import ChannelRepository
from realtime_ui.persistence.event_log import ChannelKey, EventLog
from realtime_ui.persistence.field_folder import FieldFolder
from realtime_ui.persistence.fields import FieldRepository
from realtime_ui.settings import AddressPrivacy

NAMESPACE = "/feed"
EVENT_NAMESPACE = "/_event"
SILENT, SENT_AWAY = AsyncServer.reason.PING_TIMEOUT, AsyncServer.reason.SERVER_DISCONNECT


class FeedNamespace(LineEvents, PresenceEvents, ChannelEvents):
    """Watches channels for tabs.

    Args:
        hub: where frames come from.
        log: where pages come from.
        fields: the channels' current fields.
        folder: brings those of a channel up to date.
        gate: says who a socket is.
        sink_for_state: makes sinks for state classes that want messages; set by the state layer.
        channels: the registry, for the lobby.
        clock: tells the time.
        presence: who is where.
        sink_for_presence: makes sinks for state classes that want to know of it.
        posts: stores what people send.
        max_channels: how many channels one socket may watch.
        max_queued_bytes: how much may wait for one socket before it leaves its rooms.
        kept_days: how many days each channel type's log is kept; None for ever.
        address_privacy: how much of a socket's network address is kept.
        line: for beats and the monitor, as `LineEvents` takes it.
    """

    def __init__(
        self,
        hub: RealtimeHub,
        log: EventLog,
        fields: FieldRepository,
        folder: FieldFolder,
        gate: Gate,
        sink_for_state: SinkFactory,
        channels: ChannelRepository,
        clock: Clock,
        presence: Presence,
        sink_for_presence: PresenceSinkFactory,
        posts: Posts,
        *,
        max_channels: int,
        max_queued_bytes: int,
        kept_days: Mapping[ChannelType, float | None],
        address_privacy: AddressPrivacy,
        line: LineParts,
    ) -> None:
        super().__init__(NAMESPACE, line, clock)
        self._subscriptions = Subscriptions(
            hub, self, self._send_frame, sink_for_state, self._client_token, self.heartbeats, max_channels=max_channels
        )
        self._tabs = self._subscriptions.tabs
        self.lobby = Lobby(channels, self._subscriptions.watching, self._send_news, clock)
        self._channels = channels
        self._list_limit = RateLimiter(channel_feed.RATE, channel_feed.BURST, clock)
        self._presence = presence
        self._presence_limit = RateLimiter(RATE, BURST, clock)
        self._sink_for_presence = sink_for_presence
        self._hub = hub
        self._posts = posts
        self._log = log
        self._fields = fields
        self._folder = folder
        self._gate = gate
        self._kept_days = kept_days
        self._address_privacy = address_privacy
        self._degraded: tuple[str, ...] = ()
        self._checks = TabChecks(self, self._tabs, gate, clock, max_queued_bytes=max_queued_bytes)

    async def start(self) -> None:
        """Begin to look after sessions and queues, and after the lobby."""
        await self._checks.start()
        await self.lobby.start()
        await self.heartbeats.start()

    async def stop(self) -> None:
        """End all of it."""
        await self.stop_line()
        await self.lobby.stop()
        await self._checks.stop()

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        """Let a signed-in person's tab in; refuse everybody else."""
        token = token_of_socket(environ)
        try:
            person = await self._gate.by_token(token)
        except RealtimeError as error:
            raise Refused(error.title, Ending.UNAVAILABLE.packet()) from error
        if person is None:
            metrics.SOCKETS_REFUSED.inc()
            raise Refused(NotAuthenticated.title, Ending.SESSION_EXPIRED.packet())
        info = ClientInfo.of_scope(environ["asgi.scope"], "websocket", self._address_privacy)
        tab = self._tabs[sid] = Tab(sid, person, token, info, round(time.time() * 1000))
        self._presence.arrive(tab)
        # A tab whose socket comes back as somebody else must neither go on showing what the one before was shown, nor
        # send what they wrote.
        you = {"person": str(person.id), "tenant": str(person.tenant), "name": person.name}
        await self.emit("you", {**you, "max_post_bytes": MAX_POST_BYTES}, to=sid)
        if self._degraded:
            await self.emit("health", {"degraded": self._degraded}, to=sid)

    async def on_disconnect(self, sid: str, reason: str = "") -> None:
        """End what the socket held."""
        socket = self.engine_socket(sid)
        silent = reason == SILENT or (socket is not None and is_silent(socket))
        tab = self._tabs.pop(sid, None)
        if tab is not None:
            await self._forget_presence_rooms(tab)
            self._presence.depart(sid, closed=not silent and reason != SENT_AWAY)
            await self._subscriptions.release_all(tab)
        if silent and socket:
            await hang_up(socket)  # it may never read what would close it politely

    async def on_sub(self, sid: str, data: object = None) -> Json:
        """Watch a channel from a position, or fetch the next page on the way to its head.

        Returns:
            `{ok: true, channel, epoch, first, head, kept_days, after, reset, rows, tag, more}`: `rows` follow seq
            `after`, and `tag` is that of the last row that the tab then has; `more` says that another `sub` with
            the new `last` and `tag` brings further ones; `reset` that what the tab had is not what the log has;
            `first` and `kept_days` (null for ever) what the log keeps; or `{ok: false, error}` with an RFC 9457
            problem.
        """
        try:
            tab = await self._tab(sid)
            wish = SubscribeRequest.parse(data)
            require(tab.person, Action.READ, wish.channel)
            key = (tab.person.tenant, wish.channel)
            begins = key not in tab.channels
            await self._subscriptions.watch(tab, key, wish.states)
            sinks = tab.channels.get(key, {})  # they hear the page even if the tab is let go while it is read
            page = await read_page(self._log, key, wish, self._hub.check)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        if begins:
            metrics.RESUMES.labels(page.start.how).inc()
        self.heartbeats.got(sid, key, len(page.rows))
        for sink in sinks.values():
            sink.catch_up(page)
        return {
            "ok": True,
            "channel": str(wish.channel),
            "epoch": page.head.epoch,
            "first": page.head.first,
            "head": page.head.last,
            "kept_days": self._kept_days[wish.channel.type],
            "after": page.start.position.seq,
            "reset": page.reset,
            "rows": [message.row() for message in page.rows],
            "tag": page.tag,
            "more": page.more,
        }

    async def on_unsub(self, sid: str, data: object = None) -> Json:
        """Watch a channel no longer; `{channel}` in, `{ok: true}` or a problem out."""
        try:
            tab = await self._tab(sid)
            channel = ChannelName.parse(data.get("channel") if isinstance(data, dict) else None)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        await self._subscriptions.release(tab, (tab.person.tenant, channel))
        return {"ok": True}

    async def on_post(self, sid: str, data: object = None) -> Json:
        """Store what the person sends: `{ok: true, receipt}` or a problem out; see `Posts.post`."""
        try:
            tab = await self._tab(sid)
            return {"ok": True, "receipt": await self._posts.post(tab.person, data)}
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}

    async def on_too_deep(self, sid: str, data: object = None) -> Json:
        """Answer a packet that was nested too deeply to be read; see `hub/packets.py`."""
        return {"ok": False, "error": too_deep("payload").problem()}

    async def on_echo(self, sid: str, data: object = None) -> Json:
        """Answer at once with the server's time, `{ok, now}` in ms, so that the tab knows it and the round trip's."""
        return {"ok": sid in self._tabs, "now": round(time.time() * 1000)}

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._tabs)

    @property
    def subscriptions(self) -> int:
        """How many channels they watch, counted for each socket."""
        return self._subscriptions.count

    def tell_health(self, degraded: tuple[str, ...]) -> None:
        """Tell every socket, those that connect later too, which parts of the house are away."""
        self._degraded = degraded
        send_to_room(self.server, NAMESPACE, None, "health", {"degraded": degraded})

    async def close_session(self, session_id: uuid.UUID) -> None:
        """End the feeds of a browser that signed out."""
        for sid in [sid for sid, tab in self._tabs.items() if tab.person.session_id == session_id]:
            await self.close(sid, Ending.SIGNED_OUT)

    def tell_going_away(self) -> None:
        """Tell every socket that this worker stops, before its server closes them."""
        send_to_room(self.server, NAMESPACE, None, "closed", Ending.GOING_AWAY.packet())

    async def recheck(self, subjects: Collection[uuid.UUID] | None) -> None:
        """Check at once the sockets of these people and sessions; of all when None."""
        await self._checks.recheck(subjects)

    async def revoke(self, tab: Tab) -> None:
        """Take a tab out of what its person may not read any more."""
        for key in list(tab.channels):
            if not may(tab.person, Action.READ, key[1], key[0]):
                await self._subscriptions.release(tab, key)
        await self._check_presence(tab)

    async def let_go(self, tab: Tab) -> None:
        """Take a tab out of all its rooms, and tell it when it has read what waits for it."""
        metrics.QUEUE_BOUNDS_HIT.inc()
        await self._subscriptions.release_all(tab)
        await self.leave_lists(tab)
        await self.leave_monitor(tab)
        await self._forget_presence_rooms(tab)
        # It waits behind all the rest: whoever reads it has drained, and comes back by seq.
        await self.emit("behind", to=tab.sid)

    def engine_socket(self, sid: str) -> Any:
        """The Engine.IO socket below a tab's, or None."""
        return self.server.eio.sockets.get(self.server.manager.eio_sid_from_sid(sid, NAMESPACE))

    async def _tab(self, sid: str) -> Tab:
        """The socket's tab, with its session looked at again.

        Raises:
            NotAuthenticated: the session has ended since.
        """
        tab = self._tabs.get(sid)
        person = await self._gate.by_token(tab.token) if tab else None
        if tab is None or person is None:
            if tab is not None:
                self.close_soon(sid, Ending.SESSION_EXPIRED)
            raise NotAuthenticated("The session has ended.", remedy="Sign in and reload the page.")
        tab.person = person
        return tab

    def _send_frame(self, frame: Frame) -> None:
        data: dict[str, Json] = {
            "channel": str(frame.channel),
            "epoch": frame.epoch,
            "at": round(time.time() * 1000),  # by which a tab sees how late frames come
            "rows": [message.row() for message in frame.messages],
        }
        if frame.messages:
            data["tag"] = frame.messages[-1].tag
        if frame.ephemeral:
            data["ephemeral"] = [message.row() for message in frame.ephemeral]
        sockets = send_to_room(self.server, NAMESPACE, room_of((frame.tenant, frame.channel)), "frame", data)
        metrics.DELIVERIES.inc(sockets * len(frame.messages))

    def _send_news(self, room: str, event: str, data: Json) -> int:
        if not data:
            return sockets_in(self.server, NAMESPACE, room)
        return send_to_room(self.server, NAMESPACE, room, event, data)

    def _timed_out(self, sid: str, key: ChannelKey) -> None:
        self._subscriptions.timed_out(sid, key)

    def _client_token(self, sid: str) -> str:
        """The Reflex client token linked to the same WebSocket; not taken from what the client claims."""
        server: AsyncServer = self.server
        engine_id = server.manager.eio_sid_from_sid(sid, NAMESPACE)
        event_sid = server.manager.sid_from_eio_sid(engine_id, EVENT_NAMESPACE)
        namespace: Any = server.namespace_handlers.get(EVENT_NAMESPACE)
        return str(namespace.sid_to_token.get(event_sid, "")) if namespace else ""


def token_of_socket(environ: Mapping[str, Any] | None) -> str | None:
    """The sign-in session's token that a WebSocket came with, as the guard put it aside in the ASGI scope."""
    token = ((environ or {}).get("asgi.scope") or {}).get(SCOPE_TOKEN)
    return token if isinstance(token, str) else None
