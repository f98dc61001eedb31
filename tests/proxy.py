"""The network between a browser and the app: a TCP proxy on loopback that can be cut and hung."""

import asyncio
from types import TracebackType

CHUNK = 65_536


class Proxy:
    """An async context manager; forwards inside the block.

    Args:
        target: the port on loopback that it forwards to; nobody need listen there yet.
        port: the port to listen on; a free one when 0.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._forgotten: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def __aenter__(self) -> "Proxy":
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop all connections and listen no more."""
        assert self._server is not None
        self.cut()
        self._server.close()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def point_to(self, target: int) -> None:
        """Forward new connections to another port."""
        self._target = target

    def cut(self) -> None:
        """Drop the open connections, and every new one at once: a network that is gone."""
        self._is_cut = True
        for connection in self._connections:
            connection.cancel()

    def hang(self) -> None:
        """Keep connections open and forward nothing, until `restore`."""
        self._flowing.clear()

    def forget(self) -> None:
        """Never again forward what is open now, nor say so: sockets half-open for good. New ones are as ever."""
        self._forgotten |= self._connections

    def restore(self) -> None:
        """Accept and forward again; what a hang held back goes out first."""
        self._is_cut = False
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        try:
            if self._is_cut:
                return
            await self._flowing.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(forth)
            await self._forward_until_one_ends(task, (reader, forth), (back, writer))
        except OSError:
            pass  # nobody listens, or one end was reset: the other one is, too
        except asyncio.CancelledError:
            if not self._is_cut:
                raise
        finally:
            self._connections.discard(task)
            self._forgotten.discard(task)
            for each in writers:
                each.transport.abort()

    async def _forward_until_one_ends(
        self, connection: "asyncio.Task[None]", *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        pumps = [asyncio.create_task(self._pump(connection, reader, writer)) for reader, writer in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, connection: "asyncio.Task[None]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            if connection in self._forgotten:
                break
            writer.write(data)
            await writer.drain()
        if connection in self._forgotten:
            await asyncio.Event().wait()  # until it is cancelled
