"""Where the provider on Redis differs from others: leases, silence, refusals; on Valkey and on Redis."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import exceptions as redis_errors

from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.base import PresenceAction, PresenceChange, RealtimeProvider, WireMessage
from realtime_ui.providers.redis import RedisProvider
from realtime_ui.providers.redis_line import in_our_words
from tests import valkey
from tests.valkey import Valkey

CHANNEL = "00000000-0000-0000-0000-000000000001:project:abc123"
MESSAGE = WireMessage("id-1", "project.updated", {"n": 1}, 1_700_000_000_000, "ada")


@pytest.fixture(params=valkey.SERVERS)
def program(request: pytest.FixtureRequest) -> str:
    """Each server's program."""
    return valkey.SERVERS[request.param]


@pytest.fixture
def server(program: str) -> Iterator[Valkey]:
    """A running server."""
    with Valkey.running(program) as server:
        yield server


@pytest.fixture
async def ada(server: Valkey) -> AsyncIterator[RedisProvider]:
    """A connected client whose presence is believed in for 8 s."""
    provider = RedisProvider(server.url, lease_s=8)
    await provider.connect("ada")
    yield provider
    await provider.disconnect()


async def until(client: RealtimeProvider, status: ConnectionStatus, seconds: float = 60) -> None:
    """Wait for a status."""
    async with asyncio.timeout(seconds):
        while client.status is not status:
            await asyncio.sleep(0.02)


async def die(client: RedisProvider) -> None:
    """End a client as SIGKILL ends its process: nothing is said."""
    assert client._keeper is not None
    client._present.clear()
    await client.disconnect()


async def test_a_dead_clients_presence_ends_with_its_lease(ada: RedisProvider, server: Valkey) -> None:
    """The others are told, with what it said last; who lives stays for longer than a lease."""
    changes: list[tuple[PresenceAction, str, Json]] = []
    left = asyncio.Event()

    def hear(channel: str, change: PresenceChange) -> None:
        changes.append((change.action, change.member.client_id, change.member.data))
        if change.action is PresenceAction.LEAVE:
            left.set()

    await ada.presence_subscribe(CHANNEL, hear)
    await ada.presence_enter(CHANNEL, {"name": "Ada"})
    max_ = RedisProvider(server.url, lease_s=8)
    await max_.connect("max")
    await max_.presence_enter(CHANNEL, {"name": 'Max "M"', "list": []})
    await die(max_)
    async with asyncio.timeout(60):
        await left.wait()
    assert changes == [
        (PresenceAction.ENTER, "ada", {"name": "Ada"}),
        (PresenceAction.ENTER, "max", {"name": 'Max "M"', "list": []}),
        (PresenceAction.LEAVE, "max", {"name": 'Max "M"', "list": []}),
    ]
    await asyncio.sleep(9)
    assert [member.client_id for member in await ada.presence_get(CHANNEL)] == ["ada"]


async def test_nothing_of_a_crashed_house_stays_in_redis(server: Valkey) -> None:
    """Its keys end by themselves, with nobody left who looks."""
    last = RedisProvider(server.url, lease_s=2)
    await last.connect("ada")
    await last.presence_enter(CHANNEL, None)
    await die(last)
    with server.client() as redis:
        assert redis.keys()
        async with asyncio.timeout(60):
            while redis.keys():
                await asyncio.sleep(0.05)


async def test_presence_is_there_again_after_a_restart(ada: RedisProvider, server: Valkey) -> None:
    """Of a server that kept nothing."""
    await ada.presence_enter(CHANNEL, {"name": "Ada"})
    server.kill()
    await until(ada, ConnectionStatus.DISCONNECTED)
    server.start()
    await until(ada, ConnectionStatus.CONNECTED)
    assert [(each.client_id, each.data) for each in await ada.presence_get(CHANNEL)] == [("ada", {"name": "Ada"})]


