"""What every provider does: one suite, run on every wire in `wires`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from realtime_ui.core.errors import ProviderUnavailable, TooLarge
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.base import (
    Capability,
    PresenceAction,
    PresenceChange,
    RealtimeProvider,
    WireMessage,
)
from tests.conformance.wires import WIRES, Wire

CHANNEL = "00000000-0000-0000-0000-000000000001:project:abc123"
OTHER = "00000000-0000-0000-0000-000000000001:project:other"
DEADLINE_S = 60


@pytest.fixture(params=WIRES)
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """The service under test."""
    async with WIRES[request.param]() as wire:
        yield wire


@pytest.fixture
async def pair(wire: Wire) -> AsyncIterator[tuple[RealtimeProvider, RealtimeProvider]]:
    """Two connected clients."""
    async with AsyncExitStack() as stack:
        clients = wire.client(), wire.client()
        for name, client in zip(("ada", "max"), clients, strict=True):
            await client.connect(name)
            stack.push_async_callback(client.disconnect)
        yield clients


def message(number: int, data: Json = None) -> WireMessage:
    """A numbered message."""
    return WireMessage(
        f"id-{number}", "project.updated", data or {"n": number}, 1_700_000_000_000, "ada", {"seq": str(number)}
    )


class Heard:
    """A callback that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, WireMessage]] = []
        self._more = asyncio.Event()

    def __call__(self, channel: str, message: WireMessage) -> None:
        """Take a message."""
        self.messages.append((channel, message))
        self._more.set()

    async def ids(self, count: int) -> list[str]:
        """The ids heard, once there are `count`."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.messages) < count:
                self._more.clear()
                await self._more.wait()
        return [message.id for _, message in self.messages]


async def test_a_message_arrives_as_it_was_sent(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Name, payload, id, time and headers."""
    ada, max_ = pair
    heard = Heard()
    await max_.subscribe(CHANNEL, heard)
    sent = message(1, {"text": "äöü €", "nested": {"list": [1, 2.5, None, True]}, "empty": {}})
    await ada.publish(CHANNEL, sent)
    await heard.ids(1)
    channel, got = heard.messages[0]
    assert channel == CHANNEL
    assert (got.id, got.name, got.data, got.timestamp) == (sent.id, sent.name, sent.data, sent.timestamp)
    assert dict(got.headers) == dict(sent.headers)


