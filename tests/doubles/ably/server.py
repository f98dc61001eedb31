"""The server: its life, its limits, and what can be made to go wrong with it."""

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Self

from aiohttp import web

from tests.doubles.ably.access import Access, Capability, Pass
from tests.doubles.ably.channel import Channel
from tests.doubles.ably.connection import Connection
from tests.doubles.ably.rest import CORS, Rest, problem
from tests.doubles.ably.wire import AblyError, Action, pack


@dataclass(frozen=True)
class Limits:
    """What Ably documents, and how long it waits, in s."""

    rate: float = 50
    """Messages a second each way over one connection."""
    channels: int = 200
    """Channels that one connection may attach to."""
    keep_s: float = 120
    """How long a connection can be resumed."""
    leave_s: float = 15
    """How long its members stay after it broke."""
    beat_s: float = 15
    """Within that long a connection hears something."""
    token_s: float = 86_400
    """The longest life of a token."""
    auth_lead_s: float | None = 30
    """How long before a token's end the client is asked for another; None: not at all."""


class AblyServer:
    """Ably on loopback: `async with AblyServer() as server`, then `server.port` and `server.key`.

    Args:
        port: 0 takes a free one, which is kept over `stop` and `start`.
        key: `APP.KEY:SECRET` that is let in.
        limits: what it allows.
        tls: serves over TLS when given.
    """

    FAULTS = frozenset({"drop_connections", "refuse", "expire_tokens", "restrict", "forget", "be_stuck", "detach"}) | {
        "refuse_rate",
        "disconnect",
        "fail",
        "lose",
        "withhold",
        "outage",
    }
    """What `POST /control/NAME` with a JSON object of arguments calls."""

    def __init__(
        self,
        *,
        port: int = 0,
        key: str = "app.key:secret",
        limits: Limits = Limits(),
        tls: SSLContext | None = None,
    ) -> None:
        self.port = port
        self.limits = limits
        self.access = Access(limits.token_s)
        name, _, secret = key.partition(":")
        self.key = str(self.access.add_key(name, secret))
        self.stuck = self.withhold_acks = False
        self.refused_by_rate = self.lost_by_rate = 0
        self.connections: list[Connection] = []
        self._tls = tls
        self._channels: dict[str, Channel] = {}
        self._epochs = itertools.count(1)
        self._epoch = f"e{next(self._epochs)}"
        self._resumable: dict[str, str] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._refused = self._refusing_rate = False
        self.is_detaching = False
        self._runner: web.AppRunner | None = None
        self._outages: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Serve."""
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        """End."""
        for task in self._outages:
            task.cancel()
        await asyncio.gather(*self._outages, return_exceptions=True)
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application(middlewares=[self._around], client_max_size=8_000_000)
        app.add_routes(Rest(self).routes())
        app.add_routes([web.get("/", self._realtime), web.post("/control/{fault}", self._control)])
        app.add_routes([web.get("/control/state", self._state), web.options("/{any:.*}", self._preflight)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be away: every socket breaks, and connections cannot be resumed; messages and keys stay."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self.drop_connections()
        self.forget()
        await runner.cleanup()
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        for channel in self._channels.values():
            channel.members.clear()

    def drop_connections(self) -> None:
        """Break every socket without a word; connections can be resumed."""
        for connection in list(self.connections):
            connection.abort()

    def refuse(self, refused: bool = True) -> None:
        """Answer 503 to everything that is new, or be well again."""
        self._refused = refused

    def expire_tokens(self) -> None:
        """End every token now, and the connections that live on one."""
        for shown in self.access.tokens.values():
            shown.expires = time.time()
        for connection in list(self.connections):
            if not connection.who.basic:
                connection.hang_up(AblyError(40142, "Token expired", 401))

    def restrict(self, capability: Capability, key: str | None = None) -> None:
        """Give a key other rights, which hold at once, for its tokens too."""
        self.access.keys[key or self.key.partition(":")[0]].capability = capability
        for connection in list(self.connections):
            connection.check_channels()

    def forget(self) -> None:
        """Lose what connections and channels could be resumed from."""
        self._resumable.clear()
        self._epoch = f"e{next(self._epochs)}"

    def be_stuck(self, stuck: bool = True) -> None:
        """Take everything and answer nothing, or be well again."""
        self.stuck = stuck

    def withhold(self, acks: bool = True) -> None:
        """Take messages and do not acknowledge them."""
        self.withhold_acks = acks

    def refuse_rate(self, refusing: bool = True) -> None:
        """Refuse every publish as one too many, or let them in again."""
        self._refusing_rate = refusing

    def disconnect(self, code: int | None = None, status: int | None = None) -> None:
        """Send every connection DISCONNECTED, with or without an error, and end it."""
        for connection in list(self.connections):
            connection.hang_up(AblyError(code, "Disconnected on demand", status) if code else None)

    def fail(self, code: int, status: int | None = None) -> None:
        """Send every connection an ERROR of its own."""
        for connection in list(self.connections):
            connection.fail(AblyError(code, "Failed on demand", status))

    def lose(self, channel: str) -> None:
        """Tell everyone attached that continuity on a channel is lost."""
        for connection in list(self.connections):
            connection.lose(channel)

    def detach(self, detaching: bool = True) -> None:
        """Put everyone out of their channels and let nobody attach, or let them in again."""
        self.is_detaching = detaching
        if detaching:
            for connection in list(self.connections):
                connection.detach_all()

    def outage(self, seconds: float) -> None:
        """Stop listening for so long, then come back on the same port."""

        async def away() -> None:
            await self.stop()
            await asyncio.sleep(seconds)
            await self.start()

        task = asyncio.create_task(away())
        self._outages.add(task)
        task.add_done_callback(self._outages.discard)

    def channel(self, name: str) -> Channel:
        """A channel by name; made when nobody used it before."""
        if name not in self._channels:
            self._channels[name] = Channel(name, lambda: self._epoch)
        return self._channels[name]

    def identity(self, resume: str | None) -> tuple[str, str]:
        """A connection's id and key: the former ones where they are known."""
        if resume in self._resumable:
            return self._resumable[resume], resume
        identity = secrets.token_urlsafe(8)
        key = f"{identity}!{secrets.token_urlsafe(12)}"
        self._resumable[key] = identity
        return identity, key

    def began(self, connection: Connection) -> None:
        """A connection is there, perhaps again: an older socket of it is dropped."""
        for other in list(self.connections):
            if other.id == connection.id:
                other.abort()
        self.connections.append(connection)
        if (timer := self._leaving.pop(connection.id, None)) is not None:
            timer.cancel()

    def ended(self, connection: Connection, *, closed: bool) -> None:
        """A socket is over: its members leave at once if it was closed, else a little later."""
        self.connections.remove(connection)
        if any(other.id == connection.id for other in self.connections):
            return
        if closed or self._runner is None:
            self._gone(connection, resumable=not closed)
        else:
            loop = asyncio.get_running_loop()
            self._leaving[connection.id] = loop.call_later(self.limits.leave_s, self._gone, connection)

    def _gone(self, connection: Connection, *, resumable: bool = True) -> None:
        self._leaving.pop(connection.id, None)
        for channel in self._channels.values():
            channel.leave(connection.id)
        if not resumable:
            self._resumable.pop(connection.key, None)

    def check_refusing(self) -> None:
        """Whether publishes are let in now.

        Raises:
            AblyError: 42910.
        """
        if self._refusing_rate:
            self.refused_by_rate += 1
            raise AblyError(42910, "Rate limit exceeded; request rejected", 429)

    def who(self, query: Mapping[str, str]) -> Pass:
        """Who asks, by an address's parameters.

        Raises:
            AblyError: nobody who is known.
        """
        client_id = query.get("clientId")
        token = query.get("accessToken") or query.get("access_token")
        if token:
            return self.access.by_token(token, client_id)
        if "key" in query:
            return self.access.by_key(query["key"], client_id)
        raise AblyError(40101, "No authentication information provided")

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=2**22, autoping=True, timeout=0.2)
        await socket.prepare(request)
        try:
            who = self.who(request.query)
        except AblyError as error:
            binary = request.query.get("format") == "msgpack"
            raw = pack({"action": Action.ERROR, "error": error.info}, binary)
            await (socket.send_bytes(raw) if binary else socket.send_str(raw.decode()))
            await socket.close()
            return socket
        connection = Connection(self, socket, request, who)
        self.began(connection)
        await connection.run()
        return socket

    @web.middleware
    async def _around(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not request.path.startswith("/control/"):
            if self._refused:
                return problem(request, AblyError(50310, "Refused on demand", 503))
            while self.stuck and request.path != "/":
                await asyncio.sleep(0.05)
        try:
            return await handler(request)
        except AblyError as error:
            return problem(request, error)

    async def _control(self, request: web.Request) -> web.Response:
        name = request.match_info["fault"]
        if name not in self.FAULTS:
            return web.json_response({"known": sorted(self.FAULTS)}, status=404)
        arguments: dict[str, Any] = await request.json() if request.can_read_body else {}
        asyncio.get_running_loop().call_soon(lambda: getattr(self, name)(**arguments))
        return web.json_response({"done": name})

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "connections": len(self.connections),
                "channels": {name: len(channel.attached) for name, channel in self._channels.items()},
                "refused_by_rate": self.refused_by_rate,
                "lost_by_rate": self.lost_by_rate,
            }
        )

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(headers=CORS)
