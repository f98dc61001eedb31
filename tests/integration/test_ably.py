"""The Ably provider when Ably is at its limits, slow, lossy, or of another mind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from ably.transport.defaults import Defaults
from ably.types.connectionstate import ConnectionState

from realtime_ui.core.errors import InvalidRequest, ProviderRefused, ProviderUnavailable, RateLimited
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers import ably_shards
from realtime_ui.providers.ably import AblyProvider
from realtime_ui.providers.ably_account import Timings
from realtime_ui.providers.base import Grant, PresenceAction, PresenceChange, WireMessage
from tests.doubles.ably import AblyServer, Limits
from tests.doubles.ably.connection import Connection
from tests.waiting import until

CHANNEL = "t:project:one"
QUICK = Timings(answer=2, retry=0.1, refused=0.4, ping=0.3)
DEADLINE_S = 60


@pytest.fixture
async def server() -> AsyncIterator[AblyServer]:
    """Ably, within its documented limits."""
    async with AblyServer() as server:
        yield server


@asynccontextmanager
async def connected(server: AblyServer, **options: object) -> AsyncIterator[AblyProvider]:
    """A connected provider that is not patient."""
    provider = client(server, **options)
    await provider.connect("worker")
    try:
        yield provider
    finally:
        await provider.disconnect()


def client(server: AblyServer, **options: object) -> AblyProvider:
    """A provider that is not patient."""
    settings: dict[str, object] = {"key": server.key, "endpoint": f"127.0.0.1:{server.port}/", "tls": False}
    return AblyProvider(**{**settings, "timings": QUICK, **options})  # type: ignore[arg-type]


def message(number: int, data: Json = None) -> WireMessage:
    """A numbered message."""
    return WireMessage(f"id-{number}", "n", {"n": number} if data is None else data, 1_700_000_000_000, "", {})


class Heard(list[WireMessage]):
    """What came in."""

    def __call__(self, channel: str, message: WireMessage) -> None:
        """Take a message."""
        self.append(message)

    @property
    def ids(self) -> list[str]:
        """The ids, in the order of arrival."""
        return [message.id for message in self]


def publish_foreign(server: AblyServer, *names: str) -> None:
    """Publish as somebody else would."""
    for name in names:
        server.channel(CHANNEL).publish(
            [{"name": name, "data": '{"from":"them"}', "encoding": "json"}], f"f-{name}", ""
        )


def attached(server: AblyServer) -> list[int]:
    """How many channels each connection is attached to."""
    return sorted(len(connection.channels) for connection in server.connections)


async def test_a_publish_does_not_hold_up_a_detach(server: AblyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the detach comes when the publish is over."""
    detach = Connection._detach

    def late(self: Connection, name: str) -> None:
        asyncio.get_running_loop().call_later(0.1, detach, self, name)

    monkeypatch.setattr(Connection, "_detach", late)
    async with connected(server, timings=replace(QUICK, answer=2 * DEADLINE_S)) as provider:
        await provider.subscribe(CHANNEL, Heard())
        publishing = asyncio.create_task(provider.publish(CHANNEL, message(1)))
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE_S):
            await provider.unsubscribe(CHANNEL)
        await publishing


async def test_a_subscription_that_meets_the_end_of_its_connection_says_so(server: AblyServer) -> None:
    """The SDK says that it is attached; who wants it has to ask again."""
    async with connected(server) as provider:
        shards = provider._shards
        assert shards is not None
        link = shards._shards[0].link
        await provider.subscribe("t:project:other", Heard())
        server.stuck = True
        subscribing = asyncio.create_task(provider.subscribe(CHANNEL, Heard()))
        await asyncio.sleep(0.2)
        link._broken.set()
        with pytest.raises(ProviderUnavailable):
            await subscribing
        server.stuck = False
        await until(lambda: link.client and link.client.connection.state == ConnectionState.CONNECTED)
        heard = Heard()
        await provider.subscribe(CHANNEL, heard)
        await provider.publish(CHANNEL, message(1))
        await until(lambda: heard.ids == ["id-1"])


