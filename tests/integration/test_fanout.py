"""The fan-out beside python-socketio's ordinary emit: the same packets, in the same order, for everybody."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
import uvicorn
import websockets

from realtime_ui.hub.fanout import install_direct_writes, send_to_room
from tests.app import free_port

NAMESPACE = "/feed"


class Rooms(socketio.AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """Enters the room that a client asks for."""

    async def on_join(self, sid: str, room: str) -> bool:
        """Enter."""
        await self.enter_room(sid, room)
        return True


@pytest.fixture
async def server() -> AsyncIterator[tuple[socketio.AsyncServer, str]]:
    """A Socket.IO server with direct writes, on uvicorn, and its address."""
    sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], async_handlers=False)
    install_direct_writes(sio)
    sio.register_namespace(Rooms(NAMESPACE))
    port = free_port()
    config = uvicorn.Config(socketio.ASGIApp(sio), port=port, log_level="warning", ws_per_message_deflate=False)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    async with asyncio.timeout(60):
        while not running.started:
            await asyncio.sleep(0.01)
    yield sio, f"127.0.0.1:{port}"
    running.should_exit = True
    await task
    await sio.shutdown()
    for socket in asyncio.all_tasks() - {asyncio.current_task()}:
        if "_service_task" in repr(socket.get_coro()) or "_send_ping" in repr(socket.get_coro()):
            socket.cancel()


async def client(address: str, room: str) -> tuple[socketio.AsyncClient, list[Any]]:
    """A client in a room, and what it hears."""
    heard: list[Any] = []
    sio = socketio.AsyncClient(reconnection=False)
    sio.on("frame", lambda *data: heard.append(data), namespace=NAMESPACE)
    await sio.connect(f"http://{address}", transports=["websocket"], namespaces=[NAMESPACE], wait_timeout=30)
    await sio.call("join", room, namespace=NAMESPACE)
    return sio, heard


async def test_what_arrives_is_what_the_ordinary_emit_sends(server: tuple[socketio.AsyncServer, str]) -> None:
    """Any JSON, in bursts and alone, mixed with emits that take the queue."""
    sio, address = server
    fast, fast_heard = await client(address, "fast")
    plain, plain_heard = await client(address, "plain")
    payloads: list[Any] = [
        {"n": n, "text": "äöü €" * (n % 50), "deep": [None, True, 1.5, {"a": []}]} for n in range(600)
    ]
    for number, payload in enumerate(payloads):
        if number % 7 == 3:  # through the queue, between direct writes
            await sio.emit("frame", payload, room="fast", namespace=NAMESPACE)
        else:
            assert send_to_room(sio, NAMESPACE, "fast", "frame", payload) == 1
        await sio.emit("frame", payload, room="plain", namespace=NAMESPACE)
        if number % 50 == 0:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(60):
        while len(fast_heard) < len(payloads) or len(plain_heard) < len(payloads):
            await asyncio.sleep(0.02)
    assert fast_heard == plain_heard == [(payload,) for payload in payloads]
    await fast.disconnect()
    await plain.disconnect()


async def test_an_empty_room_costs_nothing(server: tuple[socketio.AsyncServer, str]) -> None:
    """Nor does an unknown namespace."""
    sio, _ = server
    assert send_to_room(sio, NAMESPACE, "nobody", "frame", {}) == 0
    assert send_to_room(sio, "/unknown", "nobody", "frame", {}) == 0


async def test_a_stopped_reader_and_one_that_leaves_hold_up_nobody(server: tuple[socketio.AsyncServer, str]) -> None:
    """And when the stopped one reads again, it has everything, in order."""
    sio, address = server
    reader, heard = await client(address, "all")
    leaver, _ = await client(address, "all")
    url = f"ws://{address}/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, compression=None, max_queue=1, max_size=None) as stopped:

        async def until_it_says(prefix: str) -> None:
            while not str(await stopped.recv()).startswith(prefix):
                pass

        await stopped.send(f"40{NAMESPACE},")
        await until_it_says(f"40{NAMESPACE}")
        await stopped.send(f'42{NAMESPACE},1["join","all"]')
        await until_it_says(f"43{NAMESPACE}")
        text = "x" * 20_000
        for number in range(400):
            send_to_room(sio, NAMESPACE, "all", "frame", [number, text])
            if number == 100:
                await leaver.eio.disconnect(abort=True)
            if number % 20 == 0:
                await asyncio.sleep(0.005)
        async with asyncio.timeout(60):
            while len(heard) < 400:
                await asyncio.sleep(0.02)
            assert [number for [[number, _]] in heard] == list(range(400))
            late: list[int] = []
            while len(late) < 400:
                packet = await stopped.recv()
                assert isinstance(packet, str)
                if packet.startswith("42"):
                    late.append(int(packet.split("[", 2)[2].split(",", 1)[0]))
        assert late == list(range(400))
    await reader.disconnect()