async def test_a_frozen_server_is_noticed(ada: RedisProvider, server: Valkey) -> None:
    """Though its connections stay open; who waits for it is told, and it is found again."""
    lost = asyncio.Event()
    ada.on_loss(lost.set)
    server.freeze()
    with pytest.raises(ProviderUnavailable, match="silent"):
        await ada.publish(CHANNEL, MESSAGE)
    await until(ada, ConnectionStatus.DISCONNECTED)
    newcomer = RedisProvider(server.url)
    with pytest.raises(ProviderUnavailable, match="does not answer"):
        await newcomer.connect("max")
    await newcomer.disconnect()
    server.thaw()
    async with asyncio.timeout(60):
        await lost.wait()
    await ada.publish(CHANNEL, MESSAGE)


async def test_a_wrong_password_is_refused_without_being_told(program: str) -> None:
    """It is not tried again every moment, and neither password is in the text."""
    with Valkey.running(program, "--requirepass", "the right one", password="the right one") as server:
        wrong = RedisProvider(f"redis://:the-wrong-one@127.0.0.1:{server.port}")
        with pytest.raises(ProviderRefused, match="REDIS_URL") as caught:
            await wrong.connect("ada")
        assert not caught.value.retryable
        assert "wrong-one" not in str(caught.value)
        assert wrong.error is caught.value
        await wrong.disconnect()


async def test_what_a_users_rights_do_not_cover_is_refused(ada: RedisProvider, server: Valkey) -> None:
    """The connection stays; what is refused can be seen for as long as it is."""
    rights = ("~*", "+@all", "resetchannels", "&realtime-ui:wire:open:*")
    with server.client() as redis:
        redis.execute_command("ACL", "SETUSER", "app", "on", ">secret", *rights)
        limited = RedisProvider(f"redis://app:secret@127.0.0.1:{server.port}")
        await limited.connect("max")
        await limited.subscribe("open:1", lambda channel, message: None)
        for refused in (limited.subscribe(CHANNEL, lambda channel, message: None), limited.publish(CHANNEL, MESSAGE)):
            with pytest.raises(ProviderRefused):
                await refused
            assert limited.is_connected
            assert isinstance(limited.error, ProviderRefused)
        redis.execute_command("ACL", "SETUSER", "app", "allchannels")
        await limited.subscribe(CHANNEL, lambda channel, message: None)
        await limited.publish(CHANNEL, MESSAGE)
        assert limited.error is None
        redis.execute_command("ACL", "DELUSER", "app")
    await until(limited, ConnectionStatus.DISCONNECTED)
    async with asyncio.timeout(60):
        while not isinstance(limited.error, ProviderRefused):
            await asyncio.sleep(0.02)
    await limited.disconnect()


async def test_a_full_or_read_only_server_is_unavailable(ada: RedisProvider, server: Valkey) -> None:
    """Presence waits for better times; messages, of which Redis keeps nothing, go on."""
    with server.client() as redis:
        redis.config_set("maxmemory", 1)
        with pytest.raises(ProviderUnavailable, match="OutOfMemory"):
            await ada.presence_enter(CHANNEL, None)
        redis.config_set("maxmemory", 0)
        redis.replicaof("127.0.0.1", 1)
        with pytest.raises(ProviderUnavailable, match="ReadOnly"):
            await ada.presence_enter(CHANNEL, None)
        await ada.publish(CHANNEL, MESSAGE)


async def test_many_publishers_do_not_wait_for_one_another(ada: RedisProvider, server: Valkey) -> None:
    """What is asked in the same moment is under way together, and each channel keeps its order."""
    heard: dict[str, list[str]] = {}
    done = asyncio.Event()

    def hear(channel: str, message: WireMessage) -> None:
        heard.setdefault(channel, []).append(message.id)
        if sum(map(len, heard.values())) == 1000:
            done.set()

    channels = [f"{CHANNEL}{number}" for number in range(50)]
    for channel in channels:
        await ada.subscribe(channel, hear)
    messages = [WireMessage(str(n), "x", "y" * 2000, 0, "ada") for n in range(20)]
    await asyncio.gather(*(ada.publish(channel, *messages) for channel in channels))
    async with asyncio.timeout(60):
        await done.wait()
    assert all(heard[channel] == [str(n) for n in range(20)] for channel in channels)


