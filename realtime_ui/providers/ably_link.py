"""One connection to Ably that is kept alive.

The SDK resumes a connection that broke, and then nothing is lost. What it cannot get out of (a refused key, a
connection that is dead and says it is connected, two minutes without a service) ends here in one way: that
client is closed, and another one takes its place.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from ably import AblyRealtime
from ably.transport.websockettransport import WebSocketTransport
from ably.types.connectionstate import ConnectionState, ConnectionStateChange
from websockets.protocol import State

from realtime_ui.core.backoff import Backoff, spread
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RealtimeError
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.ably_account import Account, Timings
from realtime_ui.providers.ably_errors import TOKEN_ERRORS, code_of, translate
from realtime_ui.providers.base import end

CLOSE_S = 1.0
TRY_TIMED_OUT = 50003

_STATUS = {
    ConnectionState.CONNECTED: ConnectionStatus.CONNECTED,
    ConnectionState.DISCONNECTED: ConnectionStatus.DISCONNECTED,
    ConnectionState.SUSPENDED: ConnectionStatus.SUSPENDED,
    ConnectionState.FAILED: ConnectionStatus.FAILED,
}
"""What each state of the SDK means; while it tries once more, all is as it was."""


class Link:
    """A connection; `start` and `stop` own what it runs.

    Args:
        account: makes the SDK's clients.
        client_id: who we are.
        timings: how long things take.
        clock: tells the time.
        changed: told when status or error may be others.
    """

    def __init__(
        self, account: Account, client_id: str, timings: Timings, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self.status = ConnectionStatus.CONNECTING
        self.error: RealtimeError | None = None
        self.was_connected = False
        self.client: AblyRealtime | None = None
        """The SDK's client of now; None between two."""
        self._account = account
        self._client_id = client_id
        self._timings = timings
        self._clock = clock
        self._changed = changed
        self._broken = asyncio.Event()
        self._settled = asyncio.Event()
        self._token_errors = 0
        self._backoff = Backoff(timings.retry, 5 * timings.retry)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to connect."""
        self.run(self._live())

    async def stop(self) -> None:
        """Close the connection, and end all that runs."""
        await end(self._tasks)

    def run(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do something besides, until it is done or `stop`."""
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ready(self) -> None:
        """Wait until connected.

        Raises:
            RealtimeError: why the first try failed; it goes on trying.
        """
        await self._settled.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)  # it may be raised many times

    def require(self) -> AblyRealtime:
        """The client, connected.

        Raises:
            RealtimeError: it is not; the error says why.
        """
        if self.client is None or self.status is not ConnectionStatus.CONNECTED:
            why = self.error or ProviderUnavailable("Ably is not connected.", remedy="It is tried again all the time.")
            raise why.with_traceback(None)
        return self.client

    async def _live(self) -> None:
        """Keep a client, and put another in its place when it is broken."""
        while True:
            try:
                await self._live_once()
            except Exception as error:  # whatever it is, it shows, and the next client may be luckier
                self._become(ConnectionStatus.DISCONNECTED, translate(error, "Connecting"))
            refused = isinstance(self.error, ProviderRefused)
            await self._clock.sleep(spread(self._timings.refused) if refused else self._backoff.next())

    async def _live_once(self) -> None:
        self._broken.clear()
        self._token_errors = 0
        client = self.client = self._account.realtime(self._client_id)
        client.connection.on(lambda change: self._on_connection(client, change))
        try:
            client.connect()
            await self._watch(client)
        finally:
            self.client = None
            await _close(client)

    async def _watch(self, client: AblyRealtime) -> None:
        """Return when the client is broken; what says that it is connected is asked now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broken.wait(), self._timings.ping)
                return
            if client.connection.state != ConnectionState.CONNECTED:
                continue
            try:
                await client.connection.ping()
            except Exception as error:
                if client.connection.state == ConnectionState.CONNECTED:
                    self._become(ConnectionStatus.DISCONNECTED, translate(error, "A look whether the connection lives"))
                    return

    def _on_connection(self, client: AblyRealtime, change: ConnectionStateChange) -> None:
        if client is not self.client or change.current not in _STATUS:
            return
        status = _STATUS[change.current]
        if status is ConnectionStatus.CONNECTED:
            self._token_errors = 0
            self._backoff.reset()
            self.was_connected = True
            self._become(status, None)
            return
        error = self._account.token_error or translate(change.reason, "Connecting")
        if status is ConnectionStatus.DISCONNECTED:
            self._help(client, code_of(change.reason))
        if isinstance(error, ProviderRefused):
            status = ConnectionStatus.FAILED
        elif status is ConnectionStatus.FAILED:
            status = ConnectionStatus.DISCONNECTED  # it is tried again soon
        if isinstance(error, ProviderRefused) or change.current in (ConnectionState.FAILED, ConnectionState.SUSPENDED):
            self._broken.set()
        self._become(status, error)

    def _help(self, client: AblyRealtime, code: int) -> None:
        """Do what the SDK leaves undone when it is disconnected.

        It asks for another token at the first error only: from the second on it shows the old one again.
        And it forgets the task of a try that took too long, which would wait for ever.
        """
        if code in TOKEN_ERRORS:
            self._token_errors += 1
            if self._token_errors > 1:
                self.run(self._authorize(client))
        elif code == TRY_TIMED_OUT:
            client.connection.connection_manager.connect_base_task.cancel()

    async def _authorize(self, client: AblyRealtime) -> None:
        with contextlib.suppress(Exception):  # the connection's state tells
            async with asyncio.timeout(self._timings.answer):
                await client.auth.authorize()

    def _become(self, status: ConnectionStatus, error: RealtimeError | None) -> None:
        self.status, self.error = status, error
        if status is ConnectionStatus.CONNECTED or error is not None:
            self._settled.set()
        self._changed()


async def _close(client: AblyRealtime) -> None:
    """Close a client, whatever state it is in; a server that does not answer is hung up on."""
    manager = client.connection.connection_manager
    # A token that is being renewed would open a connection after the end of this one.
    manager.start_connect = lambda: None
    transport = manager.transport
    if transport is not None and not _is_open(transport):
        await transport.dispose()
        manager.transport = None  # the SDK would say goodbye to it, and fail
    for _ in range(2):
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await client.close()
                break
        if transport is not None and transport.websocket is not None:
            transport.websocket.transport.abort()
    await client.http.close()
    await asyncio.sleep(0)  # a frame that was being read starts the timer once more
    if transport is not None and transport.idle_timer is not None:
        transport.idle_timer.cancel()


def _is_open(transport: WebSocketTransport) -> bool:
    return transport.websocket is not None and transport.websocket.state is State.OPEN
