"""Presence with the clock in hand: graces, leases, typing, coalescing, and who sees what."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person, Role
from realtime_ui.events.wire import Signer
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.lobby import Audience
from realtime_ui.hub.members import Activity, PresenceDiff
from realtime_ui.hub.presence import GRACE_S, TICK_S, TYPING_S, WIRE_CHANNEL, Presence
from realtime_ui.hub.presence_rooms import SHOWN, View
from realtime_ui.hub.roster import LEASE_S
from realtime_ui.hub.subscriptions import Tab
from realtime_ui.providers.base import WireMessage
from realtime_ui.providers.memory import MemoryNetwork, MemoryProvider
from tests.clock import ManualClock, settle

TENANT = uuid.UUID(int=1)
PROJECT, SESSION, SYSTEM = map(ChannelName.parse, ("project:x", "session:y", "system:alerts"))
ON_PROJECT = View.of_channel(TENANT, PROJECT)
ALL = frozenset(ChannelType)
EVERYBODY = View.of_audience(Audience(TENANT, ALL))


def tab(sid: str, person: int = 1, *, since: int = 1000, tenant: uuid.UUID = TENANT) -> Tab:
    """A socket of a person."""
    who = Person(uuid.UUID(int=person), tenant, "T", f"P{person}", "p@t.test", Role.MEMBER, uuid.UUID(int=9))
    return Tab(sid, who, None, ClientInfo("Chrome 1", "Linux", "desktop", "websocket", ""), since)


class Worker:
    """A worker's presence, with what its rooms were sent."""

    def __init__(self, name: str, network: MemoryNetwork, clock: ManualClock, key: str = "k") -> None:
        self.provider = MemoryProvider(network)
        self.clock = clock
        self.sent: dict[str, list[Any]] = {}
        self.looking = True
        self.presence = Presence(self.provider, Signer(key), name, clock, self._send)

    def _send(self, room: str, data: Json) -> int:
        if data is not None and self.looking:
            self.sent.setdefault(room, []).append(data)
        return int(self.looking)

    def come(self, sid: str, person: int = 1, channel: ChannelName | None = PROJECT, since: int = 1000) -> Tab:
        """A socket connects and, where a channel is named, enters it."""
        each = tab(sid, person, since=since)
        self.presence.arrive(each)
        if channel:
            self.presence.enter(each, channel, Activity.ONLINE)
        return each

    def look(self, view: View = ON_PROJECT) -> Any:
        """Begin to look."""
        return self.presence.rooms.look(view)

    def people(self, channel: ChannelName = PROJECT) -> dict[int, tuple[str, int]]:
        """Who is there: state and number of tabs by person."""
        return {each.person.int: (each.state.value, each.tabs) for each in self.presence.members(TENANT, channel)}

    def diffs(self, view: View = ON_PROJECT) -> list[tuple[list[str], list[int], list[tuple[str, str, int]]]]:
        """What a room was told since the last time: joins, leaves, updates."""
        told = self.sent.pop(view.room, [])
        return [
            (
                [each["name"] for each in diff["joins"]],
                [uuid.UUID(each).int for each in diff["leaves"]],
                [(each["name"], each["state"], each["tabs"]) for each in diff["updates"]],
            )
            for diff in told
        ]


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    """Started, and stopped after the block."""
    for worker in workers:
        await worker.provider.connect("test")
        await worker.presence.start()
    await settle()
    try:
        yield
    finally:
        for worker in workers:
            await worker.presence.stop()


@pytest.fixture
def clock() -> ManualClock:
    """Moved by hand."""
    return ManualClock()


@pytest.fixture
async def worker(clock: ManualClock) -> AsyncIterator[Worker]:
    """One worker."""
    worker = Worker("one", MemoryNetwork(), clock)
    async with running(worker):
        yield worker


async def test_a_person_is_there_while_any_tab_is(worker: Worker, clock: ManualClock) -> None:
    """One tab's leave is an update, the last one's a leave."""
    worker.look()
    worker.come("a")
    worker.come("b")
    await clock.advance(TICK_S)
    assert worker.diffs() == [(["P1"], [], [])]
    worker.presence.depart("a", closed=False)
    await clock.advance(TICK_S)
    assert worker.diffs() == [([], [], [("P1", "online", 1)])]
    worker.presence.depart("b", closed=False)
    await clock.advance(TICK_S)
    assert worker.diffs() == [([], [1], [])]


