"""The Pusher provider and a Pusher that goes wrong."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import websockets.exceptions
from websockets.datastructures import Headers
from websockets.frames import Close
from websockets.http11 import Response

from realtime_ui.core.clock import SystemClock
from realtime_ui.core.errors import (
    InvalidRequest,
    NotAllowed,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    RealtimeError,
    TooLarge,
)
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers import pusher, pusher_api, pusher_line
from realtime_ui.providers.base import Grant, WireMessage
from realtime_ui.providers.pusher import PusherProvider
from realtime_ui.providers.pusher_api import PusherApi
from realtime_ui.providers.pusher_errors import from_code, from_exception, from_status
from realtime_ui.providers.pusher_names import to_pusher
from tests.app import free_port
from tests.conformance.test_provider import Heard, message
from tests.conformance.wires.pusher import provider_of
from tests.doubles.pusher import PusherServer
from tests.doubles.pusher.channels import Socket
from tests.waiting import until

CHANNEL = "t:project:x"


@pytest.fixture
async def server() -> AsyncIterator[PusherServer]:
    """A server of the test's own."""
    async with PusherServer() as server:
        yield server


@pytest.fixture
async def provider(server: PusherServer) -> AsyncIterator[PusherProvider]:
    """A connected provider."""
    provider = provider_of(server)
    await provider.connect("worker")
    yield provider
    await provider.disconnect()


@pytest.mark.parametrize(("key", "secret"), [("nobodys", ""), ("", "another")])
async def test_a_wrong_key_or_secret_is_refused_at_once(server: PusherServer, key: str, secret: str) -> None:
    """The error names what to check, and holds neither."""
    provider = provider_of(server, key=key, secret=secret)
    with pytest.raises(ProviderRefused, match="refuses") as caught:
        await provider.connect("worker")
    assert "PUSHER_KEY" in (caught.value.remedy or "")
    assert provider.status is ConnectionStatus.FAILED
    assert not any(value in str(caught.value) for value in ("another", server.secret))
    await provider.disconnect()


