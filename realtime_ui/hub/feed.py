"""The `/feed` namespace: a second Socket.IO namespace on a tab's own WebSocket, where rows travel in rooms.

A tab says `sub {channel, last, epoch}` and gets pages of what it misses until it has reached the head;
frames that come meanwhile it keeps back. The room is entered before the head is read, so nothing can fall
between. Whatever a tab holds here (rooms, sinks) ends with its socket.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from socketio import AsyncNamespace, AsyncServer
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime_ui.access.gate import SCOPE_TOKEN, Gate
from realtime_ui.access.policy import Action, may, require
from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import NotAuthenticated, RateLimited, RealtimeError
from realtime_ui.core.messages import Head, Json, Message
from realtime_ui.core.principals import Person
from realtime_ui.hub.fanout import send_to_room
from realtime_ui.hub.hub import Frame, RealtimeHub
from realtime_ui.hub.lobby import Audience, Lobby
from realtime_ui.hub.subscribe import SubscribeRequest
from realtime_ui.persistence.channels import ChannelRepository
from realtime_ui.persistence.event_log import ChannelKey, EventLog

logger = logging.getLogger(__name__)

NAMESPACE = "/feed"
EVENT_NAMESPACE = "/_event"
PAGE = 200
CHECK_INTERVAL_S = 30.0


class StateSink(Protocol):
    """A sink for a state class: hears what its tab is shown, pages and frames, each message once, in order."""

    def __call__(self, frame: Frame) -> None:
        """Take a frame from the hub."""
        ...

    def catch_up(self, messages: Sequence[Message], *, live: bool) -> None:
        """Take a page that the tab got; `live` when frames follow on it."""
        ...


SinkFactory = Callable[[str, str, ChannelName], Awaitable[StateSink | None]]
"""(Reflex client token, state name, channel) → a sink for a state that wants messages, or None."""


@dataclass(slots=True)
class _Tab:
    """One socket of this namespace."""

    person: Person
    token: str | None
    channels: dict[ChannelKey, dict[str, StateSink]] = field(default_factory=dict)  # with the sinks of its states


class FeedNamespace(AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """Watches channels for tabs.

    Args:
        hub: where frames come from.
        log: where pages come from.
        gate: says who a socket is.
        sink_for_state: makes sinks for state classes that want messages; set by the state layer.
        channels: the registry, for the lobby.
        clock: tells the time.
        max_channels: how many channels one socket may watch.
    """

    def __init__(
        self,
        hub: RealtimeHub,
        log: EventLog,
        gate: Gate,
        sink_for_state: SinkFactory,
        channels: ChannelRepository,
        clock: Clock,
        *,
        max_channels: int,
    ) -> None:
        super().__init__(NAMESPACE)
        self.lobby = Lobby(channels, self.watching, self._send_lobby, clock)
        self._hub = hub
        self._log = log
        self._gate = gate
        self._sink_for_state = sink_for_state
        self._max_channels = max_channels
        self._tabs: dict[str, _Tab] = {}
        self._degraded: tuple[str, ...] = ()
        self._watchers: dict[ChannelKey, set[str]] = {}
        self._clock = clock
        self._checker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look after sessions, and after the lobby."""
        self._checker = asyncio.create_task(self._check_sessions(), name="feed-sessions")
        await self.lobby.start()

    async def stop(self) -> None:
        """End both."""
        await self.lobby.stop()
        if self._checker:
            self._checker.cancel()
            await asyncio.gather(self._checker, return_exceptions=True)

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        """Let a signed-in person's tab in; refuse everybody else."""
        token = token_of_socket(environ)
        try:
            person = await self._gate.by_token(token)
        except RealtimeError as error:
            raise Refused(error.title, error.problem()) from error
        if person is None:
            nobody = NotAuthenticated("Nobody is signed in here.", remedy="Sign in and reload the page.")
            raise Refused(nobody.title, nobody.problem())
        self._tabs[sid] = _Tab(person, token)
        if self._degraded:
            await self.emit("health", {"degraded": self._degraded}, to=sid)

    async def on_disconnect(self, sid: str, reason: str = "") -> None:
        """End what the socket held."""
        tab = self._tabs.pop(sid, None)
        if tab is not None:
            for key in list(tab.channels):
                await self._release(sid, tab, key)

    async def on_sub(self, sid: str, data: object = None) -> Json:
        """Watch a channel from a position, or fetch the next page on the way to its head.

        Returns:
            `{ok: true, channel, epoch, first, head, after, reset, rows, more}`: `rows` follow seq `after`;
            `more` says that another `sub` with the new `last` brings further ones; `reset` that what the tab
            had belongs to another epoch; or `{ok: false, error}` with an RFC 9457 problem.
        """
        try:
            tab = await self._tab(sid)
            wish = SubscribeRequest.parse(data)
            require(tab.person, Action.READ, wish.channel)
            key = (tab.person.tenant, wish.channel)
            begins = key not in tab.channels
            await self._watch(sid, tab, key, wish.states)
            head = await self._log.head(*key) or Head("", 1, 0)
            after, reset = wish.begin(head)
            rows = await self._log.read(*key, after=after, limit=PAGE)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        if begins:
            metrics.RESUMES.labels(wish.kind(after, reset)).inc()
        more = bool(rows) and rows[-1].seq < head.last
        for sink in tab.channels.get(key, {}).values():
            sink.catch_up(rows, live=not more)
        return {
            "ok": True,
            "channel": str(wish.channel),
            "epoch": head.epoch,
            "first": head.first,
            "head": head.last,
            "after": after,
            "reset": reset,
            "rows": [message.row() for message in rows],
            "more": more,
        }

    async def on_unsub(self, sid: str, data: object = None) -> Json:
        """Watch a channel no longer; `{channel}` in, `{ok: true}` or a problem out."""
        try:
            tab = await self._tab(sid)
            channel = ChannelName.parse(data.get("channel") if isinstance(data, dict) else None)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        await self._release(sid, tab, (tab.person.tenant, channel))
        return {"ok": True}

    async def on_echo(self, sid: str, data: object = None) -> Json:
        """Answer at once, so that the tab knows how long a round trip takes; says nothing to anybody else."""
        return {"ok": sid in self._tabs}

    async def on_lobby(self, sid: str, data: object = None) -> Json:
        """Look at the tenant's list of channels, live; `{ok: true, rows}` or a problem out."""
        try:
            tab = await self._tab(sid)
            require(tab.person, Action.LIST, None)
            audience = Audience.of(tab.person)
            await self.enter_room(sid, audience.room)
            return {"ok": True, "rows": await self.lobby.enter(audience)}
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._tabs)

    @property
    def subscriptions(self) -> int:
        """How many channels they watch, counted for each socket."""
        return sum(len(sids) for sids in self._watchers.values())

    def tell_health(self, degraded: tuple[str, ...]) -> None:
        """Tell every socket, those that connect later too, which parts of the house are away."""
        self._degraded = degraded
        send_to_room(self.server, NAMESPACE, None, "health", {"degraded": degraded})

    def watching(self, tenant: uuid.UUID) -> dict[ChannelName, int]:
        """How many tabs of this worker watch each of a tenant's channels."""
        return {key[1]: len(sids) for key, sids in self._watchers.items() if key[0] == tenant}

    async def close_session(self, session_id: uuid.UUID) -> None:
        """End the feeds of a browser that signed out."""
        for sid in [sid for sid, tab in self._tabs.items() if tab.person.session_id == session_id]:
            await self.disconnect(sid)

    async def _check_sessions(self) -> None:
        """Ask again and again who each socket is: sessions expire, end elsewhere, and roles change."""
        while True:
            await self._clock.sleep(CHECK_INTERVAL_S)
            for sid, tab in list(self._tabs.items()):
                try:
                    await self._check(sid, tab)
                except RealtimeError as error:
                    logger.warning("The sessions are looked at later: %s", error)
                    break
                except Exception:
                    logger.exception("A session could not be looked at")

    async def _check(self, sid: str, tab: _Tab) -> None:
        person = await self._gate.by_token(tab.token)
        if self._tabs.get(sid) is not tab:
            return
        if person is None or Audience.of(person) != Audience.of(tab.person):
            await self.disconnect(sid)  # the page says so; after a new role it is to be loaded anew
            return
        tab.person = person
        for key in list(tab.channels):
            if not may(person, Action.READ, key[1], key[0]):
                await self._release(sid, tab, key)

    async def _tab(self, sid: str) -> _Tab:
        """The socket's tab, with its session looked at again.

        Raises:
            NotAuthenticated: the session has ended since.
        """
        tab = self._tabs.get(sid)
        person = await self._gate.by_token(tab.token) if tab else None
        if tab is None or person is None:
            raise NotAuthenticated("The session has ended.", remedy="Sign in and reload the page.")
        tab.person = person
        return tab

    async def _watch(self, sid: str, tab: _Tab, key: ChannelKey, states: tuple[str, ...]) -> None:
        try:
            if key not in tab.channels:
                if len(tab.channels) >= self._max_channels:
                    raise RateLimited(f"One tab may watch {self._max_channels} channels.", retry_after_s=60)
                # Every tab attaches, so that none goes on before the hub follows the channel.
                await self._hub.attach(key, self._send_frame)
                tab.channels[key] = {}
                self._watchers.setdefault(key, set()).add(sid)
                await self.enter_room(sid, room_of(key))
            sinks = tab.channels[key]
            for state in states:
                if state not in sinks:
                    sink = await self._sink_for_state(self._client_token(sid), state, key[1])
                    if sink is not None:
                        await self._hub.attach(key, sink)
                        sinks[state] = sink
        except BaseException:
            await self._release(sid, tab, key)
            raise
        if sid not in self._tabs:  # the socket went while we waited
            await self._release(sid, tab, key)

    async def _release(self, sid: str, tab: _Tab, key: ChannelKey) -> None:
        sinks = tab.channels.pop(key, None)
        if sinks is None:
            return
        for sink in sinks.values():
            await self._hub.detach(key, sink)
        await self._hub.detach(key, self._send_frame)
        if sid in self._tabs:
            await self.leave_room(sid, room_of(key))
        watchers = self._watchers[key]
        watchers.discard(sid)
        if not watchers:
            del self._watchers[key]

    def _send_frame(self, frame: Frame) -> None:
        data = {
            "channel": str(frame.channel),
            "epoch": frame.epoch,
            "rows": [message.row() for message in frame.messages],
        }
        sockets = send_to_room(self.server, NAMESPACE, room_of((frame.tenant, frame.channel)), "frame", data)
        metrics.DELIVERIES.inc(sockets * len(frame.messages))

    def _send_lobby(self, audience: Audience, rows: list[Json]) -> int:
        if not rows:
            return sum(1 for _ in self.server.manager.get_participants(NAMESPACE, audience.room))
        return send_to_room(self.server, NAMESPACE, audience.room, "lobby", rows)

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


def room_of(key: ChannelKey) -> str:
    """The room of a tenant's channel."""
    return f"{key[0]}/{key[1]}"
