"""The network that tests cut and hang."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.proxy import Proxy


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that says what it hears; its port."""
    callers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        callers.add(task)
        with suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*callers)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, closed after the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a byte."""
    with suppress(ConnectionError):
        return await reader.read(1) == b""
    return True


async def test_it_forwards_drops_and_forwards_again() -> None:
    """A cut ends what is open and what comes; after it all is as before."""
    async with echo() as port, Proxy(port) as proxy:
        async with connected(proxy.port) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            proxy.cut()
            assert await ended(reader)
        async with connected(proxy.port) as (reader, _):
            assert await ended(reader)
        proxy.restore()
        async with connected(proxy.port) as (reader, writer):
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"


async def test_a_hang_keeps_connections_and_carries_nothing_until_restored() -> None:
    """Then it carries what was held back, in order."""
    async with echo() as port, Proxy(port) as proxy, connected(proxy.port) as (reader, writer):
        writer.write(b"zero")
        assert await reader.readexactly(4) == b"zero"
        proxy.hang()
        writer.write(b"one")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.write(b"two")
        proxy.restore()
        assert await reader.readexactly(6) == b"onetwo"


async def test_forgotten_connections_stay_open_and_dead_while_new_ones_work() -> None:
    """Nobody is told."""
    async with echo() as port, Proxy(port) as proxy, connected(proxy.port) as (reader, writer):
        writer.write(b"zero")
        assert await reader.readexactly(4) == b"zero"
        proxy.forget()
        writer.write(b"one")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        async with connected(proxy.port) as (another, one):
            one.write(b"two")
            assert await another.readexactly(3) == b"two"
