"""The Pusher server, checked with Pusher's own clients: pusher-js for sockets, the Python library for HTTP."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pusher
import pytest
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus
from websockets.asyncio.client import ClientConnection, connect

from tests import vendor
from tests.doubles.pusher import PusherServer
from tests.doubles.pusher.channels import sign


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
    server.refuse_rate()
    with pytest.raises(PusherBadStatus, match="429"):
        await call(server, "trigger", "open", "news", {})


@dataclass
class Raw:
    """A socket without a client, for what a well-behaved one never does."""

    socket: ClientConnection
    id: str

    async def say(self, event: str, **more: Any) -> None:
        """Send a frame."""
        await self.socket.send(json.dumps({"event": event, **more}))

    async def hear(self) -> tuple[str, Any]:
        """The next frame: its event and its data."""
        async with asyncio.timeout(60):
            frame = json.loads(await self.socket.recv())
        return frame["event"], json.loads(frame["data"]) if isinstance(frame["data"], str) else frame["data"]

    async def join(self, server: PusherServer, channel: str) -> None:
        """Subscribe to a channel."""
        auth = f"{server.key}:{sign(server.secret, f'{self.id}:{channel}')}"
        await self.say("pusher:subscribe", data={"channel": channel, "auth": auth})
        assert (await self.hear())[0] == "pusher_internal:subscription_succeeded"


@asynccontextmanager
async def raw(server: PusherServer) -> AsyncIterator[Raw]:
    """A connected one."""
    async with connect(f"ws://127.0.0.1:{server.port}/app/{server.key}?protocol=7") as socket:
        told = json.loads(json.loads(await socket.recv())["data"])
        assert told["activity_timeout"] == 120
        yield Raw(socket, told["socket_id"])


async def test_client_events_reach_the_others_ten_a_second(server: PusherServer) -> None:
    """Not who sent them; the eleventh is refused with 4301, and one on a public channel without a code."""
    async with raw(server) as ada, raw(server) as max_:
        for each in (ada, max_):
            await each.join(server, "private-room")
            await each.join(server, "open")
        for number in range(11):
            await ada.say("client-typing", channel="private-room", data={"n": number})
        assert [await max_.hear() for _ in range(10)] == [("client-typing", {"n": number}) for number in range(10)]
        event, data = await ada.hear()
        assert (event, data["code"]) == ("pusher:error", 4301)
        await max_.say("client-typing", channel="open", data={})
        event, data = await max_.hear()
        assert (event, data["code"]) == ("pusher:error", None)
        await ada.say("pusher:ping", data={})
        assert (await ada.hear())[0] == "pusher:pong"  # and nothing of its own before


async def test_a_program_can_leave_one_socket_out(server: PusherServer) -> None:
    """The one of the page that it works for."""
    async with raw(server) as ada, raw(server) as max_:
        for each in (ada, max_):
            await each.join(server, "private-room")
        await call(server, "trigger", "private-room", "first", {}, ada.id)
        await call(server, "trigger", "private-room", "second", {})
        assert (await ada.hear())[0] == "second"
        assert (await max_.hear())[0] == "first"


@pytest.mark.parametrize("wrong", ["auth_key", "auth_signature", "auth_timestamp", "body_md5"])
async def test_a_call_that_is_not_signed_right_is_refused(server: PusherServer, wrong: str) -> None:
    """In whichever part."""
    body = b'{"name": "news", "channel": "open", "data": "{}"}'
    signed = {
        "auth_key": server.key,
        "auth_timestamp": str(round(time.time()) - (601 if wrong == "auth_timestamp" else 0)),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(b"other" if wrong == "body_md5" else body).hexdigest(),  # noqa: S324
    }
    if wrong == "auth_key":
        signed["auth_key"] = "nobodys"
    path = f"/apps/{server.app_id}/events"
    text = "&".join(f"{name}={value}" for name, value in sorted(signed.items()))
    signature = sign("another" if wrong == "auth_signature" else server.secret, f"POST\n{path}\n{text}")
    async with httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{server.port}{path}"
        answer = await http.post(url, params={**signed, "auth_signature": signature}, content=body)
    assert answer.status_code == 401


async def test_data_beyond_10_kb_is_refused(server: PusherServer) -> None:
    """The library itself would let 20 kB pass."""
    with pytest.raises(PusherBadStatus, match="413"):
        await call(server, "trigger", "open", "news", json.dumps("x" * 10_300))
