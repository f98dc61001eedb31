"""What workers tell each other: whatever is lost, doubled or reordered, all agree once beats come through."""

import copy
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Json
from realtime_ui.hub.members import Activity, Meta
from realtime_ui.hub.roster import ASK_AGAIN_S, BEAT_S, CHUNK_BYTES, LEASE_S, PARTING_S, Roster, Said

TENANT = uuid.UUID(int=1)


def meta(tab: str, person: int = 1, state: Activity = Activity.ONLINE, channel: str | None = "project:x") -> Meta:
    """A tab."""
    where = ChannelName.parse(channel) if channel else None
    return Meta(tab, TENANT, uuid.UUID(int=person), "Ada", 1, 2, "desktop", "Chrome 1", where, state)


class Worker:
    """A roster, and what it told of changes put together."""

    def __init__(self, name: str) -> None:
        self.tabs: dict[str, Meta] = {}
        self.roster = Roster(name, self._changed)

    def _changed(self, before: Meta | None, after: Meta | None) -> None:
        assert before != after
        if before is not None:
            assert self.tabs.pop(before.tab) == before
        if after is not None:
            assert after.tab not in self.tabs
            self.tabs[after.tab] = after

    def hear(self, said: list[Said], now: float = 0.0) -> None:
        """Take what another told, in order."""
        for each in said:
            self.roster.receive(copy.deepcopy(each), now)

    def say(self, now: float = 0.0) -> list[Said]:
        """What it tells."""
        return list(self.roster.outgoing(now))


def test_a_meta_comes_back_as_it_was_told() -> None:
    """Those elsewhere in the app too."""
    for each in (meta("a", state=Activity.TYPING), meta("b", channel=None)):
        assert Meta.from_json(each.to_json()) == each


def test_changes_go_in_numbered_diffs() -> None:
    """A tab that came and changed in between is told once, and one that is gone as nothing."""
    one, two = Worker("one"), Worker("two")
    one.say()
    one.roster.put(meta("a"))
    one.roster.put(meta("a", state=Activity.AWAY))
    one.roster.put(meta("b"))
    one.roster.drop("b")
    [diff] = one.say()
    assert (diff["kind"], diff["version"], len(diff["tabs"])) == ("diff", 1, 2)
    two.hear([diff])
    assert two.tabs == one.tabs == {"a": meta("a", state=Activity.AWAY)}
    assert one.say() == []


def test_a_beat_goes_out_at_its_interval() -> None:
    """And tells the version."""
    one = Worker("one")
    assert [each["kind"] for each in one.say(0.0)] == ["ask", "beat"]
    assert one.say(BEAT_S - 0.1) == []
    assert [each["kind"] for each in one.say(BEAT_S)] == ["beat"]


def test_a_new_worker_asks_everybody_and_gets_the_whole_state() -> None:
    """At once, without waiting for a beat."""
    one, two = Worker("one"), Worker("two")
    for number in range(3):
        one.roster.put(meta(f"t{number}"))
    one.say()
    one.hear(two.say())
    two.hear(one.say())
    assert two.tabs == one.tabs


def test_who_missed_a_diff_asks_and_not_again_before_a_second() -> None:
    """Several at once are one question."""
    one, two = Worker("one"), Worker("two")
    two.say()
    one.say()
    for number in range(3):
        one.roster.put(meta(f"t{number}"))
        said = one.say()
        if number:
            two.hear(said)
    assert [(each["kind"], each["of"]) for each in two.say()] == [("ask", "one")]
    beat = one.say(BEAT_S)
    two.hear(beat, ASK_AGAIN_S / 2)
    assert two.say(ASK_AGAIN_S / 2) == []
    one.hear([{"kind": "ask", "worker": "two", "number": 9, "version": 0, "of": "one"}], 6.0)
    two.hear(one.say(6.0), 6.0)
    assert two.tabs == one.tabs


def test_a_large_state_goes_in_parts_below_the_bound() -> None:
    """Diffs too; a state of which a part is missing is not taken."""
    one, two, three = Worker("one"), Worker("two"), Worker("three")
    for number in range(500):
        one.roster.put(meta(f"tab-{number}", person=number))
    diffs = [each for each in one.say() if each["kind"] == "diff"]
    assert len(diffs) > 1
    two.hear(diffs)
    assert len(two.tabs) == 500
    one.hear([{"kind": "ask", "worker": "three", "number": 1, "version": 0, "of": ""}])
    parts = [each for each in one.say() if each["kind"] == "full"]
    assert all(len(str(each)) < CHUNK_BYTES + 2_000 for each in [*diffs, *parts])
    three.hear(parts[1:])
    assert three.tabs == {}
    three.hear(parts[:1])
    assert three.tabs == one.tabs


