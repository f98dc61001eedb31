"""What networks put between a browser and the app: a sign-in page in its place, or a proxy without WebSockets."""

import asyncio
import re
from enum import Enum
from types import TracebackType

HEAD_END = b"\r\n\r\n"
HTML = b"text/html"
PAGE = b"<!doctype html><title>Sign in</title><form>Please sign in</form>"


class Mode(Enum):
    """What the gateway does with a request."""

    OPEN = "open"
    """Passes it on."""
    PAGE = "page"
    """Answers with a sign-in page, status 200."""
    REDIRECT = "redirect"
    """Sends it to a sign-in page of another origin."""
    UNAUTHORIZED = "unauthorized"
    """Answers 401 with a page."""
    ANOTHER_SERVER = "another server"
    """Answers with another server's JSON, status 200."""
    NO_UPGRADE = "no upgrade"
    """Refuses WebSockets with 403, passes on the rest."""
    STRIP_UPGRADE = "strip upgrade"
    """Takes the Upgrade header away, so that the app sees a plain GET."""
    SWALLOW_UPGRADE = "swallow upgrade"
    """Takes WebSockets and never answers."""


ANSWERS = {
    Mode.PAGE: (b"200 OK", HTML, PAGE),
    Mode.REDIRECT: (b"302 Found\r\nlocation: http://login.localhost:9/start", HTML, b""),
    Mode.UNAUTHORIZED: (b"401 Unauthorized", HTML, PAGE),
    Mode.ANOTHER_SERVER: (b"200 OK", b"application/json", b'{"status": "ok"}'),
}


class Gateway:
    """An async context manager; `mode` may change inside the block, which cuts what is open.

    Args:
        target: the app's port on loopback.
        port: where it listens.
    """

    def __init__(self, target: int, port: int) -> None:
        self._target = target
        self._port = port
        self._mode = Mode.OPEN
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Gateway":
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more, and cut what is open."""
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def become(self, mode: Mode) -> None:
        """Change, and cut every open connection."""
        self._mode = mode
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one end is gone
        except asyncio.CancelledError:
            pass  # cut
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for a connection: what follows a head is passed on as it is."""
        head = await reader.readuntil(HEAD_END)
        upgrade = b"upgrade: websocket" in head.lower()
        if self._mode in ANSWERS:
            await _answer(writer, *ANSWERS[self._mode])
            return
        if upgrade and self._mode is Mode.NO_UPGRADE:
            await _answer(writer, b"403 Forbidden", HTML, b"")
            return
        if upgrade and self._mode is Mode.SWALLOW_UPGRADE:
            await asyncio.Event().wait()
        if upgrade and self._mode is Mode.STRIP_UPGRADE:
            head = re.sub(rb"\r\n(upgrade|connection|sec-websocket-[a-z]+):[^\r]*", b"", head, flags=re.IGNORECASE)
            upgrade = False
        if not upgrade:
            head = head.replace(HEAD_END, b"\r\nconnection: close" + HEAD_END)
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        forth.write(head)
        pumps = [asyncio.create_task(_pump(reader, forth)), asyncio.create_task(_pump(back, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            forth.transport.abort()


async def _answer(writer: asyncio.StreamWriter, status: bytes, kind: bytes, body: bytes) -> None:
    writer.write(
        b"HTTP/1.1 %b\r\ncontent-type: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
        % (status, kind, len(body), body)
    )
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
