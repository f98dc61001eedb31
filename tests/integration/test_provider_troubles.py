"""What a provider refuses, as an admin finds it: in one line of the log, and on `/health`."""

import asyncio
import logging

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.principals import Scope
from realtime_ui.hub.watched import Frame
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.doubles.ably import AblyServer, channel
from tests.doubles.pusher import PusherServer
from tests.integration.test_api import make_key
from tests.integration.test_token import Stage, on_ably, on_pusher, served
from tests.valkey import SERVERS, Valkey
from tests.waiting import until

__all__ = ["on_ably", "on_pusher"]  # fixtures

CHANNEL = ChannelName.parse("project:x")


def unseen(frame: Frame) -> None:
    """Nobody looks."""


async def trouble(runtime: Runtime, words: str, caplog: pytest.LogCaptureFixture) -> str:
    """The trouble that the admins are shown, once it holds some words; it stands in the log once."""

    def shown() -> str:
        told = runtime.report.state()["provider_trouble"]
        return told["text"] if told else ""

    await until(lambda: words in shown())
    text = shown()
    await asyncio.sleep(1.5)  # in which it is not said again
    assert [record.getMessage() for record in caplog.records if text in record.getMessage()] == [
        f"The provider {runtime.provider.name}: {text}"
    ]
    return text


async def emit(stage: Stage, count: int = 1, **more: str) -> None:
    """Emit events on a channel of a tenant."""
    _, person = await stage.cookie()
    await stage.runtime.hub.attach((person.tenant, CHANNEL), unseen)
    for _ in range(count):
        await stage.runtime.bus.emit("project.updated", {"projectId": "x", **more}, person.tenant)


async def test_ably_revoked_right(on_ably: tuple[Stage, AblyServer], caplog: pytest.LogCaptureFixture) -> None:
    """A channel that the key may no longer use is named; the connection itself is well."""
    stage, server = on_ably
    caplog.set_level(logging.INFO)
    server.restrict({"other:*": ["*"]})
    await emit(stage)
    text = await trouble(stage.runtime, "40160", caplog)
    assert server.key not in text
    assert stage.runtime.provider.is_connected


async def test_ably_rate(on_ably: tuple[Stage, AblyServer], caplog: pytest.LogCaptureFixture) -> None:
    """What goes too fast is told, and tried again until it is through."""
    stage, server = on_ably
    caplog.set_level(logging.INFO)
    server.refuse_rate()
    await emit(stage, 3)
    await trouble(stage.runtime, "429", caplog)
    server.refuse_rate(False)
    await until(lambda: stage.runtime.provider.error is None)


async def test_ably_expired_token(on_ably: tuple[Stage, AblyServer], caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and another one is fetched by itself."""
    stage, server = on_ably
    caplog.set_level(logging.INFO)
    await emit(stage)
    before = len(server.access.tokens)
    server.expire_tokens()
    await trouble(stage.runtime, "40142", caplog)
    await emit(stage, 3)
    await until(lambda: stage.runtime.provider.is_connected and not stage.runtime.report.state()["provider_error"])
    assert len(server.access.tokens) > before


async def test_ably_revoked_key(on_ably: tuple[Stage, AblyServer], caplog: pytest.LogCaptureFixture) -> None:
    """The setting to check is named, and not shown; the house is degraded."""
    stage, server = on_ably
    caplog.set_level(logging.INFO)
    await emit(stage)
    server.access.keys.clear()
    server.expire_tokens()
    text = await trouble(stage.runtime, "ABLY_API_KEY", caplog)
    assert "40400" in text
    assert server.key not in text
    assert stage.runtime.health.snapshot().degraded == ("provider",)


async def test_ably_too_large(
    on_ably: tuple[Stage, AblyServer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an account that takes less than others, once, however many are: hubs read them from the log."""
    stage, _ = on_ably
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(channel, "MAX_MESSAGE_BYTES", 1_000)
    await emit(stage, 3, note="n" * 2_000)
    await trouble(stage.runtime, "40009", caplog)
    assert "Not sent on" not in caplog.text
    assert stage.runtime.provider.is_connected


async def test_redis_changed_password(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The setting to check is named, and not shown; the house is degraded."""
    caplog.set_level(logging.INFO)
    with Valkey.running(SERVERS["valkey"], "--requirepass", "right", password="right") as server:
        async with served(settings, realtime_provider="redis", redis_url=server.url) as stage:
            await emit(stage)
            with server.client() as client:
                client.config_set("requirepass", "another")
                for kind in ("pubsub", "normal"):
                    client.client_kill_filter(_type=kind, skipme=kind == "normal")
            text = await trouble(stage.runtime, "REDIS_URL", caplog)
            assert "right@" not in text
            assert stage.runtime.health.snapshot().degraded == ("provider",)


async def test_pusher_rotated_secret(on_pusher: tuple[Stage, PusherServer], caplog: pytest.LogCaptureFixture) -> None:
    """The settings to check are named, and none of them is shown; the house is degraded."""
    stage, server = on_pusher
    caplog.set_level(logging.INFO)
    secret = server.secret
    await emit(stage)
    await server.change_secret("rotated")
    text = await trouble(stage.runtime, "PUSHER_SECRET", caplog)
    assert secret not in text
    assert stage.runtime.health.snapshot().degraded == ("provider",)
    headers = await make_key(stage.runtime, Scope.METRICS)
    assert "\nrealtime_provider_up 0.0" in (await stage.http.get("/api/metrics", headers=headers)).text


async def test_pusher_rate(on_pusher: tuple[Stage, PusherServer], caplog: pytest.LogCaptureFixture) -> None:
    """What goes too fast is told, and tried again until it is through."""
    stage, server = on_pusher
    caplog.set_level(logging.INFO)
    server.refuse_rate()
    await emit(stage, 3)
    await trouble(stage.runtime, "429", caplog)
    server.refuse_rate(False)
    await until(lambda: stage.runtime.provider.error is None)