async def test_after_a_clean_close_the_leave_waits_for_the_grace(worker: Worker, clock: ManualClock) -> None:
    """Not told before, told right after."""
    worker.look()
    worker.come("a")
    await clock.advance(TICK_S)
    worker.diffs()
    worker.presence.depart("a", closed=True)
    await clock.advance(GRACE_S - TICK_S)
    assert worker.diffs() == []
    assert worker.people() == {1: ("online", 1)}
    await clock.advance(2 * TICK_S)
    assert worker.diffs() == [([], [1], [])]


async def test_a_reload_is_neither_leave_nor_join(worker: Worker, clock: ManualClock) -> None:
    """The new tab takes the old one's place, since when the person is there included."""
    worker.look()
    worker.look(EVERYBODY)
    worker.come("a", since=1000)
    await clock.advance(TICK_S)
    worker.diffs()
    worker.diffs(EVERYBODY)
    worker.presence.depart("a", closed=True)
    await clock.advance(1.0)
    worker.come("b", since=9000)
    await clock.advance(GRACE_S * 3)
    for told in (worker.diffs(), worker.diffs(EVERYBODY)):
        assert [(joins, leaves) for joins, leaves, _ in told if joins or leaves] == []
    [member] = worker.presence.members(TENANT, PROJECT)
    assert (member.since, member.tabs, member.metas[0].tab) == (1000, 1, "b")


async def test_a_reload_of_one_of_two_tabs_keeps_both(worker: Worker, clock: ManualClock) -> None:
    """Only one closed tab makes room for one that comes."""
    worker.come("a")
    worker.come("b")
    worker.presence.depart("a", closed=True)
    worker.come("c")
    assert worker.people() == {1: ("online", 2)}
    await clock.advance(GRACE_S * 2)
    assert worker.people() == {1: ("online", 2)}


async def test_silence_has_no_grace(worker: Worker, clock: ManualClock) -> None:
    """The person is gone with the next diff."""
    worker.look()
    worker.come("a")
    await clock.advance(TICK_S)
    worker.diffs()
    worker.presence.depart("a", closed=False)
    await clock.advance(TICK_S)
    assert worker.diffs() == [([], [1], [])]


async def test_a_late_disconnect_of_an_old_socket_touches_no_new_one(worker: Worker, clock: ManualClock) -> None:
    """Whichever way it went, and however often it is told."""
    worker.come("new")
    worker.presence.depart("old", closed=True)
    worker.presence.depart("old", closed=False)
    await clock.advance(GRACE_S * 2)
    assert worker.people() == {1: ("online", 1)}


async def test_typing_ends_by_itself(worker: Worker, clock: ManualClock) -> None:
    """Unless it is said again; and with the tab."""
    each = worker.come("a")
    worker.presence.update("a", Activity.TYPING)
    await clock.advance(TYPING_S - 1)
    worker.presence.update("a", Activity.TYPING)
    await clock.advance(TYPING_S - TICK_S)
    assert worker.people() == {1: ("typing", 1)}
    await clock.advance(2 * TICK_S)
    assert worker.people() == {1: ("online", 1)}
    worker.presence.update("a", Activity.TYPING)
    worker.presence.depart("a", closed=True)
    assert worker.people() == {1: ("online", 1)}
    worker.presence.leave(each.sid)
    assert worker.people() == {}


async def test_typing_is_of_the_channel_where_it_was_said(worker: Worker, clock: ManualClock) -> None:
    """Another channel, or none, has nobody typing."""
    each = worker.come("a")
    worker.presence.update("a", Activity.TYPING)
    worker.presence.enter(each, SESSION, Activity.ONLINE)
    assert (worker.people(), worker.people(SESSION)) == ({}, {1: ("online", 1)})
    worker.presence.leave("a")
    worker.presence.update("a", Activity.TYPING)
    [member] = worker.look(EVERYBODY)["members"]
    assert member["state"] == "online"


