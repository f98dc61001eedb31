"""The Pusher server, checked with Pusher's own clients: pusher-js for sockets, the Python library for HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pusher
import pytest
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus

from tests import vendor
from tests.doubles.pusher import PusherServer


@pytest.fixture
async def server() -> AsyncIterator[PusherServer]:
    """A server of the test's own."""
    async with PusherServer() as server:
        yield server


def library(server: PusherServer, *, secret: str = "") -> Any:
    """Pusher's own library for programs."""
    return pusher.Pusher(
        server.app_id, server.key, secret or server.secret, host="127.0.0.1", port=server.port, ssl=False
    )


async def call(server: PusherServer, what: str, *arguments: Any, secret: str = "") -> Any:
    """A call of the library, which blocks."""
    made = library(server, secret=secret)
    return await asyncio.to_thread(getattr(made, what), *arguments)


async def test_pusher_js_hears_and_is_heard_on_every_kind_of_channel(server: PusherServer) -> None:
    """Public, private and presence: members come and go, client events, and what a program publishes."""
    checked = asyncio.create_task(
        vendor.run("pusher_checks.mjs", "channels", str(server.port), server.key, server.secret)
    )
    names = ["open", "private-hidden", "presence-room"]
    while not checked.done():
        with suppress(PusherBadStatus):
            await call(server, "trigger", names, "news", {"n": 1})
        await asyncio.sleep(0.1)
    assert await checked == [{"n": 1}] * 3


async def test_pusher_js_is_told_of_a_wrong_signature_and_a_wrong_key(server: PusherServer) -> None:
    """With the status and the code that Pusher documents."""
    assert await vendor.run("pusher_checks.mjs", "wrong_signature", str(server.port), server.key) == 401
    assert await vendor.run("pusher_checks.mjs", "wrong_key", str(server.port), "nobodys-key") == 4001


async def test_the_library_publishes_and_asks(server: PusherServer) -> None:
    """One event, a batch, and which channels there are."""
    assert await call(server, "trigger", "open", "news", {"n": 1}) == {}
    assert await call(server, "trigger_batch", [{"channel": "open", "name": "news", "data": {"n": 1}}] * 10) == {}
    assert await call(server, "channels_info") == {"channels": {}}
    assert await call(server, "users_info", "presence-room") == {"users": []}


async def test_the_library_is_refused_as_by_pusher(server: PusherServer) -> None:
    """A wrong secret, too many in a batch, too much at once, too large."""
    with pytest.raises(PusherBadAuth):
        await call(server, "trigger", "open", "news", {}, secret="another")
    event = {"channel": "open", "name": "news", "data": {}}
    with pytest.raises(PusherBadRequest):
        await call(server, "trigger_batch", [event] * 11)
    server.refuse_rate(5)
    with pytest.raises(PusherBadStatus, match="429"):
        await call(server, "trigger", "open", "news", {})


async def test_data_beyond_10_kb_is_refused(server: PusherServer) -> None:
    """The library itself would let 20 kB pass."""
    with pytest.raises(PusherBadStatus, match="413"):
        await call(server, "trigger", "open", "news", json.dumps("x" * 10_300))