async def test_a_secret_that_is_changed_refuses_and_is_tried_again(
    server: PusherServer, provider: PusherProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seldom; once it is right again all is as before."""
    monkeypatch.setattr(pusher, "REFUSED_S", 0.2)
    heard, secret = Heard(), server.secret
    await provider.subscribe(CHANNEL, heard)
    await server.change_secret("rotated")
    await until(lambda: provider.status is ConnectionStatus.FAILED)
    assert isinstance(provider.error, ProviderRefused)
    await server.change_secret(secret)
    await until(lambda: provider.is_connected and provider.error is None)
    await provider.publish(CHANNEL, message(1))
    assert await heard.ids(1) == ["id-1"]


async def test_a_line_that_falls_silent_is_given_up(
    server: PusherServer, provider: PusherProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked, does not answer, and another one is opened; what may be lost is told once all is heard again."""
    monkeypatch.setattr(pusher_line, "SILENCE_S", 0.2)
    monkeypatch.setattr(pusher_line, "ANSWER_S", 0.2)
    heard, losses = Heard(), list[int]()
    await provider.subscribe(CHANNEL, heard)
    provider.on_loss(lambda: losses.append(1))
    await server.drop_connections()  # so that the new line has the short patience
    await until(lambda: losses == [1])
    server.be_stuck(True)
    await until(lambda: not provider.is_connected)
    assert provider.error is not None
    assert provider.error.retryable
    server.be_stuck(False)
    await until(lambda: losses == [1, 1])
    await provider.publish(CHANNEL, message(1))
    assert await heard.ids(1) == ["id-1"]


async def test_a_frame_that_cannot_be_read_is_passed_over(
    server: PusherServer, provider: PusherProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """And the next one is heard."""
    heard = Heard()
    await provider.subscribe(CHANNEL, heard)
    for text in ("no json", "[]", "7", "{}", '{"event": 7}', '{"event": "pusher:error", "data": "no json"}'):
        server.say(to_pusher(CHANNEL), text)
    await provider.publish(CHANNEL, message(1))
    assert await heard.ids(1) == ["id-1"]
    assert provider.is_connected
    assert "cannot be read" in caplog.text


DEEP = "[" * 4_000 + "]" * 4_000
ENDLESS = '{"_realtime": {"id": "x", "timestamp": 1e999, "client_id": "", "headers": {}}}'


@pytest.mark.parametrize("data", [DEEP, json.dumps(DEEP), json.dumps(ENDLESS)], ids=["deep", "deep text", "endless"])
async def test_no_client_event_ends_the_connection(server: PusherServer, provider: PusherProvider, data: str) -> None:
    """Whoever may hear a channel may send on it, and each worker hears it: one must not throw all of them out."""
    heard, statuses = Heard(), list[ConnectionStatus]()
    await provider.subscribe(CHANNEL, heard)
    provider.on_status(statuses.append)
    server.say(to_pusher(CHANNEL), f'{{"event": "client-a.b", "channel": "{to_pusher(CHANNEL)}", "data": {data}}}')
    await provider.publish(CHANNEL, message(1))
    await until(lambda: any(got.id == "id-1" for _, got in heard.messages))
    assert statuses == []


async def test_a_wrong_signature_is_refused_in_pushers_own_words(
    server: PusherServer, provider: PusherProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pusher itself answers with an error that has no code and names the channel in its text alone."""

    def answer(socket: Socket, data: dict[str, str]) -> None:
        text = f"Invalid signature: Expected HMAC SHA256 hex digest of {socket.id}:{data['channel']}, but got 0f0f"
        socket.event("pusher:error", {"code": None, "message": text})

    with monkeypatch.context() as patch:
        patch.setattr(server, "_subscribe", answer)
        with pytest.raises(ProviderRefused, match=CHANNEL) as caught:
            await provider.subscribe(CHANNEL, Heard())
        assert "0f0f" not in str(caught.value)
    assert provider.is_connected
    await provider.subscribe(CHANNEL, Heard())
    assert provider.error is None


async def test_a_channel_that_is_not_answered_for_gets_another_line(
    server: PusherServer, provider: PusherProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it was heard before: nobody else would ask for it again."""
    heard, subscribe, unanswered = Heard(), server._subscribe, list[str]()
    await provider.subscribe(CHANNEL, heard)
    monkeypatch.setattr(pusher_line, "SILENCE_S", 0.2)
    monkeypatch.setattr(pusher_line, "PATIENCE_S", 0.4)

    def once_deaf(socket: Socket, data: dict[str, str]) -> None:
        if not unanswered:
            unanswered.append(data["channel"])
        else:
            subscribe(socket, data)

    monkeypatch.setattr(server, "_subscribe", once_deaf)
    losses = list[int]()
    provider.on_loss(lambda: losses.append(1))
    await server.drop_connections()
    await until(lambda: losses == [1])
    assert unanswered == [to_pusher(CHANNEL)]
    await provider.publish(CHANNEL, message(1))
    assert await heard.ids(1) == ["id-1"]


async def test_what_could_not_be_subscribed_is_not_tried_again(server: PusherServer, provider: PusherProvider) -> None:
    """The caller was told, and asks again or does not."""
    heard = Heard()
    await server.drop_connections()
    with pytest.raises(ProviderUnavailable):
        await provider.subscribe(CHANNEL, heard)  # into a line that is about to be found broken, or was
    await until(lambda: provider.is_connected)
    await provider.subscribe("t:project:other", heard)  # asked for after all that would be asked for again
    assert server.channels.names() == [to_pusher("t:project:other")]


async def test_the_rest_is_told_lost_when_a_channel_is_let_go_of_meanwhile(
    server: PusherServer, provider: PusherProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one whose answer was still awaited."""
    subscribe, losses = server._subscribe, list[int]()
    for channel in (CHANNEL, "t:project:slow"):
        await provider.subscribe(channel, Heard())
    provider.on_loss(lambda: losses.append(1))

    def without_slow(socket: Socket, data: dict[str, str]) -> None:
        if "slow" not in data["channel"]:
            subscribe(socket, data)

    monkeypatch.setattr(server, "_subscribe", without_slow)
    await server.drop_connections()
    await until(lambda: server.channels.names() == [to_pusher(CHANNEL)] and provider.is_connected)
    assert losses == []
    await provider.unsubscribe("t:project:slow")
    await until(lambda: losses != [])  # the other one's answer may still be on its way
    assert losses == [1]


class Asleep(SystemClock):
    """A clock that remembers who sleeps how long, and lets nobody wake."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Sleep for good."""
        self.pauses.append(seconds)
        await asyncio.Event().wait()


@pytest.mark.parametrize(("code", "least", "most"), [(4100, 1.0, 2.0), (4200, 0.0, 0.9), (4001, 15.0, 30.0)])
async def test_it_comes_back_when_pusher_says(server: PusherServer, code: int, least: float, most: float) -> None:
    """By the family of the code: later, at once, or seldom."""
    server.fail(code)
    clock = Asleep()
    provider = provider_of(server, clock=clock)
    with pytest.raises((ProviderRefused, ProviderUnavailable)):
        await provider.connect("worker")
    await until(lambda: bool(clock.pauses))
    assert least <= clock.pauses[0] <= most
    await provider.disconnect()


async def test_a_call_that_trickles_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a piece of the answer comes."""
    ended = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not reader.at_eof():
                writer.write(b"x: y\r\n")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1_000), 0.02)
        ended.set()

    monkeypatch.setattr(pusher_api, "ANSWER_S", 0.3)
    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as slow:
        api = PusherApi(f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}", "1", "key", "secret")
        api.open()
        with pytest.raises(ProviderUnavailable, match="in time"):
            async with asyncio.timeout(60):
                await api.call("GET", "/channels", {})
        await api.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_the_services_refusals_are_ours(server: PusherServer, provider: PusherProvider) -> None:
    """Too fast, too large, over capacity; each is gone from `error` with the next that gets through."""
    server.refuse_rate()
    with pytest.raises(RateLimited) as caught:
        await provider.publish(CHANNEL, message(1))
    assert caught.value.retry_after_s > 0
    assert isinstance(provider.error, RateLimited)
    server.refuse_rate(False)
    await provider.publish(CHANNEL, message(2))
    assert provider.error is None
    with pytest.raises(TooLarge):
        await provider.publish(CHANNEL, message(3, {"text": "x" * 10_000}))
    server.refuse()
    with pytest.raises(ProviderUnavailable):
        await provider.publish(CHANNEL, message(4))


async def test_it_sends_no_faster_than_it_may(server: PusherServer) -> None:
    """A burst of ten, then at the rate; none is refused, all come in order."""
    provider, heard = provider_of(server, rate=100), Heard()
    await provider.connect("worker")
    await provider.subscribe(CHANNEL, heard)
    begun = asyncio.get_running_loop().time()
    await provider.publish(CHANNEL, *map(message, range(60)))
    assert asyncio.get_running_loop().time() - begun >= 0.49
    assert await heard.ids(60) == [f"id-{number}" for number in range(60)]
    await provider.disconnect()


async def test_a_grant_is_for_one_socket_and_what_may_be_heard(provider: PusherProvider) -> None:
    """As Pusher signs it; anything else is refused with the field that is wrong."""
    grant = Grant("t:person", (f"{CHANNEL}", "t:open:*"), (), 60)

    def ask(name: str, socket_id: str = "1.2") -> dict[str, str]:
        return {"socket_id": socket_id, "channel_name": name}

    signed = await provider.grant(grant, ask(to_pusher(CHANNEL)))
    assert signed["auth"].startswith("pusher-key:")
    present = await provider.grant(grant, ask(to_pusher("t:open:y", "presence-")))
    assert present["channel_data"] == '{"user_id": "t:person"}'
    for name in ("t:project:other", "t:project:xy", "other:project:x"):
        with pytest.raises(NotAllowed):
            await provider.grant(grant, ask(to_pusher(name)))
    for asked, field in (
        (ask(to_pusher(CHANNEL), "1"), "socket_id"),
        (ask(to_pusher(CHANNEL), "1.2:private-other"), "socket_id"),
        (ask("open"), "channel_name"),
        ({}, "socket_id"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await provider.grant(grant, asked)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, ProviderRefused) for code in (4000, 4001, 4003, 4004, 4005, 4006, 4007, 4008, 4009)),
        *((code, ProviderUnavailable) for code in (4100, 4200, 4201, 4202, 1000, 1006, 1011, None)),
        (4301, RateLimited),
    ],
)
def test_every_code_of_the_socket_is_one_of_our_errors(code: int | None, kind: type[RealtimeError]) -> None:
    """By the families that Pusher documents."""
    assert type(from_code(code, "words")) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, ProviderRefused) for status in (400, 401, 402, 403, 404)),
        *((status, ProviderUnavailable) for status in (301, 408, 500, 502, 503, 504)),
        (413, TooLarge),
        (429, RateLimited),
    ],
)
def test_every_status_of_the_api_is_one_of_our_errors(status: int, kind: type[RealtimeError]) -> None:
    """Only those that another try can mend are retryable."""
    error = from_status(status, "words")
    assert type(error) is kind
    assert error.retryable is (kind in (ProviderUnavailable, RateLimited))


def _subclasses(kind: type[Exception]) -> set[type[Exception]]:
    children = set(kind.__subclasses__())
    return children.union(*map(_subclasses, children))


def _make(kind: type[Exception]) -> Exception | None:
    close = Close(1006, "broke")
    answer = Response(503, "away", Headers(), b"away")
    choices: tuple[tuple[object, ...], ...] = ((), ("x",), ("x", "y"), (close, None), (answer,), (close, close, True))
    for arguments in choices:
        try:
            made = kind(*arguments)
            str(made)
        except Exception:  # noqa: S112 -- it takes other arguments
            continue
        return made if isinstance(made, Exception) else None
    return None


def test_every_exception_of_the_libraries_is_one_of_our_errors() -> None:
    """Whatever httpx, websockets and the network can raise."""
    kinds = {
        *_subclasses(websockets.exceptions.WebSocketException),
        *_subclasses(httpx.HTTPError),
        *_subclasses(OSError),
        RuntimeError,
    }
    made = [error for kind in kinds if (error := _make(kind)) is not None]
    assert len(made) > 30
    for error in made:
        found = from_exception(error)
        assert (type(found), found.retryable) == (ProviderUnavailable, True), error
    closed = websockets.exceptions.ConnectionClosedError(Close(4001, "no app"), None)
    answered = websockets.exceptions.InvalidStatus(Response(403, "no", Headers(), b"no"))
    for error in (closed, answered):
        assert type(from_exception(error)) is ProviderRefused


async def test_the_cause_of_an_error_is_kept() -> None:
    """The network's own, where nobody listens."""
    provider = PusherProvider("1000", "k", "s", host=f"127.0.0.1:{free_port()}", tls=False, rate=100)
    with pytest.raises(ProviderUnavailable) as caught:
        await provider.connect("ada")
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    await provider.disconnect()


async def test_what_a_page_sends_is_heard_without_our_signature(server: PusherServer, provider: PusherProvider) -> None:
    """From another program of the same app, too."""
    heard = Heard()
    await provider.subscribe(CHANNEL, heard)
    server.channels.tell(to_pusher(CHANNEL), "client-project.noted", {"n": 1})
    await heard.ids(1)
    got: WireMessage = heard.messages[0][1]
    assert (got.name, got.data, dict(got.headers)) == ("project.noted", {"n": 1}, {})