async def test_away_and_back_are_updates(worker: Worker, clock: ManualClock) -> None:
    """Never a leave and a join."""
    worker.look()
    worker.come("a")
    await clock.advance(TICK_S)
    worker.diffs()
    for state in (Activity.AWAY, Activity.ONLINE):
        worker.presence.update("a", state)
        await clock.advance(TICK_S)
    assert worker.diffs() == [([], [], [("P1", "away", 1)]), ([], [], [("P1", "online", 1)])]


async def test_diffs_are_coalesced_to_four_a_second(worker: Worker, clock: ManualClock) -> None:
    """Three hundred joins in five seconds are at most twenty diffs, each person in one."""
    worker.look()
    for number in range(300):
        worker.come(f"t{number}", person=number + 1)
        await clock.advance(5 / 300)
    await clock.advance(TICK_S)
    diffs = worker.sent[ON_PROJECT.room]
    assert len(diffs) <= 21
    assert [each["n"] for each in diffs] == list(range(1, len(diffs) + 1))
    joined = [member["person"] for each in diffs for member in each["joins"]]
    assert len(joined) == len(set(joined)) == SHOWN
    assert diffs[-1]["count"] == 300


async def test_above_the_cap_the_count_is_true_and_a_free_place_is_given_on(worker: Worker, clock: ManualClock) -> None:
    """To whoever has waited longest; who was not shown leaves without a word."""
    for number in range(SHOWN + 3):
        worker.come(f"t{number}", person=number + 1)
    answer = worker.look()
    assert (len(answer["members"]), answer["count"]) == (SHOWN, SHOWN + 3)
    worker.presence.depart("t0", closed=False)
    worker.presence.depart(f"t{SHOWN + 1}", closed=False)
    await clock.advance(TICK_S)
    assert worker.sent[ON_PROJECT.room][-1]["count"] == SHOWN + 1
    assert worker.diffs() == [([f"P{SHOWN + 1}"], [1], [])]
    worker.come("late", person=999)
    await clock.advance(TICK_S)
    [diff] = worker.sent[ON_PROJECT.room]
    assert (diff["joins"], diff["count"]) == ([], SHOWN + 2)


async def test_the_list_and_the_diffs_after_it_fit(worker: Worker, clock: ManualClock) -> None:
    """A change that waits for its diff is not in the list that a second tab gets."""
    worker.come("a")
    assert worker.look()["n"] == 0
    worker.come("b", person=2)
    second = worker.look()
    assert (second["n"], [each["name"] for each in second["members"]]) == (0, ["P1"])
    await clock.advance(TICK_S)
    assert worker.sent[ON_PROJECT.room][0]["n"] == 1
    assert worker.diffs() == [(["P2"], [], [])]


async def test_nothing_is_sent_where_nobody_looks(worker: Worker, clock: ManualClock) -> None:
    """A list that nobody looks at any more is closed and begins anew."""
    worker.look()
    worker.come("a")
    worker.looking = False
    await clock.advance(TICK_S)
    worker.looking = True
    worker.come("b", person=2)
    await clock.advance(TICK_S)
    assert worker.sent == {}
    assert worker.look()["n"] == 0


async def test_members_do_not_learn_of_channels_that_they_may_not_list(worker: Worker, clock: ManualClock) -> None:
    """An admin's list has them; to members the tab is elsewhere."""
    worker.come("a", channel=SYSTEM)
    members = View.of_audience(Audience(TENANT, ALL - {ChannelType.SYSTEM, ChannelType.USER}))
    assert worker.look(EVERYBODY)["members"][0]["metas"][0]["channel"] == "system:alerts"
    assert worker.look(members)["members"][0]["metas"][0]["channel"] == ""


async def test_another_tenant_sees_nobody(worker: Worker, clock: ManualClock) -> None:
    """Not even on a channel of the same name."""
    worker.come("a")
    other = uuid.UUID(int=2)
    assert worker.look(View.of_channel(other, PROJECT))["members"] == []
    assert worker.look(View.of_audience(Audience(other, ALL)))["members"] == []


