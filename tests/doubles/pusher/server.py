"""The Pusher server: sockets, HTTP API, and faults on demand.

Written from Pusher's public documents: the Channels protocol, the HTTP API, and the auth signatures.
"""

import asyncio
import hashlib
import json
import random
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.doubles.pusher.channels import NAME, Channels, Socket, sign

MAX_DATA_BYTES = 10_240
MAX_BATCH = 10
CLIENT_EVENTS_PER_S = 10
ACTIVITY_TIMEOUT_S = 120
CLOCK_SLACK_S = 600


class PusherServer:
    """An async context manager: serves one app inside the block.

    Args:
        port: a free one when 0; kept over `stop` and `start`.
        app_id: the app's id.
        key: the app's key.
        secret: the app's secret.
    """

    FAULTS = ("drop_connections", "refuse", "be_stuck", "refuse_rate", "lose", "fail", "change_secret", "say")

    def __init__(
        self,
        *,
        port: int = 0,
        app_id: str = "1000",
        key: str = "pusher-key",
        secret: str = "pusher-secret",  # noqa: S107
    ) -> None:
        self.port = port
        self.app_id, self.key, self.secret = app_id, key, secret
        self.channels = Channels()
        self.refused = 0
        self._open: dict[Socket, web.WebSocketResponse] = {}
        self._refused = self._refusing_rate = self._stuck = self._losing = False
        self._close_code: int | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "PusherServer":
        """Listen."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_get("/app/{key}", self._socket)
        app.router.add_post("/apps/{app}/events", self._events)
        app.router.add_post("/apps/{app}/batch_events", self._batch)
        app.router.add_get("/apps/{app}/channels", self._list)
        app.router.add_get("/apps/{app}/channels/{name}/users", self._users)
        app.router.add_post("/control/{fault}", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        await self.drop_connections()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # Faults

    async def drop_connections(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Close every socket, with a code."""
        for response in list(self._open.values()):
            with suppress(ConnectionError):
                await response.close(code=code)

    def refuse(self, refused: bool = True) -> None:
        """Answer 503 and close new sockets with 4100 (over capacity), or be well again."""
        self._refused = refused

    def be_stuck(self, stuck: bool) -> None:
        """Keep sockets open and neither answer nor send."""
        self._stuck = stuck

    def refuse_rate(self, refusing: bool = True) -> None:
        """Answer 429, or take events again."""
        self._refusing_rate = refusing

    def lose(self, losing: bool) -> None:
        """Take events and hand them to nobody."""
        self._losing = losing

    def fail(self, code: int | None) -> None:
        """Send every new socket an error with this code and close it."""
        self._close_code = code

    async def change_secret(self, secret: str) -> None:
        """Have another secret from now on, as after a rotation; sockets are closed."""
        self.secret = secret
        await self.drop_connections()

    def say(self, channel: str, text: str) -> None:
        """Send the sockets on a channel a frame that is whatever it is."""
        for socket in self._open:
            if channel in socket.channels:
                socket.send(text)

    # Sockets

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        frames: asyncio.Queue[str] = asyncio.Queue()
        socket = Socket(f"{random.randrange(10**6)}.{random.randrange(10**9)}", frames.put_nowait)
        refusal = self._refusal_of(request)
        if refusal is not None:
            await response.send_json({"event": "pusher:error", "data": refusal})
            await response.close(code=refusal["code"])
            return response
        socket.event("pusher:connection_established", {"socket_id": socket.id, "activity_timeout": ACTIVITY_TIMEOUT_S})
        self._open[socket] = response
        sender = asyncio.create_task(self._send(response, frames))
        try:
            async for message in response:
                if message.type is WSMsgType.TEXT and not self._stuck:
                    self._hear(socket, message.data)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            del self._open[socket]
            for name in list(socket.channels):
                self.channels.leave(socket, name)
        return response

    def _refusal_of(self, request: web.Request) -> dict[str, Any] | None:
        if self._close_code is not None:
            return {"code": self._close_code, "message": "As the test asked for"}
        if self._refused:
            return {"code": 4100, "message": "Over capacity"}
        if request.match_info["key"] != self.key:
            return {"code": 4001, "message": "Application does not exist"}
        if request.query.get("protocol") != "7":
            return {"code": 4007, "message": "Unsupported protocol version"}
        return None

    async def _send(self, response: web.WebSocketResponse, frames: "asyncio.Queue[str]") -> None:
        with suppress(ConnectionError):
            while True:
                frame = await frames.get()
                if not self._stuck:
                    await response.send_str(frame)

    def _hear(self, socket: Socket, text: str) -> None:
        try:
            frame = json.loads(text)
            event, data = frame["event"], frame.get("data") or {}
        except (ValueError, KeyError, TypeError):
            socket.event("pusher:error", {"code": 4200, "message": "Invalid JSON"})
            return
        if event == "pusher:ping":
            socket.event("pusher:pong", {})
        elif event == "pusher:subscribe":
            self._subscribe(socket, data)
        elif event == "pusher:unsubscribe":
            self.channels.leave(socket, data["channel"])
        elif event.startswith("client-"):
            self._client_event(socket, frame)

    def _subscribe(self, socket: Socket, data: dict[str, Any]) -> None:
        name = str(data.get("channel"))
        problem = None if NAME.fullmatch(name) else ("InvalidChannel", f"Invalid channel name {name}", 400)
        member = None
        if name.startswith(("private-", "presence-")) and not problem:
            more = f":{data.get('channel_data')}" if name.startswith("presence-") else ""
            if data.get("auth") != f"{self.key}:{sign(self.secret, f'{socket.id}:{name}{more}')}":
                problem = ("AuthError", f"Invalid signature for {name}", 401)
            elif more:
                member = json.loads(data["channel_data"])
        if problem:
            kind, text, status = problem
            told = {"type": kind, "error": text, "status": status}
            socket.send(json.dumps({"event": "pusher:subscription_error", "channel": name, "data": told}))
        else:
            self.channels.join(socket, name, member)

    def _client_event(self, socket: Socket, frame: dict[str, Any]) -> None:
        name, now = str(frame.get("channel")), time.monotonic()
        socket.spent = [each for each in socket.spent if now - each < 1]
        if name not in socket.channels or not name.startswith(("private-", "presence-")):
            socket.event("pusher:error", {"code": None, "message": "Client events need a private channel"})
        elif len(socket.spent) >= CLIENT_EVENTS_PER_S:
            socket.event("pusher:error", {"code": 4301, "message": "Client event rate limit exceeded"})
        else:
            socket.spent.append(now)
            member = socket.members.get(name)
            more = {"user_id": str(member["user_id"])} if member else {}
            self.channels.tell(name, frame["event"], frame.get("data"), without=socket.id, **more)

    # HTTP API

    async def _events(self, request: web.Request) -> web.Response:
        body = await self._authorised(request)
        self._publish(body, body.get("channels") or [body["channel"]])
        return web.json_response({})

    async def _batch(self, request: web.Request) -> web.Response:
        body = await self._authorised(request)
        batch = body["batch"]
        if len(batch) > MAX_BATCH:
            raise web.HTTPBadRequest(text=f"Batch too large: {len(batch)}, the limit is {MAX_BATCH}")
        for each in batch:
            self._check(each, [each["channel"]])
        for each in batch:
            self._publish(each, [each["channel"]])
        return web.json_response({})

    async def _list(self, request: web.Request) -> web.Response:
        await self._authorised(request)
        prefix = request.query.get("filter_by_prefix", "")
        names = [name for name in self.channels.names() if name.startswith(prefix)]
        return web.json_response({"channels": {name: {} for name in names}})

    async def _users(self, request: web.Request) -> web.Response:
        await self._authorised(request)
        members = self.channels.members(request.match_info["name"])
        return web.json_response({"users": [{"id": each} for each in members]})

    async def _authorised(self, request: web.Request) -> Any:
        """The body of a request that is signed as it should be."""
        while self._stuck:
            await asyncio.sleep(0.05)
        if self._refused:
            raise web.HTTPServiceUnavailable(text="Over capacity")
        if self._refusing_rate:
            self.refused += 1
            raise web.HTTPTooManyRequests(text="Rate limit exceeded")
        query, body = dict(request.query), await request.read()
        signature = query.pop("auth_signature", "")
        signed = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
        if query.get("auth_key") != self.key:
            raise web.HTTPUnauthorized(text=f"Unknown auth_key {query.get('auth_key')}")
        if signature != sign(self.secret, f"{request.method}\n{request.path}\n{signed}"):
            raise web.HTTPUnauthorized(text="Invalid signature: you should have sent HmacSHA256Hex(...)")
        if abs(time.time() - float(query.get("auth_timestamp", 0))) > CLOCK_SLACK_S:
            raise web.HTTPUnauthorized(text="Timestamp expired")
        if body and query.get("body_md5") != hashlib.md5(body).hexdigest():  # noqa: S324 -- the protocol's own
            raise web.HTTPUnauthorized(text="Invalid body_md5")
        if request.match_info["app"] != self.app_id:
            raise web.HTTPForbidden(text="App not found")
        return json.loads(body) if body else {}

    def _check(self, event: dict[str, Any], channels: list[str]) -> None:
        if len(event["data"].encode()) > MAX_DATA_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_DATA_BYTES, len(event["data"]))
        if not all(NAME.fullmatch(name) for name in channels):
            raise web.HTTPBadRequest(text="Invalid channel name")
        if len(event["name"]) > 200:
            raise web.HTTPBadRequest(text="Event name too long")

    def _publish(self, event: dict[str, Any], channels: list[str]) -> None:
        self._check(event, channels)
        for name in channels:
            if not self._losing:
                self.channels.tell(name, event["name"], event["data"], without=event.get("socket_id"))

    async def _control(self, request: web.Request) -> web.Response:
        fault = request.match_info["fault"]
        if fault not in self.FAULTS:
            raise web.HTTPNotFound(text=f"There are {', '.join(self.FAULTS)}")
        arguments = json.loads(await request.text() or "{}")
        done = getattr(self, fault)(**arguments)
        if asyncio.iscoroutine(done):
            await done
        return web.json_response({})
