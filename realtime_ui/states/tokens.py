"""Which tab is where: Reflex's own record of it, so that a tab which comes back keeps its state.

A tab shows a token that is its own, and that a duplicate made by the browser shows, too. Reflex gives whoever
comes second another token, and with it a fresh state. But the first may be a socket that nobody closed: its worker
was killed, or its network went away. So the worker that has it asks the browser whether it is still there.
Whether the token is the socket's principal's has been checked before (`states/tab_namespace.py`).
"""

import asyncio
import json
import logging
import pickle
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import reflex as rx
from engineio.packet import PING
from engineio.packet import Packet as EnginePacket
from reflex.utils.token_manager import LocalTokenManager, RedisTokenManager, SocketRecord, TokenManager

from realtime_ui.core.backoff import Backoff
from realtime_ui.hub.fanout import DirectWebSocket, hang_up
from realtime_ui.hub.feed import EVENT_NAMESPACE
from realtime_ui.providers.redis_client import be_patient
from realtime_ui.states.strangers import tree
from realtime_ui.states.tab_namespace import TabNamespace
from realtime_ui.states.tab_tokens import TabTokens

logger = logging.getLogger(__name__)

ANSWER_S = 1.0
"""How long a browser, which answers pings in the background too, may take."""
GONE_S = 0.5
ASK_S = ANSWER_S + GONE_S + 0.5
PATIENCE_S = ASK_S + 1.0
"""How long a socket waits for a token, in s."""
STEP_S = 0.02
RENEW_S = 120.0
RETRY_MIN_S, RETRY_MAX_S = 1.0, 10.0
PORTION = 100
DELETE_THIS = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
ASKED, ANSWERED = "realtime-ui:tabs:", "realtime-ui:tab:"
"""What a Redis channel begins with, on which a worker is asked for a tab; and the key of an answer."""


FreshToken = Callable[[str], str]
"""A socket's id → a new token for its principal."""


def keep_tokens(app: rx.App, secret: str, stranger_left: Callable[[str], None]) -> None:
    """Have an app keep its tabs' tokens as this module says.

    Args:
        app: the app.
        secret: the server's secret key.
        stranger_left: called with the token of each stranger whose socket has closed.
    """
    kept: TokenManager = cast("Any", app.event_namespace)._token_manager
    namespace = app._event_namespace = TabNamespace(app, TabTokens(secret), stranger_left)
    cast("Any", app.sio).register_namespace(namespace)
    sockets = _Sockets(app)
    if isinstance(kept, RedisTokenManager):
        states: Any = app.state_manager
        for client in (kept.redis, states.redis):
            be_patient(client)
        namespace._token_manager = SharedTokens(kept.redis, sockets, namespace.fresh_token)
    else:
        namespace._token_manager = OwnTokens(sockets, namespace.fresh_token)


class _Sockets:
    """The sockets of this worker's tabs."""

    def __init__(self, app: rx.App) -> None:
        self._server: Any = app.sio

    async def is_there(self, sid: str) -> bool:
        """Whether the browser behind a socket answers; one that does not is hung up."""
        engine_id = self._server.manager.eio_sid_from_sid(sid, EVENT_NAMESPACE)
        socket = self._server.eio.sockets.get(engine_id)
        if socket is None or socket.closed:
            return False
        if not hasattr(socket, "direct"):  # it came before the runtime ran
            return True
        line: DirectWebSocket = socket.direct
        asked = time.monotonic()
        await socket.send(EnginePacket(PING))
        while time.monotonic() < asked + ANSWER_S:
            await asyncio.sleep(STEP_S)
            if socket.closed:
                return False
            if line.heard > asked:
                return True
        await hang_up(socket)
        return False


async def _until_forgotten(tokens: TokenManager, token: str, sid: str) -> None:
    """Wait until Reflex has done all that it does when a socket closes."""
    until = time.monotonic() + GONE_S
    while tokens.sid_to_token.get(sid) == token and time.monotonic() < until:  # noqa: ASYNC110  (Reflex has no event)
        await asyncio.sleep(STEP_S)


def _put_on_record(tokens: TokenManager, token: str, sid: str, fresh_token: FreshToken) -> str | None:
    """Link a socket to a token in this worker's record, or to a fresh one if another socket has it."""
    held = tokens.token_to_socket.get(token)
    new_token = fresh_token(sid) if held and held.sid != sid else None
    tokens.token_to_socket[new_token or token] = SocketRecord(instance_id=tokens.instance_id, sid=sid)
    tokens.sid_to_token[sid] = new_token or token
    return new_token


class OwnTokens(LocalTokenManager):
    """For a worker that is alone.

    Args:
        sockets: its tabs' sockets.
        fresh_token: makes tokens for duplicates.
    """

    def __init__(self, sockets: _Sockets, fresh_token: FreshToken) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sockets = sockets
        self._fresh_token = fresh_token

    async def link_token_to_sid(self, token: str, sid: str) -> str | None:
        """Give a socket the token that it shows, or another one if a tab that is there has it."""
        held = self.token_to_socket.get(token)
        if held and held.sid != sid and not await self._sockets.is_there(held.sid):
            await _until_forgotten(self, token, held.sid)
            if self.token_to_socket.get(token) == held:  # else somebody came back quicker
                await self.disconnect_token(token, held.sid)
        return _put_on_record(self, token, sid, self._fresh_token)