async def test_one_publishers_messages_keep_their_order(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """However many there are."""
    ada, max_ = pair
    heard = Heard()
    await max_.subscribe(CHANNEL, heard)
    for number in range(200):
        await ada.publish(CHANNEL, message(number))
    assert await heard.ids(200) == [f"id-{number}" for number in range(200)]


async def test_messages_sent_together_keep_their_order(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Each is heard by itself; several channels at once do not disturb one another."""
    ada, max_ = pair
    here, there = Heard(), Heard()
    await max_.subscribe(CHANNEL, here)
    await max_.subscribe(OTHER, there)
    numbers = range(60)
    await asyncio.gather(*(ada.publish(channel, *map(message, numbers)) for channel in (CHANNEL, OTHER)))
    wanted = [f"id-{number}" for number in numbers]
    assert await here.ids(60) == wanted
    assert await there.ids(60) == wanted


async def test_the_largest_message_arrives_and_a_larger_one_is_refused(
    pair: tuple[RealtimeProvider, RealtimeProvider],
) -> None:
    """Where there is a bound, and with an error that says that trying again is of no use."""
    ada, max_ = pair
    limit = ada.max_message_bytes
    if limit is None:
        pytest.skip(f"{ada.name} says that it has no bound")
    heard = Heard()
    await max_.subscribe(CHANNEL, heard)
    around = len('{"text":""}')
    with pytest.raises(TooLarge) as caught:
        await ada.publish(CHANNEL, message(1, {"text": "x" * (limit - around + 1)}))
    assert not caught.value.retryable
    largest = {"text": "x" * (limit - around)}
    await ada.publish(CHANNEL, message(2, largest))
    assert await heard.ids(1) == ["id-2"]
    assert heard.messages[0][1].data == largest


async def test_publishing_needs_no_subscription(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """The specification's provider refused it."""
    ada, max_ = pair
    heard = Heard()
    await max_.subscribe(CHANNEL, heard)
    await ada.publish(CHANNEL, message(1))
    assert await heard.ids(1) == ["id-1"]


async def test_own_messages_come_back(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """The hub drops them by their number."""
    ada, _ = pair
    heard = Heard()
    await ada.subscribe(CHANNEL, heard)
    await ada.publish(CHANNEL, message(1))
    assert await heard.ids(1) == ["id-1"]


async def test_channels_do_not_mix(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Only what was sent on a channel is heard on it."""
    ada, max_ = pair
    here, there = Heard(), Heard()
    await max_.subscribe(CHANNEL, here)
    await max_.subscribe(OTHER, there)
    await ada.publish(OTHER, message(1))
    await ada.publish(CHANNEL, message(2))
    assert await there.ids(1) == ["id-1"]
    assert await here.ids(1) == ["id-2"]


async def test_a_second_subscription_replaces_the_callback(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """So nobody hears twice."""
    ada, max_ = pair
    first, second = Heard(), Heard()
    await max_.subscribe(CHANNEL, first)
    await max_.subscribe(CHANNEL, second)
    await ada.publish(CHANNEL, message(1))
    assert await second.ids(1) == ["id-1"]
    assert first.messages == []


async def test_nothing_is_heard_after_unsubscribing(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """And another client's subscription is not touched; once more is no error."""
    ada, max_ = pair
    gone, stays = Heard(), Heard()
    await ada.subscribe(CHANNEL, gone)
    await max_.subscribe(CHANNEL, stays)
    await ada.unsubscribe(CHANNEL)
    await ada.unsubscribe(CHANNEL)
    await ada.publish(CHANNEL, message(1))
    assert await stays.ids(1) == ["id-1"]
    assert gone.messages == []


async def test_a_failing_callback_harms_nobody(
    pair: tuple[RealtimeProvider, RealtimeProvider], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the publisher nor the next message; the error is logged."""
    ada, max_ = pair
    heard = Heard()

    def broken(channel: str, message: WireMessage) -> None:
        heard(channel, message)
        raise RuntimeError("broken callback")

    await max_.subscribe(CHANNEL, broken)
    await ada.publish(CHANNEL, message(1))
    await ada.publish(CHANNEL, message(2))
    assert await heard.ids(2) == ["id-1", "id-2"]
    assert "broken callback" in caplog.text


async def test_the_status_tells_the_whole_life(wire: Wire) -> None:
    """From initialized over connected to closed, each told once."""
    client = wire.client()
    seen: list[ConnectionStatus] = []
    stop = client.on_status(seen.append)
    assert client.status is ConnectionStatus.INITIALIZED
    assert not client.is_connected
    await client.connect("ada")
    assert client.is_connected
    await client.disconnect()
    assert not client.is_connected
    assert seen[0] in (ConnectionStatus.CONNECTING, ConnectionStatus.CONNECTED)
    assert ConnectionStatus.CONNECTED in seen
    assert seen[-1] is ConnectionStatus.CLOSED
    assert all(a is not b for a, b in pairwise(seen))
    told = len(seen)
    stop()
    await client.connect("ada")
    await client.disconnect()
    assert len(seen) == told


async def test_an_unconnected_client_says_so(wire: Wire) -> None:
    """With an error of ours that can be retried."""
    client = wire.client()
    with pytest.raises(ProviderUnavailable) as caught:
        await client.publish(CHANNEL, message(1))
    assert caught.value.retryable
    with pytest.raises(ProviderUnavailable):
        await client.subscribe(CHANNEL, Heard())


async def test_disconnecting_forgets_the_subscriptions(pair: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """A client that comes back subscribes anew."""
    ada, max_ = pair
    heard = Heard()
    await max_.subscribe(CHANNEL, heard)
    await max_.disconnect()
    await max_.connect("max")
    await ada.publish(CHANNEL, message(1))
    again = Heard()
    await max_.subscribe(CHANNEL, again)
    await ada.publish(CHANNEL, message(2))
    assert await again.ids(1) == ["id-2"]
    assert heard.messages == []


@pytest.fixture
def breakable(wire: Wire) -> Wire:
    """A service that can be away."""
    if not wire.has_outages:
        pytest.skip("it lives inside this process and is never away")
    return wire


async def test_an_outage_is_told_and_heals_by_itself(
    breakable: Wire, pair: tuple[RealtimeProvider, RealtimeProvider]
) -> None:
    """The status says so, publishing is refused for now, and then all is as before, with word of what may be lost."""
    ada, max_ = pair
    heard, lost = Heard(), asyncio.Event()
    await max_.subscribe(CHANNEL, heard)
    max_.on_loss(lost.set)
    await breakable.cut()
    for client in pair:
        await until_connected(client, False)
        assert client.error is not None
        assert client.error.retryable
    with pytest.raises(ProviderUnavailable):
        await ada.publish(CHANNEL, message(1))
    await breakable.restore()
    for client in pair:
        await until_connected(client, True)
        assert client.error is None
    async with asyncio.timeout(DEADLINE_S):
        await lost.wait()
    await publish_until_heard(ada, heard)


async def test_a_service_that_is_away_at_the_start_is_found_later(breakable: Wire) -> None:
    """Connecting says that it is away, and goes on trying."""
    await breakable.cut()
    ada, heard = breakable.client(), Heard()
    try:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(ProviderUnavailable):
                await ada.connect("ada")
        assert ada.error is not None
        await breakable.restore()
        await until_connected(ada, True)
        await ada.subscribe(CHANNEL, heard)
        await publish_until_heard(ada, heard)
    finally:
        await ada.disconnect()


async def test_a_client_that_never_reached_its_service_ends(breakable: Wire) -> None:
    """Disconnecting does not wait for what is away."""
    await breakable.cut()
    ada = breakable.client()
    with pytest.raises(ProviderUnavailable):
        await ada.connect("ada")
    async with asyncio.timeout(DEADLINE_S):
        await ada.disconnect()
    assert ada.status is ConnectionStatus.CLOSED
    await breakable.restore()


async def until_connected(client: RealtimeProvider, wanted: bool) -> None:
    """Wait until a client is connected, or is not; fails when it takes too long."""
    async with asyncio.timeout(DEADLINE_S):
        while client.is_connected is not wanted:
            await asyncio.sleep(0.02)


async def publish_until_heard(client: RealtimeProvider, heard: Heard) -> None:
    """Publish until a message comes: a client that is back says so before all its channels are."""
    before = len(heard.messages)
    async with asyncio.timeout(DEADLINE_S):
        number = 1_000
        while len(heard.messages) == before:
            await client.publish(CHANNEL, message(number))
            number += 1
            await asyncio.sleep(0.1)


@pytest.fixture
def present(pair: tuple[RealtimeProvider, RealtimeProvider]) -> tuple[RealtimeProvider, RealtimeProvider]:
    """Two connected clients of a provider that knows presence."""
    if Capability.PRESENCE not in pair[0].capabilities:
        pytest.skip(f"{pair[0].name} says that it has no presence")
    return pair


class Changes:
    """A presence callback that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.seen: list[tuple[PresenceAction, str, Json]] = []
        self._more = asyncio.Event()

    def __call__(self, channel: str, change: PresenceChange) -> None:
        """Take a change."""
        self.seen.append((change.action, change.member.client_id, change.member.data))
        self._more.set()

    async def until(self, count: int) -> list[tuple[PresenceAction, str, Json]]:
        """What was seen, once there are `count`."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.seen) < count:
                self._more.clear()
                await self._more.wait()
        return self.seen


async def test_presence_is_entered_updated_and_left(present: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Each heard once, and an update is neither a leave nor an enter."""
    ada, max_ = present
    changes = Changes()
    await max_.presence_subscribe(CHANNEL, changes)
    await ada.presence_enter(CHANNEL, {"name": "Ada"})
    assert [(m.client_id, m.data) for m in await max_.presence_get(CHANNEL)] == [("ada", {"name": "Ada"})]
    await ada.presence_update(CHANNEL, {"name": "Ada", "away": True})
    await ada.presence_leave(CHANNEL)
    assert await changes.until(3) == [
        (PresenceAction.ENTER, "ada", {"name": "Ada"}),
        (PresenceAction.UPDATE, "ada", {"name": "Ada", "away": True}),
        (PresenceAction.LEAVE, "ada", {"name": "Ada", "away": True}),
    ]
    assert await max_.presence_get(CHANNEL) == []


async def test_one_clients_leave_removes_no_other(present: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Nor does leaving twice."""
    ada, max_ = present
    await ada.presence_enter(CHANNEL)
    await max_.presence_enter(CHANNEL)
    await ada.presence_leave(CHANNEL)
    await ada.presence_leave(CHANNEL)
    assert [member.client_id for member in await ada.presence_get(CHANNEL)] == ["max"]


async def test_disconnecting_leaves(present: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Nobody stays as a ghost."""
    ada, max_ = present
    changes = Changes()
    await max_.presence_subscribe(CHANNEL, changes)
    await ada.presence_enter(CHANNEL)
    await ada.disconnect()
    assert [action for action, _, _ in await changes.until(2)] == [PresenceAction.ENTER, PresenceAction.LEAVE]


async def test_presence_changes_end_with_the_subscription(present: tuple[RealtimeProvider, RealtimeProvider]) -> None:
    """Nothing is heard after stopping."""
    ada, max_ = present
    changes = Changes()
    stop = await max_.presence_subscribe(CHANNEL, changes)
    stop()
    await ada.presence_enter(CHANNEL)
    await ada.presence_get(CHANNEL)
    assert changes.seen == []