async def test_a_sink_hears_the_diffs_and_its_failure_harms_nobody(worker: Worker, clock: ManualClock) -> None:
    """First who is there; until its tab no longer looks."""
    heard: list[PresenceDiff] = []

    def broken(diff: PresenceDiff) -> None:
        if diff.count == 2:
            raise RuntimeError

    worker.come("a")
    worker.look()
    worker.presence.rooms.attach(ON_PROJECT, "s1", "Broken", broken)
    for _ in range(2):  # to enter again changes nothing
        worker.presence.rooms.attach(ON_PROJECT, "s2", "Fine", heard.append)
    worker.come("b", person=2)
    await clock.advance(TICK_S)
    assert [[each.name for each in diff.joins] for diff in heard] == [["P1"], ["P2"]]
    worker.presence.rooms.detach(ON_PROJECT, "s2")
    worker.presence.depart("a", closed=False)
    await clock.advance(TICK_S)
    assert len(heard) == 2


async def test_workers_tell_each_other(clock: ManualClock) -> None:
    """A person with a tab on each is one member, and one tab's leave no leave."""
    network = MemoryNetwork()
    one, two = Worker("one", network, clock), Worker("two", network, clock)
    async with running(one, two):
        one.look()
        one.come("a")
        two.come("b")
        await clock.advance(3 * TICK_S)
        assert one.people() == two.people() == {1: ("online", 2)}
        one.diffs()
        two.presence.depart("b", closed=False)
        await clock.advance(3 * TICK_S)
        assert one.diffs() == [([], [], [("P1", "online", 1)])]


async def test_a_worker_that_starts_later_knows_everybody_at_once(clock: ManualClock) -> None:
    """It asks."""
    network = MemoryNetwork()
    one, two = Worker("one", network, clock), Worker("two", network, clock)
    async with running(one):
        one.come("a")
        await clock.advance(1.0)
        async with running(two):
            await clock.advance(3 * TICK_S)
            assert two.people() == {1: ("online", 1)}


async def test_a_killed_workers_members_are_gone_within_its_lease(clock: ManualClock) -> None:
    """And not much earlier: it may only be slow."""
    network = MemoryNetwork()
    one, two = Worker("one", network, clock), Worker("two", network, clock)
    async with running(one, two):
        two.come("b")
        await clock.advance(1.0)
        for task in two.presence._tasks:  # killed: it says nothing more
            task.cancel()
        await clock.advance(LEASE_S - 6)
        assert one.people() == {1: ("online", 1)}
        await clock.advance(6)
        assert one.people() == {}


async def test_a_stopped_workers_members_have_the_grace_to_come_back(clock: ManualClock) -> None:
    """On another worker: no leave and no join."""
    network = MemoryNetwork()
    one, two = Worker("one", network, clock), Worker("two", network, clock)
    async with running(one):
        async with running(two):
            two.come("b")
            await clock.advance(1.0)
            one.look()
        one.come("c")
        await clock.advance(GRACE_S * 2)
        assert one.people() == {1: ("online", 1)}
        assert all(not joins and not leaves for joins, leaves, _ in one.diffs())


async def test_while_the_provider_is_away_a_worker_goes_on_alone(clock: ManualClock) -> None:
    """And agrees with the others when it is back."""
    network = MemoryNetwork()
    one, two = Worker("one", network, clock), Worker("two", network, clock)
    async with running(two):
        await one.presence.start()  # its provider is not connected
        one.come("a")
        two.come("b", person=2)
        await clock.advance(LEASE_S)
        assert one.people() == {1: ("online", 1)}
        await one.provider.connect("late")
        await clock.advance(6.0)
        assert one.people() == two.people() == {1: ("online", 1), 2: ("online", 1)}
        await one.presence.stop()


async def test_what_others_put_on_the_wire_is_not_believed(clock: ManualClock) -> None:
    """Without the secret, nobody is made present."""
    network = MemoryNetwork()
    one, forger = Worker("one", network, clock), Worker("forger", network, clock, key="another")
    async with running(one, forger):
        forger.come("x")
        await clock.advance(3 * TICK_S)
        assert one.people() == {}
        said = {"kind": "bye", "worker": "one", "number": 1, "version": 1}
        await forger.provider.publish(WIRE_CHANNEL, WireMessage("id", "presence", said, 1, "forger"))
        await clock.advance(1.0)
        assert one.people() == {}
