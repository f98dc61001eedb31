"""One client's WebSocket, from CONNECTED to CLOSED."""

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from tests.doubles.ably.access import Pass
from tests.doubles.ably.channel import Channel
from tests.doubles.ably.wire import (
    MAX_MESSAGE_BYTES,
    AblyError,
    Action,
    Frame,
    PresenceAction,
    pack,
    shown,
    unpack,
)

if TYPE_CHECKING:
    from tests.doubles.ably.server import AblyServer

QUEUE_LIMIT = 50_000


class Bucket:
    """Counts messages against a rate; a second's worth may come at once."""

    def __init__(self, rate: float) -> None:
        self._rate, self._level, self._since = rate, rate, time.monotonic()

    def takes(self, count: int) -> bool:
        """Whether that many more are within the rate."""
        now = time.monotonic()
        self._level = min(self._rate, self._level + (now - self._since) * self._rate)
        self._since = now
        if self._level < count:
            return False
        self._level -= count
        return True


class Connection:
    """What the server knows of one open WebSocket.

    Args:
        server: whose it is.
        socket: open.
        request: what opened it.
        who: who showed what.
    """

    def __init__(self, server: "AblyServer", socket: web.WebSocketResponse, request: web.Request, who: Pass) -> None:
        query = request.query
        self._request = request
        self.server = server
        self.socket = socket
        self.who = who
        self.id, self.key = server.identity(query.get("resume") or query.get("recover"))
        self._asked = query.get("resume") or query.get("recover")
        self._binary = query.get("format") == "msgpack"
        self._echo = query.get("echo") != "false"
        self.channels: dict[str, Channel] = {}
        self._in, self._out = Bucket(server.limits.rate), Bucket(server.limits.rate)
        self._queue: asyncio.Queue[Frame | None] = asyncio.Queue(QUEUE_LIMIT)
        self._timers: list[asyncio.TimerHandle] = []

    async def run(self) -> None:
        """Serve until either side ends it."""
        writer = asyncio.create_task(self._write())
        beating = asyncio.create_task(self._beat())
        closed = False
        try:
            if not self.server.stuck:
                self._welcome()
            async for message in self.socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                if self.server.stuck:
                    continue
                frame = unpack(message.data, message.type is WSMsgType.BINARY)
                if frame.get("action", 0) == Action.CLOSE:
                    closed = True
                    self.send({"action": Action.CLOSED})
                    break
                self._take(frame)
        finally:
            beating.cancel()
            for timer in self._timers:
                timer.cancel()
            for channel in self.channels.values():
                channel.attached.pop(self.id, None)
            self._queue.put_nowait(None)
            self.server.ended(self, closed=closed)
            await asyncio.gather(beating, writer, return_exceptions=True)

    def send(self, frame: Frame) -> None:
        """Queue a frame."""
        if not self.server.stuck:
            self._queue.put_nowait(frame)

    def deliver(self, frame: Frame, origin: str) -> None:
        """Take what somebody published on an attached channel; what passes the rate is lost, as Ably tells."""
        if origin == self.id and not self._echo and frame["action"] == Action.MESSAGE:
            return
        name = frame["channel"]
        try:
            self.who.require(name, "subscribe")
        except AblyError:
            return
        if not self._out.takes(len(frame.get("messages", ()))):
            self.server.lost_by_rate += 1
            slow = AblyError(80020, "Continuity loss due to maximum subscribe message rate exceeded", 429)
            self.send(self.channels[name].attached_frame(error=slow))
            return
        self.send(self._formatted(frame))

    def hang_up(self, error: AblyError | None = None) -> None:
        """Send DISCONNECTED, with or without a reason, and end the socket."""
        self.send({"action": Action.DISCONNECTED} | ({"error": error.info} if error else {}))
        self._queue.put_nowait(None)

    def fail(self, error: AblyError) -> None:
        """Send a connection's ERROR and end the socket."""
        self.send({"action": Action.ERROR, "error": error.info})
        self._queue.put_nowait(None)

    def abort(self) -> None:
        """End the socket without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def check_channels(self) -> None:
        """Put out of channels that the capability no longer covers."""
        for name, channel in list(self.channels.items()):
            try:
                self.who.require(name, "subscribe", "publish", "presence")
            except AblyError as error:
                self._put_out(channel, error)

    def detach_all(self) -> None:
        """Put out of every channel, with DETACHED."""
        for name in list(self.channels):
            self._detach(name)

    def lose(self, name: str) -> None:
        """Tell that continuity on a channel is lost."""
        if name in self.channels:
            self.send(self.channels[name].attached_frame(error=AblyError(90003, "Unable to recover channel", 404)))

    def _put_out(self, channel: Channel, error: AblyError) -> None:
        self.channels.pop(channel.name, None)
        channel.attached.pop(self.id, None)
        channel.leave(self.id)
        self.send({"action": Action.ERROR, "channel": channel.name, "error": error.info})

    def _welcome(self) -> None:
        frame: Frame = {"action": Action.CONNECTED, "connectionId": self.id, "connectionKey": self.key}
        frame["connectionDetails"] = {
            "connectionKey": self.key,
            "maxMessageSize": MAX_MESSAGE_BYTES,
            "maxFrameSize": 8 * MAX_MESSAGE_BYTES,
            "maxInboundRate": self.server.limits.rate,
            "connectionStateTtl": int(self.server.limits.keep_s * 1000),
            "maxIdleInterval": int(self.server.limits.beat_s * 1000),
            "serverId": "double",
        } | ({"clientId": self.who.client_id} if self.who.client_id else {})
        if self._asked and self.key != self._asked:
            frame["error"] = AblyError(80018, "Unable to recover connection: the key is unknown", 400).info
        self.send(frame)
        self._watch_token()

    def _watch_token(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self.who.expires is None:
            return
        left, loop = self.who.expires - time.time(), asyncio.get_running_loop()
        self._timers.append(loop.call_later(max(0, left), self.hang_up, AblyError(40142, "Token expired", 401)))
        lead = self.server.limits.auth_lead_s
        if lead is not None and left > lead:
            self._timers.append(loop.call_later(left - lead, self.send, {"action": Action.AUTH}))

    def _take(self, frame: Frame) -> None:
        action = frame.get("action", 0)
        try:
            if action in (Action.MESSAGE, Action.PRESENCE):
                self._take_content(frame)
            elif action == Action.ATTACH:
                self._attach(frame)
            elif action == Action.DETACH:
                self._detach(frame["channel"])
            elif action == Action.HEARTBEAT:
                self.send({"action": Action.HEARTBEAT} | ({"id": frame["id"]} if "id" in frame else {}))
            elif action == Action.AUTH:
                self._renew(frame["auth"]["accessToken"])
        except AblyError as error:
            self.fail(error)

    def _renew(self, token: str) -> None:
        renewed = self.server.access.by_token(token)
        if renewed.client_id != self.who.client_id and renewed.client_id != "*":
            raise AblyError(40102, "Incompatible credentials: another client ID", 401)
        self.who = renewed
        self._welcome()
        self.check_channels()

    def _attach(self, frame: Frame) -> None:
        name = frame["channel"]
        if self.server.is_detaching:
            self._detach(name)
            return
        params = frame.get("params") or {}
        channel = self.server.channel(name)
        try:
            self.who.require(name, "subscribe", "publish", "presence")
            if name not in self.channels and len(self.channels) >= self.server.limits.channels:
                raise AblyError(90010, "Unable to attach: maximum number of channels per connection exceeded")
        except AblyError as error:
            self.send({"action": Action.ERROR, "channel": name, "error": error.info})
            return
        missed = channel.since(frame["channelSerial"]) if frame.get("channelSerial") else None
        self.channels[name] = channel
        channel.attached[self.id] = self
        answer = channel.attached_frame(resumed=missed is not None)
        if params:
            answer["params"] = params
        if missed is None and "rewind" in params and str(params["rewind"]).isdigit():
            missed = channel.entries[-int(params["rewind"]) :]
        self.send(answer)
        for page in channel.sync():
            self.send(self._formatted(page))
        for entry in missed or ():
            if entry.origin != self.id or self._echo:
                self.send(self._formatted(entry.frame))

    def _detach(self, name: str) -> None:
        if (channel := self.channels.pop(name, None)) is not None:
            channel.attached.pop(self.id, None)
            channel.leave(self.id)
        self.send({"action": Action.DETACHED, "channel": name})

    def _take_content(self, frame: Frame) -> None:
        name, serial = frame["channel"], frame.get("msgSerial", 0)
        answer: Frame = {"msgSerial": serial, "count": 1}
        try:
            if frame["action"] == Action.MESSAGE:
                answer["res"] = [{"serials": self._publish(name, frame["messages"], serial)}]
            else:
                self._presence(name, frame["presence"], serial)
        except AblyError as error:
            self.send({"action": Action.NACK, **answer, "error": error.info})
        else:
            if not self.server.withhold_acks:
                self.send({"action": Action.ACK, **answer})

    def _publish(self, name: str, messages: list[Frame], serial: int) -> list[str]:
        self.who.require_valid()
        self.who.require(name, "publish")
        self.server.check_refusing()
        if not self._in.takes(len(messages)):
            self.server.refused_by_rate += 1
            raise AblyError(42911, "Maximum publish rate of the connection exceeded", 429)
        return self.server.channel(name).publish(
            [self._signed(each) for each in messages], f"{self.id}:{serial}", self.id
        )

    def _presence(self, name: str, changes: list[Frame], serial: int) -> None:
        self.who.require(name, "presence")
        signed = [self._signed(each) for each in changes]
        if not all(each.get("clientId") and each["clientId"] != "*" for each in signed):
            raise AblyError(91000, "Unable to enter presence channel (no clientId)")
        if any(each["action"] == PresenceAction.PRESENT for each in signed):
            raise AblyError(91003, "Clients enter, update and leave")
        self.server.channel(name).present(signed, f"{self.id}:{serial}", self.id)

    def _signed(self, message: Frame) -> Frame:
        name = self.who.client(message.get("clientId"))
        return {**message, "clientId": name} if name and name != "*" else message

    def _formatted(self, frame: Frame) -> Frame:
        for part in ("messages", "presence"):
            if part in frame:
                frame = {**frame, part: [shown(each, self._binary) for each in frame[part]]}
        return frame

    async def _write(self) -> None:
        try:
            while (frame := await self._queue.get()) is not None:
                raw = pack(frame, self._binary)
                await (self.socket.send_bytes(raw) if self._binary else self.socket.send_str(raw.decode()))
            await self.socket.close()
        except ConnectionError:
            self._queue = asyncio.Queue(QUEUE_LIMIT)  # nobody reads it any more

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.server.limits.beat_s / 2)
            self.send({"action": Action.HEARTBEAT})