def test_a_silent_worker_is_forgotten_after_its_lease() -> None:
    """What comes late or twice does not prolong it."""
    one, two = Worker("one"), Worker("two")
    one.roster.put(meta("a"))
    said = one.say(0.0)
    two.hear(said, 0.0)
    two.hear(said, LEASE_S - 1)
    two.roster.expire(LEASE_S)
    assert two.tabs
    two.roster.expire(LEASE_S + 0.1)
    assert two.tabs == {}


def test_beats_keep_a_worker() -> None:
    """For as long as they come."""
    one, two = Worker("one"), Worker("two")
    one.roster.put(meta("a"))
    for step in range(20):
        now = step * BEAT_S
        two.hear(one.say(now), now)
        two.roster.expire(now)
        assert two.tabs == one.tabs


def test_a_worker_that_says_goodbye_is_kept_only_until_its_tabs_are_back() -> None:
    """Not for the whole lease."""
    one, two = Worker("one"), Worker("two")
    one.roster.put(meta("a"))
    two.hear([*one.say(), one.roster.goodbye()], 100.0)
    two.roster.expire(100.0 + PARTING_S - 0.1)
    assert two.tabs
    two.roster.expire(100.0 + PARTING_S + 0.1)
    assert two.tabs == {}


def test_a_worker_that_was_forgotten_and_goes_on_is_known_again() -> None:
    """Its next beat has the others ask."""
    one, two = Worker("one"), Worker("two")
    one.roster.put(meta("a"))
    two.say()
    two.hear(one.say(0.0), 0.0)
    two.roster.expire(60.0)
    assert two.tabs == {}
    two.hear(one.say(60.0), 60.0)
    one.hear(two.say(60.0), 60.0)
    two.hear(one.say(60.0), 60.0)
    assert two.tabs == one.tabs


@pytest.mark.parametrize("said", [None, "x", {}, {"worker": "one"}, {"worker": "one", "kind": "diff", "number": 1}])
def test_what_cannot_be_read_is_dropped(said: Json) -> None:
    """And harms nothing."""
    two = Worker("two")
    two.roster.receive(said, 0.0)
    two.roster.receive(
        {"worker": "one", "kind": "diff", "number": 1, "version": 1, "tabs": [["a", ["a", "no uuid"]]]}, 0.0
    )
    assert two.tabs == {}


Net = list[tuple[str, Said]]
CHANGES: list[Callable[[Worker, str], Any]] = [
    lambda worker, tab: worker.roster.put(meta(tab)),
    lambda worker, tab: worker.roster.put(meta(tab, state=Activity.TYPING)),
    lambda worker, tab: worker.roster.put(meta(tab, channel="session:y")),
    lambda worker, tab: worker.roster.drop(tab),
]


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, len(CHANGES) - 1),
            st.integers(0, 4),
            st.sampled_from(["lose", "keep", "double", "hold"]),
        ),
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_any_interleaving_of_lost_doubled_and_reordered_gossip_comes_to_the_truth(
    steps: list[tuple[int, int, int, str]], dice: random.Random
) -> None:
    """Once beats flow, all three know all tabs of all three."""
    names = ["one", "two", "three"]
    workers = {name: Worker(name) for name in names}
    air: Net = []  # (to whom, what)
    now = 0.0

    def spread(name: str, fate: str) -> None:
        for said in workers[name].say(now):
            for other in names:
                times = {"lose": dice.choice([0, 1]), "keep": 1, "double": 2, "hold": 1}[fate]
                air.extend([(other, said)] * times)

    for index, change, tab, fate in steps:
        now += dice.random() * 2
        CHANGES[change](workers[names[index]], f"{names[index]}-{tab}")
        spread(names[index], fate)
        dice.shuffle(air)
        for _ in range(0 if fate == "hold" else dice.randint(0, len(air))):
            to, said = air.pop()
            workers[to].hear([said], now)
        for worker in workers.values():
            worker.roster.expire(now)
    dice.shuffle(air)
    for to, said in air:
        workers[to].hear([said], now)
    air.clear()
    for _ in range(4):  # rounds of beats, questions and answers, all of which arrive
        now += BEAT_S
        for _ in range(3):
            for name in names:
                spread(name, "keep")
            for to, said in air:
                workers[to].hear([said], now)
            air.clear()
    truth = {tab: meta for name, worker in workers.items() for tab, meta in worker.tabs.items() if tab.startswith(name)}
    assert all(worker.tabs == truth for worker in workers.values())