class SharedTokens(RedisTokenManager):
    """For workers that share a Redis, with their tabs' states in it.

    Args:
        redis: Reflex's client.
        sockets: this worker's tabs' sockets.
        fresh_token: makes tokens for duplicates.
    """

    def __init__(self, redis: Any, sockets: _Sockets, fresh_token: FreshToken) -> None:
        super().__init__(redis)
        self._sockets = sockets
        self._fresh_token = fresh_token
        self._tasks: list[asyncio.Task[None]] = []

    async def link_token_to_sid(self, token: str, sid: str) -> str | None:
        """Give a socket the token that it shows, or another one if a tab that is there has it, at any worker."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._answer_for_ever(), name="tabs-answer"),
                asyncio.create_task(self._renew_for_ever(), name="tabs-renew"),
            ]
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._ensure_socket_record_task()
                await self._make_way(token)
                own = SocketRecord(instance_id=self.instance_id, sid=sid)
                new_token = None if await self._claim(token, own) else self._fresh_token(sid)
                if new_token:
                    await self._claim(new_token, own)
        except Exception as error:  # feeds need no state, and handlers wait for a Redis that is away
            if not isinstance(error, TimeoutError):
                logger.warning("Redis refuses to say whether a tab is somewhere else: %s", error)
            return _put_on_record(self, token, sid, self._fresh_token)
        self.token_to_socket[new_token or token] = own
        self.sid_to_token[sid] = new_token or token
        return new_token

    async def disconnect_all(self) -> None:
        """Forget this worker's tabs at its end; where Redis is away, whoever they come back to finds them gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                await super().disconnect_all()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """End the tasks, too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await super().close()

    async def _claim(self, token: str, own: SocketRecord) -> bool:
        """Put a token on record for a socket, unless it is for another one."""
        key, record = self._get_redis_key(token), pickle.dumps(own)
        return bool(await self.redis.set(key, record, ex=self.token_expiration, nx=True))

    async def _make_way(self, token: str) -> None:
        """Forget the socket that has a token on record, unless its tab is there."""
        key = self._get_redis_key(token)
        record = await self.redis.get(key)
        if record is None:
            return
        held = await self._fetch_socket_record(token)  # None: a socket of this worker that is gone already
        if held is not None:
            if await self._is_there(token, held):
                return
            await self._forget(token, held)
        await cast("Any", self.redis.eval(DELETE_THIS, 1, key, record))  # not that of somebody who came back quicker

    async def _is_there(self, token: str, held: SocketRecord) -> bool:
        if held.instance_id == self.instance_id:
            return await self._sockets.is_there(held.sid)
        answer = f"{ANSWERED}{uuid.uuid4().hex}"
        question = json.dumps({"token": token, "sid": held.sid, "answer": answer})
        if not await self.redis.publish(ASKED + held.instance_id, question):
            return False  # its worker is dead
        found = await cast("Any", self.redis.blpop([answer], timeout=ASK_S))
        return found is not None and found[1] == b"1"  # a worker that does not answer has lost its tabs

    async def _forget(self, token: str, held: SocketRecord) -> None:
        """Have nothing of a socket here any more."""
        if held.instance_id == self.instance_id:
            await _until_forgotten(self, token, held.sid)
        if self.token_to_socket.get(token) == held:
            del self.token_to_socket[token]
        if self.sid_to_token.get(held.sid) == token:
            del self.sid_to_token[held.sid]

    async def _answer_for_ever(self) -> None:
        backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        while True:
            try:
                async with self.redis.pubsub() as pubsub:
                    await pubsub.subscribe(ASKED + self.instance_id)
                    backoff.reset()
                    async with asyncio.TaskGroup() as answers:
                        async for message in pubsub.listen():
                            if message["type"] == "message":
                                answers.create_task(self._answer(json.loads(message["data"])))
            except Exception as error:
                logger.debug("Other workers cannot ask for tabs now: %r", error)
            await asyncio.sleep(backoff.next())

    async def _answer(self, question: dict[str, str]) -> None:
        token, sid = question["token"], question["sid"]
        there = self.sid_to_token.get(sid) == token and await self._sockets.is_there(sid)
        if not there:
            await self._forget(token, SocketRecord(instance_id=self.instance_id, sid=sid))
        answer = self.redis.pipeline(transaction=False)
        answer.rpush(question["answer"], int(there))
        answer.expire(question["answer"], 10)
        await answer.execute()

    async def _renew_for_ever(self) -> None:
        """Have the states of open tabs outlive a closed tab's time; Reflex renews what a handler changes only."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._renew()
            except Exception as error:
                logger.debug("Tabs' states are renewed later: %r", error)

    async def _renew(self) -> None:
        own = [token for token, held in self.token_to_socket.items() if held.instance_id == self.instance_id]
        for start in range(0, len(own), PORTION):
            renewals = self.redis.pipeline(transaction=False)
            for token in own[start : start + PORTION]:
                if held := self.token_to_socket.get(token):  # a Redis that was away may have forgotten it
                    await self._store_socket_record(token, held, nx=True)
                ident = rx.BaseStateToken(ident=token, cls=rx.State)
                renewals.expire(self._get_redis_key(token), self.token_expiration)
                for state in tree(rx.State):
                    renewals.expire(ident._state_key(state), self.token_expiration)
            await renewals.execute()