async def test_a_cancelled_publish_harms_no_other(ada: RedisProvider, server: Valkey) -> None:
    """Its answer comes all the same, and goes to nobody."""
    server.freeze()
    given_up = asyncio.create_task(ada.publish(CHANNEL, MESSAGE))
    await asyncio.sleep(0.05)
    stays = asyncio.create_task(ada.publish(CHANNEL, MESSAGE))
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    server.thaw()
    await stays
    assert ada.is_connected


async def test_what_is_none_of_ours_on_a_channel_is_passed_over(
    ada: RedisProvider, server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """And the next message arrives."""
    heard: asyncio.Queue[WireMessage] = asyncio.Queue()
    await ada.subscribe(CHANNEL, lambda channel, message: heard.put_nowait(message))
    with server.client() as redis:
        for junk in (b"\xff\xfe", b"[]", b"{}", b'"text"', b'{"id": 1}'):
            redis.publish(f"realtime-ui:wire:{CHANNEL}", junk)
    await ada.publish(CHANNEL, MESSAGE)
    async with asyncio.timeout(60):
        assert (await heard.get()).id == MESSAGE.id
    assert caplog.text.count("none of ours") == 5


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://localhost", "redis://:pass word@host:port", "redis://h?colour=red"]
)
def test_a_malformed_address_is_refused_in_one_sentence(url: str) -> None:
    """Which names the variable and gives no password away."""
    with pytest.raises(ValueError, match="REDIS_URL") as caught:
        RedisProvider(url)
    assert "pass word" not in str(caught.value)


def test_an_address_may_have_the_options_of_reflexs_pool() -> None:
    """Reflex reads the same address."""
    RedisProvider("redis://localhost:6379/1?max_connections=10")


REFUSED = {
    redis_errors.AuthenticationError,
    redis_errors.AuthenticationWrongNumberOfArgsError,
    redis_errors.AuthorizationError,
    redis_errors.NoPermissionError,
    redis_errors.MovedError,
    redis_errors.ClusterCrossSlotError,
    ssl.SSLCertVerificationError,
}
ALL_ERRORS = [
    kind
    for kind in vars(redis_errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == redis_errors.__name__
]


@pytest.mark.parametrize(
    "kind", [*ALL_ERRORS, OSError, ConnectionResetError, TimeoutError, ssl.SSLCertVerificationError]
)
def test_every_error_there_is_becomes_one_of_ours(kind: type[Exception]) -> None:
    """Refused is what somebody has to change; all else may pass by itself. The cause is kept and named."""
    cause = kind.__new__(kind)
    error = in_our_words(cause)
    assert error.__cause__ is cause
    assert kind.__name__ in error.detail
    wanted = ProviderRefused if kind in REFUSED else ProviderUnavailable
    assert (type(error), error.retryable) == (wanted, wanted is ProviderUnavailable)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for localhost, with its key in the same file."""
    file = tmp_path / "localhost.pem"
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl is installed here to make a certificate with")
    done = ["openssl", *what, *names, "-keyout", str(file), "-out", str(tmp_path / "crt.pem")]
    subprocess.run(done, check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "crt.pem").read_text())
    return file


async def test_tls_needs_a_certificate_that_is_trusted(server: Valkey, certificate: Path) -> None:
    """`rediss://` with one that nobody vouches for is refused; with its authority named in the address it works."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        pumps.update({asyncio.create_task(pump(reader, inner_writer)), asyncio.create_task(pump(inner_reader, writer))})

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as front:
        url = f"rediss://localhost:{front.sockets[0].getsockname()[1]}"
        stranger = RedisProvider(url)
        with pytest.raises(ProviderRefused, match="certificate"):
            await stranger.connect("max")
        await stranger.disconnect()
        friend = RedisProvider(f"{url}?ssl_ca_certs={certificate}")
        await friend.connect("max")
        await friend.publish(CHANNEL, MESSAGE)
        await friend.disconnect()
        await asyncio.gather(*pumps)
