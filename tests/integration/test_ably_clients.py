"""The app beside Ably's own JavaScript client, and over TLS."""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from realtime_ui.core.errors import ProviderRefused
from realtime_ui.providers.ably import AblyProvider
from realtime_ui.providers.base import Grant, PresenceAction, WireMessage
from tests import vendor
from tests.doubles.ably import AblyServer, Limits
from tests.integration.test_ably import Heard, connected, message
from tests.waiting import until

CHANNEL = "t:project:shared"


@pytest.mark.parametrize("binary", ["true", "false"], ids=["msgpack", "json"])
async def test_python_and_javascript_hear_each_other(binary: str) -> None:
    """Payload, id, headers and presence; our time stays ours, and theirs is Ably's."""
    async with AblyServer() as server, connected(server) as provider:
        heard, changes = Heard(), []
        await provider.subscribe(CHANNEL, heard)
        await provider.presence_subscribe(
            CHANNEL,
            lambda channel, change: changes.append((change.action, change.member.client_id, change.member.data)),
        )
        await provider.presence_enter(CHANNEL, {"from": "python"})
        there = asyncio.create_task(
            vendor.run("ably_checks.mjs", "crosstalk", str(server.port), server.key, binary, CHANNEL)
        )
        await until(lambda: (PresenceAction.ENTER, "js", {"from": "js"}) in changes)
        sent = WireMessage("ping-1", "ping", {"text": "äöü", "list": [1, None]}, 1_700_000_000_000, "", {"seq": "7"})
        await provider.publish(CHANNEL, sent)
        await until(lambda: len(heard) == 3)
        own, pong, binary_one = heard
        assert (own.id, own.data, own.timestamp, own.headers) == (sent.id, sent.data, sent.timestamp, sent.headers)
        assert (pong.id, pong.name, pong.client_id) == ("pong-1", "pong", "js")
        assert pong.data["id"] == "ping-1"
        assert pong.data["data"] == sent.data
        assert pong.data["clientId"] == "worker"
        assert pong.data["headers"]["seq"] == "7"
        assert pong.timestamp > sent.timestamp
        assert (binary_one.name, binary_one.data) == ("bytes", "AP8=")
        await provider.publish(CHANNEL, WireMessage("end-1", "end", None, 0, "", {}))
        assert await there == [["present", "worker", {"from": "python"}]]
        await until(lambda: changes[-1] == (PresenceAction.LEAVE, "js", {"from": "js"}))


@asynccontextmanager
async def signing(provider: AblyProvider, grant: Grant) -> AsyncIterator[tuple[str, list[None]]]:
    """An address that gives what the provider signs, as the app's own will; and how often it was asked."""
    asked = list[None]()

    async def sign(request: web.Request) -> web.Response:
        asked.append(None)
        return web.json_response(await provider.grant(grant, dict(request.query)))

    app = web.Application()
    app.add_routes([web.get("/auth", sign)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/auth", asked
    finally:
        await runner.cleanup()


async def test_a_foreign_client_may_do_what_was_granted_and_nothing_else() -> None:
    """Read here, publish there, nothing elsewhere; its tokens are renewed before they end."""
    grant = Grant("person-1", ("t:project:mine", "t:open:*"), ("t:open:*",), 2)
    async with AblyServer(limits=Limits(auth_lead_s=0.5)) as server, connected(server) as provider:
        heard = Heard()
        await provider.subscribe("t:open:any", heard)
        async with signing(provider, grant) as (address, asked):
            there = asyncio.create_task(
                vendor.run("ably_checks.mjs", "granted", str(server.port), server.key, "true", address)
            )
            await until(lambda: len(asked) > 1 or there.done())
            while not there.done():
                await provider.publish("t:project:mine", WireMessage(f"id-{time.time_ns()}", "after", {}, 0, "", {}))
                await asyncio.sleep(0.05)
            assert await there == {"clientId": "person-1"}
        assert [(each.name, each.client_id) for each in heard] == [("may", "person-1")]


async def test_over_tls_the_key_itself_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is with Ably itself: no token on the way, neither in realtime nor in REST; a wrong key is refused."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    making = await asyncio.create_subprocess_exec(
        *command.split(), "-keyout", key, "-out", certificate, stderr=asyncio.subprocess.DEVNULL
    )
    assert await making.wait() == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with AblyServer(tls=context) as server:
        endpoint = f"localhost:{server.port}/"
        async with connected(server, endpoint=endpoint, tls=True) as provider:
            heard = Heard()
            await provider.subscribe(CHANNEL, heard)
            await provider.publish(CHANNEL, message(1))
            await provider.presence_enter(CHANNEL, {"here": True})
            assert [each.client_id for each in await provider.presence_get(CHANNEL)] == ["worker"]
            server.drop_connections()
            server.forget()
            server.channel(CHANNEL).publish([{"name": "theirs"}], "f", "")
            await until(lambda: "f:0" in heard.ids)
            assert server.access.tokens == {}
        wrong = AblyProvider("app.key:wrong", endpoint=endpoint)
        with pytest.raises(ProviderRefused, match="40101"):
            await wrong.connect("worker")
        await wrong.disconnect()


async def test_the_server_runs_as_a_process_and_is_disturbed_over_http() -> None:
    """For tests whose app is a process too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.doubles.ably", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        words = (await process.stdout.readline()).decode().split()
        port = int(words[2].strip(","))
        provider = AblyProvider(words[-1], endpoint=f"127.0.0.1:{port}/", tls=False)
        await provider.connect("worker")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            (await http.post("/control/outage", content=json.dumps({"seconds": 0.5}))).raise_for_status()
            await until(lambda: not provider.is_connected)
            await until(lambda: provider.is_connected)
            assert (await http.get("/control/state")).json()["connections"] == 1
            assert (await http.post("/control/no_such_fault")).status_code == 404
        await provider.disconnect()
    finally:
        process.terminate()
        assert await process.wait() == 0
