"""How the Ably provider keeps to what one connection may do, with as many connections as that takes."""

import asyncio

import pytest

from realtime_ui.core.errors import ProviderRefused
from realtime_ui.providers import ably_shards
from realtime_ui.providers.ably_shard import Shard
from tests.doubles.ably import AblyServer, Limits
from tests.integration.test_ably import Heard, attached, connected, message, server
from tests.waiting import until

__all__ = ["server"]  # a fixture


async def test_no_connection_attaches_more_channels_than_it_may(server: AblyServer) -> None:
    """Another one is opened, all of them are heard, and one that is no longer used is closed."""
    async with connected(server, connection_channels=3) as provider:
        heard = {f"t:project:{number}": Heard() for number in range(7)}
        for channel, callback in heard.items():
            await provider.subscribe(channel, callback)
        assert attached(server) == [1, 3, 3]
        for channel in heard:
            await provider.publish(channel, message(1))
        await until(lambda: all(callback.ids == ["id-1"] for callback in heard.values()))
        for channel in heard:
            await provider.unsubscribe(channel)
        assert attached(server) == [0, 0, 0]


async def test_many_channels_at_once_open_no_more_connections_than_they_need(server: AblyServer) -> None:
    """Who comes while one is being opened waits for it."""
    async with connected(server, connection_channels=10) as provider:
        await asyncio.gather(*(provider.subscribe(f"t:project:{number}", Heard()) for number in range(35)))
        assert attached(server) == [5, 10, 10, 10]
        await asyncio.gather(*(provider.unsubscribe(f"t:project:{number}") for number in range(35)))
        assert attached(server) == [0, 0, 0, 0]


async def test_a_connection_that_nobody_uses_is_closed(server: AblyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the first."""
    monkeypatch.setattr(ably_shards, "TEND_S", 0.05)
    monkeypatch.setattr(ably_shards, "IDLE_S", 0.2)
    async with connected(server, connection_channels=1) as provider:
        for channel in ("a:1", "a:2", "a:3"):
            await provider.subscribe(channel, Heard())
        assert len(server.connections) == 3
        await provider.unsubscribe("a:2")
        await provider.unsubscribe("a:3")
        await until(lambda: len(server.connections) == 1)
        assert provider.is_connected


async def test_each_channels_order_holds_over_several_connections(server: AblyServer) -> None:
    """At the full rate of each, without one message refused or lost."""
    async with connected(server, connection_channels=1) as publisher, connected(server, connection_channels=1) as other:
        heard = {f"t:project:{number}": Heard() for number in range(3)}
        for channel, callback in heard.items():
            await publisher.subscribe(channel, Heard())
            await other.subscribe(channel, callback)
        await asyncio.gather(*(publisher.publish(channel, *map(message, range(60))) for channel in heard))
        wanted = [f"id-{number}" for number in range(60)]
        await until(lambda: all(callback.ids == wanted for callback in heard.values()))
    assert (server.refused_by_rate, server.lost_by_rate) == (0, 0)


async def test_a_busy_connection_gives_a_channel_away(server: AblyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it hears more than one may, and nothing is missed on the way."""
    monkeypatch.setattr(ably_shards, "TEND_S", 0.1)
    async with connected(server, connection_rate=1000) as one, connected(server, connection_rate=20) as hearing:
        heard = {"a:1": Heard(), "a:2": Heard()}
        for channel, callback in heard.items():
            await hearing.subscribe(channel, callback)
        assert len(server.connections) == 2
        sent = 0
        async with asyncio.timeout(60):
            while attached(server)[-2:] != [1, 1]:
                await asyncio.gather(*(one.publish(channel, message(sent)) for channel in heard))
                sent += 1
                await asyncio.sleep(0.04)
        for number in range(sent, sent + 20):
            await asyncio.gather(*(one.publish(channel, message(number)) for channel in heard))
        wanted = [f"id-{number}" for number in range(sent + 20)]
        await until(
            lambda: all(sorted(set(callback.ids), key=callback.ids.index) == wanted for callback in heard.values())
        )


async def test_publishing_more_than_one_connection_may_opens_another(server: AblyServer) -> None:
    """And the service never sees more over one than it allows."""
    async with connected(server) as provider:
        await asyncio.gather(*(provider.publish(f"c:{number}", *map(message, range(40))) for number in range(4)))
        await asyncio.gather(*(provider.publish(f"d:{number}", message(1)) for number in range(4)))
        await until(lambda: len(server.connections) > 1)
    assert server.refused_by_rate == 0


async def test_a_connection_that_came_into_use_while_another_was_closed_stays(
    server: AblyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are idle, and each close takes its time."""
    monkeypatch.setattr(ably_shards, "IDLE_S", 0.3)
    monkeypatch.setattr(ably_shards, "TEND_S", 0.1)
    stop = Shard.stop

    async def slow_stop(self: Shard) -> None:
        await asyncio.sleep(0.2)
        await stop(self)

    monkeypatch.setattr(Shard, "stop", slow_stop)
    async with connected(server, connection_channels=1) as provider:
        heard = Heard()
        for name in ("a", "b", "c"):
            await provider.subscribe(name, heard)
        shards = provider._shards
        assert shards is not None
        await provider.unsubscribe("b")
        await provider.unsubscribe("c")
        await until(lambda: len(shards) == 2)
        await provider.subscribe("d", heard)
        await asyncio.sleep(1)
        await provider.publish("d", message(1))
        await until(lambda: heard.ids == ["id-1"])


async def test_a_connection_with_one_busy_channel_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be as busy elsewhere; so two of them never meet on a third connection."""
    monkeypatch.setattr(ably_shards, "TEND_S", 0.1)
    async with (
        AblyServer(limits=Limits(rate=1_000)) as server,
        connected(server, connection_rate=1000) as one,
        connected(server, connection_rate=20, connection_channels=2) as hearing,
    ):
        heard = Heard()
        for name in ("a:busy", "a:quiet", "b:busy", "b:quiet"):
            await hearing.subscribe(name, heard)
        for number in range(100):
            await asyncio.gather(*(one.publish(f"{each}:busy", message(number)) for each in "ab"))
            await asyncio.sleep(0.025)
        await until(lambda: len(heard) == 200)
        assert attached(server) == [0, 2, 2]


async def test_a_channel_that_is_let_go_while_it_moves_stays_nowhere(server: AblyServer) -> None:
    """Its last listener is not called any more."""
    async with connected(server) as provider:
        heard = Heard()
        for name in ("a", "b"):
            await provider.subscribe(name, heard)
        shards = provider._shards
        assert shards is not None
        [shard] = shards._shards
        shard.attachments["a"].load.count(100)
        shard.heard.count(200)
        moving = asyncio.create_task(shards._relieve(shard))
        await until(lambda: len(shards) == 2)
        await provider.unsubscribe("a")
        await moving
        assert [list(each.attachments) for each in shards._shards] == [["b"], []]
        await provider.publish("a", message(1))
        await provider.publish("b", message(2))
        await until(lambda: heard.ids == ["id-2"])


async def test_fewer_channels_than_the_setting_says_is_refused() -> None:
    """Somebody has to correct the setting."""
    async with AblyServer(limits=Limits(channels=1)) as server, connected(server) as provider:
        await provider.subscribe("a:1", Heard())
        with pytest.raises(ProviderRefused, match="90010"):
            await provider.subscribe("a:2", Heard())