async def test_sending_again_is_not_a_second_message(server: AblyServer) -> None:
    """Where the answer was lost, and with others around it the second time."""
    async with connected(server) as provider:
        heard = Heard()
        await provider.subscribe(CHANNEL, heard)
        server.withhold()
        with pytest.raises(ProviderUnavailable):
            await provider.publish(CHANNEL, message(1), message(2))
        server.withhold(False)
        await provider.publish(CHANNEL, message(2), message(3))
        await until(lambda: "id-3" in heard.ids)
        assert heard.ids == ["id-1", "id-2", "id-3"]


@pytest.mark.parametrize("data", [5, 1.5, True, None, "text", [1, {"a": None}], {}])
async def test_any_json_arrives_as_it_was(server: AblyServer, data: Json) -> None:
    """As a message and as what a member says."""
    async with connected(server) as provider:
        heard = Heard()
        await provider.subscribe(CHANNEL, heard)
        await provider.publish(CHANNEL, WireMessage("id", "n", data, 7, "worker", {"seq": "1"}))
        await until(lambda: heard)
        assert heard == [WireMessage("id", "n", data, 7, "worker", {"seq": "1"})]
        assert type(heard[0].data) is type(data)
        await provider.presence_enter(CHANNEL, data)
        assert [member.data for member in await provider.presence_get(CHANNEL)] == [data]


async def test_a_foreign_message_has_ablys_id_and_time(server: AblyServer) -> None:
    """And binary data as Base64, since it is not JSON."""
    async with connected(server) as provider:
        heard = Heard()
        await provider.subscribe(CHANNEL, heard)
        publish_foreign(server, "theirs")
        server.channel(CHANNEL).publish([{"name": "bytes", "data": b"\x00\xff"}], "f-2", "")
        await until(lambda: len(heard) == 2)
        assert (heard[0].id, heard[0].name, heard[0].data) == ("f-theirs:0", "theirs", {"from": "them"})
        assert heard[0].timestamp > 1_700_000_000_000
        assert heard[1].data == "AP8="


@pytest.mark.parametrize("way", ["silent", "disconnected"])
async def test_a_connection_that_only_says_it_is_one_is_replaced(server: AblyServer, way: str) -> None:
    """The SDK would believe in it for ever: a server that answers no more, and DISCONNECTED without a reason."""
    async with connected(server) as provider:
        heard, seen = Heard(), list[ConnectionStatus]()
        provider.on_status(seen.append)
        await provider.subscribe(CHANNEL, heard)
        if way == "silent":
            server.be_stuck()
            await until(lambda: not provider.is_connected)
            assert isinstance(provider.error, ProviderUnavailable)
            server.be_stuck(False)
        else:
            server.disconnect()
            await until(lambda: ConnectionStatus.DISCONNECTED in seen)
        await until(lambda: provider.is_connected and server.channel(CHANNEL).attached)
        assert provider.error is None
        await provider.publish(CHANNEL, message(1))
        await until(lambda: "id-1" in heard.ids)


async def test_a_short_break_loses_nothing(server: AblyServer) -> None:
    """It is resumed, and nobody is told of a loss."""
    async with connected(server) as provider:
        heard, losses = Heard(), list[None]()
        provider.on_loss(lambda: losses.append(None))
        await provider.subscribe(CHANNEL, heard)
        server.drop_connections()
        publish_foreign(server, "missed")
        await until(lambda: heard.ids == ["f-missed:0"])
        await asyncio.sleep(0.3)
        assert losses == []


async def test_lost_continuity_is_told_and_foreign_messages_are_read_from_the_history(server: AblyServer) -> None:
    """However many pages they fill."""
    async with connected(server) as provider:
        heard, lost = Heard(), asyncio.Event()
        provider.on_loss(lost.set)
        await provider.subscribe(CHANNEL, heard)
        publish_foreign(server, "before")
        await until(lambda: heard.ids)
        server.drop_connections()
        server.forget()
        names = [f"m{number}" for number in range(1_250)]
        publish_foreign(server, *names)
        await until(lambda: len(set(heard.ids)) == 1_251)
        assert lost.is_set()
        found = [identity for identity in dict.fromkeys(heard.ids) if identity != "f-before:0"]
        assert found == [f"f-{name}:0" for name in names]


