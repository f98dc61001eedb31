"""One connection to Redis on which nobody waits for another's answer, and what its errors are in ours.

Whoever asks writes at once; answers come in the order of the questions and are handed out by one task.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, Unavailable

SILENCE_S = 2.5
"""A server that leaves a question unanswered for so long, in s, and says nothing else either, is away."""

Command = tuple[str | bytes | int, ...]

REFUSALS: dict[type[Exception], str] = {
    redis_errors.AuthenticationError: "does not accept the user or password in REDIS_URL",
    redis_errors.AuthenticationWrongNumberOfArgsError: "does not accept the user or password in REDIS_URL",
    redis_errors.AuthorizationError: "does not let this user in",
    redis_errors.NoPermissionError: "does not let this user do that",
    redis_errors.MovedError: "is one node of a cluster, which REDIS_URL cannot name",
    redis_errors.ClusterCrossSlotError: "is one node of a cluster, which REDIS_URL cannot name",
    SSLCertVerificationError: "shows a certificate that is not trusted",
}
"""Somebody has to change something; the most special classes first. All else is `ProviderUnavailable`."""


def check_address(url: str) -> None:
    """See that a URL names a Redis.

    Raises:
        ValueError: it does not; the message names the setting.
    """
    try:
        _connection(url)
    except (ValueError, TypeError):  # whose text may hold the password
        raise ValueError("REDIS_URL is not an address such as redis://USER:PASSWORD@HOST:6379.") from None


def _connection(url: str) -> AbstractConnection:
    """A connection that is not open yet."""
    options: dict[str, Any] = dict(parse_url(url))
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    options.pop("max_connections", None)  # which is for Reflex's pool
    options |= {"retry": Retry(NoBackoff(), 0), "socket_timeout": None, "socket_connect_timeout": SILENCE_S}
    return kind(**options)


def in_our_words(cause: Exception) -> Unavailable:
    """One of our errors for whatever redis-py or the network raises, with that as its cause."""
    found = next((words for kind, words in REFUSALS.items() if isinstance(_root(cause), kind)), None)
    told = f"{type(cause).__name__}: {cause}".rstrip(":. ")
    if found:
        error: Unavailable = ProviderRefused(
            f"Redis {found} ({told}).", remedy="Check REDIS_URL and the user's rights."
        )
    elif isinstance(cause, TimeoutError | redis_errors.TimeoutError):
        error = ProviderUnavailable(f"Redis does not answer ({told}).")
    elif isinstance(cause, OSError | redis_errors.ConnectionError):
        error = ProviderUnavailable(f"Redis cannot be reached ({told}).")
    else:  # OOM, READONLY, BUSY, a cluster that is down, and what nobody thought of
        error = ProviderUnavailable(f"Redis cannot do that now ({told}).")
    error.__cause__ = cause
    return error


def _root(error: BaseException) -> BaseException:
    """What redis-py wrapped: it makes a ConnectionError of every TLS error."""
    inner = error.__cause__ or error.__context__
    return inner if isinstance(inner, SSLCertVerificationError) else error


@dataclass(slots=True)
class _Question:
    missing: int
    asked_at: float
    answers: list[Any]
    answered: "asyncio.Future[list[Any]]"


class Line:
    """A connection; `open` and `close` own its task.

    Args:
        url: `redis://…`, `rediss://…` or `unix://…`.
        ended: set when the connection is of no use any more; `error` says why.
        hear: takes the channel and the payload of what is published where this line subscribed.
    """

    def __init__(self, url: str, ended: asyncio.Event, hear: Callable[[bytes, bytes], None] | None = None) -> None:
        self._connection = _connection(url)
        self._hear = hear
        self._questions: deque[_Question] = deque()
        self._heard_at = 0.0
        self._cause: Exception | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ended = ended

    async def open(self) -> None:
        """Connect, sign in, and see that the server answers; the caller bounds how long that may take.

        Raises:
            ProviderUnavailable: it cannot be reached, or does not answer.
            ProviderRefused: it does not let us in.
        """
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
        except (redis_errors.RedisError, OSError) as error:
            raise in_our_words(error) from error
        self._reader = asyncio.create_task(self._read(), name="redis-read")
        await self.ask(("PING",))  # one that still loads its data takes connections, and refuses this

    async def close(self) -> None:
        """End the connection; who still waits for an answer is told."""
        self.end(ConnectionError("the connection was ended"))
        if self._reader:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    @property
    def error(self) -> Unavailable:
        """Why it ended, or is not open yet."""
        return in_our_words(self._cause or ConnectionError("the connection is not open"))

    async def ask(self, *commands: Command) -> list[Any]:
        """Send commands and return the answer to each; one that Redis refuses has the error in its place.

        Raises:
            ProviderUnavailable: the connection ended before all answers were there.
        """
        return await (await self._send(commands)) if commands else []

    async def beat(self) -> None:
        """See that the server is there; called every second or so, it ends the line of one that is silent."""
        if not self._questions:
            await self._send([("PING",)])
        elif time.monotonic() - max(self._heard_at, self._questions[0].asked_at) > SILENCE_S:
            self.end(TimeoutError(f"it has been silent for {SILENCE_S:g} s"))

    async def _send(self, commands: Sequence[Command]) -> "asyncio.Future[list[Any]]":
        if self._cause:
            raise self.error
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        answered.add_done_callback(lambda future: future.cancelled() or future.exception())  # not all are waited for
        self._questions.append(_Question(len(commands), time.monotonic(), [], answered))
        try:
            packed = self._connection.pack_commands(commands)
            await self._connection.send_packed_command(packed, check_health=False)
        except (redis_errors.RedisError, OSError) as error:
            self.end(error)
        except BaseException:  # redis-py gives up a connection in the middle of a command
            self.end(ConnectionError("a command was not sent to its end"))
            raise
        return answered

    def end(self, cause: Exception) -> None:
        """Be of no use from now on; who waits for an answer is told."""
        if self._cause:
            return
        self._cause = cause
        self._ended.set()
        while self._questions:
            answered = self._questions.popleft().answered
            if not answered.done():
                answered.set_exception(self.error)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    answer = await self._connection.read_response(disconnect_on_error=False)
                except redis_errors.ResponseError as error:
                    answer = error
                self._heard_at = time.monotonic()
                if self._hear and isinstance(answer, list) and answer[0] == b"message":
                    self._hear(answer[1], answer[2])
                else:
                    self._take(answer)
        except (redis_errors.RedisError, OSError) as error:
            self.end(error)
        except Exception as error:  # a protocol that nobody understands
            self.end(redis_errors.InvalidResponse(repr(error)))

    def _take(self, answer: Any) -> None:
        question = self._questions[0]
        question.answers.append(answer)
        question.missing -= 1
        if not question.missing:
            self._questions.popleft()
            if not question.answered.done():
                question.answered.set_result(question.answers)
