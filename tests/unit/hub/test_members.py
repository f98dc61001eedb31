"""A member is a person with all their tabs; diffs put together say what is so in the end."""

import uuid
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.hub.members import METAS_SHOWN, Activity, Member, Meta, PresenceDiff

TENANT = uuid.UUID(int=1)


def meta(tab: str, *, person: int = 1, since: int = 5, state: Activity = Activity.ONLINE, channel: str = "") -> Meta:
    """A tab."""
    where = ChannelName.parse(channel) if channel else None
    return Meta(tab, TENANT, uuid.UUID(int=person), "Ada", since, since, "desktop", "Chrome 1", where, state)


def member(person: int, tabs: int) -> Member:
    """A member with so many tabs."""
    found = Member.of(meta(f"t{number}", person=person) for number in range(tabs))
    assert found is not None
    return found


def test_a_member_is_as_lively_as_the_liveliest_tab() -> None:
    """Typing before online before away, and since the oldest tab."""
    found = Member.of([meta("a", since=7, state=Activity.AWAY), meta("b", since=3)])
    assert found is not None
    assert (found.state, found.since, found.tabs) == (Activity.ONLINE, 3, 2)
    assert [each.tab for each in found.metas] == ["b", "a"]
    typing = Member.of([meta("a"), meta("b", state=Activity.TYPING)])
    assert typing is not None
    assert typing.state is Activity.TYPING


def test_without_a_tab_there_is_no_member() -> None:
    """One tab's leave removes nobody; the last one's does."""
    assert Member.of([]) is None


def test_more_tabs_than_are_shown_are_counted() -> None:
    """So that nobody makes everybody's list long."""
    found = member(1, METAS_SHOWN + 30)
    assert (found.tabs, len(found.metas)) == (METAS_SHOWN + 30, METAS_SHOWN)


def test_where_somebody_is_is_told_only_as_far_as_the_channel_may_be_known() -> None:
    """A tab on another one is elsewhere."""
    tabs = [meta("a", channel="system:alerts"), meta("b", channel="project:x")]
    found = Member.of(tabs, frozenset({ChannelType.PROJECT}))
    assert found is not None
    assert [str(each.channel or "") for each in found.metas] == ["", "project:x"]


@given(st.lists(st.dictionaries(st.integers(1, 5), st.integers(1, 3)), min_size=2, max_size=8))
def test_diffs_put_together_lead_from_the_first_list_to_the_last(lists: list[dict[int, int]]) -> None:
    """And name nobody twice, nor anybody who came and went."""
    states = [{person: member(person, tabs) for person, tabs in each.items()} for each in lists]
    diffs = [between(before, after) for before, after in pairwise(states)]
    total = diffs[0]
    for diff in diffs[1:]:
        total = total.then(diff)
    first, last = states[0], states[-1]
    people = {each.person for each in first.values()}
    assert {each.person for each in total.joins} == {each.person for each in last.values()} - people
    assert {each.person for each in total.leaves} == people - {each.person for each in last.values()}
    assert set(total.joins) | set(total.updates) >= {each for each in last.values() if each not in first.values()}
    named = [each.person for each in (*total.joins, *total.leaves, *total.updates)]
    assert len(named) == len(set(named))
    assert total.count == len(last)


def between(before: dict[int, Member], after: dict[int, Member]) -> PresenceDiff:
    """The diff of two lists."""
    return PresenceDiff(
        tuple(each for person, each in after.items() if person not in before),
        tuple(each for person, each in before.items() if person not in after),
        tuple(each for person, each in after.items() if person in before and before[person] != each),
        len(after),
    )