async def test_continuity_lost_on_an_open_connection_is_mended_too(server: AblyServer) -> None:
    """Ably says so with ATTACHED, without RESUMED."""
    async with connected(server) as provider:
        lost = asyncio.Event()
        provider.on_loss(lost.set)
        await provider.subscribe(CHANNEL, Heard())
        server.lose(CHANNEL)
        async with asyncio.timeout(DEADLINE_S):
            await lost.wait()
        assert provider.is_connected


async def test_after_long_silence_all_is_as_before(server: AblyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """SUSPENDED is told, and then what was missed is found, and we are present again."""
    monkeypatch.setattr(Defaults, "connection_state_ttl", 300)
    async with connected(server) as provider:
        heard, lost, seen = Heard(), asyncio.Event(), list[ConnectionStatus]()
        provider.on_loss(lost.set)
        provider.on_status(seen.append)
        await provider.subscribe(CHANNEL, heard)
        await provider.presence_enter(CHANNEL, {"here": True})
        await server.stop()
        await until(lambda: ConnectionStatus.SUSPENDED in seen)
        publish_foreign(server, "missed")
        await server.start()
        await until(lambda: provider.is_connected and "f-missed:0" in heard.ids)
        assert lost.is_set()
        await until(lambda: server.channel(CHANNEL).members)
        assert [(each.client_id, each.data) for each in await provider.presence_get(CHANNEL)] == [
            ("worker", {"here": True})
        ]


async def test_who_left_while_we_were_away_is_told(server: AblyServer) -> None:
    """The SDK's new client knows nothing of those whom the former one knew."""
    async with connected(server) as provider:
        changes = list[tuple[PresenceAction, str]]()

        def change(channel: str, what: PresenceChange) -> None:
            changes.append((what.action, what.member.client_id))

        await provider.presence_subscribe(CHANNEL, change)
        server.channel(CHANNEL).present([{"action": 2, "clientId": "ghost"}], "other:1", "other")
        await until(lambda: changes == [(PresenceAction.ENTER, "ghost")])
        await server.stop()
        await until(lambda: not provider.is_connected)
        await server.start()
        server.channel(CHANNEL).present([{"action": 2, "clientId": "new"}], "other:2", "other")
        await until(lambda: len(changes) == 3)
        assert sorted(changes[1:], key=lambda each: each[1]) == [
            (PresenceAction.LEAVE, "ghost"),
            (PresenceAction.ENTER, "new"),
        ]


@pytest.mark.parametrize("lead", [None, 0.5], ids=["broken off", "asked in time"])
async def test_tokens_are_renewed_again_and_again(lead: float | None) -> None:
    """The SDK by itself renews the first one only, where the connection was broken off."""
    async with AblyServer(limits=Limits(token_s=1, auth_lead_s=lead)) as server, connected(server) as provider:
        heard, seen = Heard(), list[ConnectionStatus]()
        provider.on_status(seen.append)
        await provider.subscribe(CHANNEL, heard)
        for number in range(4):
            await asyncio.sleep(1)
            await until(lambda: provider.is_connected and bool(server.channel(CHANNEL).attached))
            publish_foreign(server, str(number))
        await until(lambda: len(set(heard.ids)) == 4)
        assert len(server.access.tokens) >= 4
        assert ConnectionStatus.FAILED not in seen
        assert ConnectionStatus.SUSPENDED not in seen
        if lead is not None:
            assert seen == []


@pytest.mark.parametrize("key", ["app.key:wrong", "app.unknown:secret"])
async def test_a_wrong_key_is_refused_and_tried_again_seldom(server: AblyServer, key: str) -> None:
    """And accepted when it has become right."""
    provider = client(server, key=key)
    with pytest.raises(ProviderRefused) as caught:
        await provider.connect("worker")
    try:
        assert provider.status is ConnectionStatus.FAILED
        assert isinstance(provider.error, ProviderRefused)
        assert key.partition(":")[2] not in caught.value.detail
        name, _, secret = key.partition(":")
        server.access.add_key(name, secret)
        await until(lambda: provider.is_connected)
        assert provider.error is None
    finally:
        await provider.disconnect()


async def test_a_revoked_capability_is_told_until_it_is_back(server: AblyServer) -> None:
    """The connection is fine, and so are other channels."""
    async with connected(server) as provider:
        heard, other = Heard(), Heard()
        await provider.subscribe(CHANNEL, heard)
        await provider.subscribe("free:1", other)
        server.restrict({"free:*": ["*"]})
        await until(lambda: provider.error is not None)
        assert isinstance(provider.error, ProviderRefused)
        assert provider.is_connected
        with pytest.raises(ProviderRefused):
            await provider.publish(CHANNEL, message(1))
        with pytest.raises(ProviderRefused):
            await provider.subscribe("t:project:other", Heard())
        await provider.publish("free:1", message(2))
        await until(lambda: other.ids == ["id-2"])
        server.restrict({"*": ["*"]})
        await until(lambda: provider.error is None)
        await provider.publish(CHANNEL, message(3))
        await until(lambda: heard.ids == ["id-3"])


async def test_channels_that_ably_takes_away_for_a_while_come_back(server: AblyServer) -> None:
    """The SDK answers to it with a TypeError; here it is an error of ours, and shown meanwhile."""
    async with connected(server) as provider:
        heard = Heard()
        await provider.subscribe(CHANNEL, heard)
        server.detach()
        await until(lambda: provider.error is not None)
        assert provider.is_connected
        with pytest.raises(ProviderUnavailable):
            await provider.subscribe("t:project:other", Heard())
        server.detach(False)
        await until(lambda: provider.error is None)
        await provider.publish(CHANNEL, message(1))
        await until(lambda: heard.ids == ["id-1"])
        await asyncio.sleep(0.3)
        assert attached(server) == [1]


async def test_a_refused_publish_is_told_for_a_while(server: AblyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be tried again without its caller."""
    monkeypatch.setattr(ably_shards, "TEND_S", 0.1)
    async with connected(server) as provider:
        server.restrict({"*": ["subscribe"]})
        with pytest.raises(ProviderRefused):
            await provider.publish(CHANNEL, message(1))
        assert isinstance(provider.error, ProviderRefused)
        await until(lambda: provider.error is None)


async def test_being_counted_out_is_told(server: AblyServer) -> None:
    """With when to come again, and until a publish is taken."""
    async with connected(server) as provider:
        server.refuse_rate()
        with pytest.raises(RateLimited) as caught:
            await provider.publish(CHANNEL, message(1))
        assert caught.value.retry_after_s > 0
        assert isinstance(provider.error, RateLimited)
        server.refuse_rate(False)
        await provider.publish(CHANNEL, message(2))
        assert provider.error is None


async def test_a_server_that_refuses_everything_for_a_while_is_found_again(server: AblyServer) -> None:
    """503 at the door is no reason to give up."""
    async with connected(server) as provider:
        server.refuse()
        server.drop_connections()
        await until(lambda: not provider.is_connected)
        assert isinstance(provider.error, ProviderUnavailable)
        server.refuse(False)
        await until(lambda: provider.is_connected)


async def test_a_failed_connection_is_replaced(server: AblyServer) -> None:
    """The SDK gives up where Ably sends an ERROR; publishing would hang and channels seem attached."""
    async with connected(server) as provider:
        heard = Heard()
        await provider.subscribe(CHANNEL, heard)
        server.fail(50000)
        await until(lambda: not provider.is_connected)
        await until(lambda: provider.is_connected and bool(server.channel(CHANNEL).attached))
        await provider.publish(CHANNEL, message(1))
        await until(lambda: "id-1" in heard.ids)


async def test_a_grant_is_signed_without_asking_anybody(server: AblyServer) -> None:
    """It says who, what and for how long, and Ably takes it."""
    async with connected(server) as provider:
        await server.stop()
        request = await provider.grant(Grant("person-1", ("t:project:mine", "t:open:*"), ("t:open:*",), 600), {})
        await server.start()
        details = server.access.issue("app.key", request)
        assert details["clientId"] == "person-1"
        assert details["expires"] - details["issued"] == 600_000
        assert details["capability"] == (
            '{"t:open:*": ["history", "presence", "publish", "subscribe"],'
            ' "t:project:mine": ["history", "presence", "subscribe"]}'
        )
        with pytest.raises(InvalidRequest, match="wildcard"):
            await provider.grant(Grant("person-1", ("t:project:a*",), (), 600), {})
