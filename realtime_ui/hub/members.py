"""Who is present: a member is a person, and each of their tabs is a meta. What becomes of a list of members is a diff.

Nothing here waits or keeps anything.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.messages import Json

METAS_SHOWN = 20
"""Of so many tabs at most a member tells more than their number."""


class Activity(StrEnum):
    """What a tab says of its person, the liveliest first."""

    TYPING = "typing"
    ONLINE = "online"
    AWAY = "away"


LIVELINESS = list(Activity)


@dataclass(frozen=True, slots=True)
class Meta:
    """One tab of a person.

    `since` is when the person came with it, `entered` when it came onto its channel, both in ms since the Unix
    epoch. `channel` is None where the tab is elsewhere in the app. `device` is desktop, phone, tablet or program.
    """

    tab: str
    tenant: uuid.UUID
    person: uuid.UUID
    name: str
    since: int
    entered: int
    device: str
    browser: str
    channel: ChannelName | None = None
    state: Activity = Activity.ONLINE

    def to_json(self) -> list[Json]:
        """The meta as workers tell each other; `from_json` reads it."""
        return [
            self.tab,
            str(self.tenant),
            str(self.person),
            self.name,
            self.since,
            self.entered,
            self.device,
            self.browser,
            str(self.channel) if self.channel else "",
            self.state.value,
        ]

    @classmethod
    def from_json(cls, data: list[Json]) -> "Meta":
        """The reverse of `to_json`.

        Raises:
            ValueError, InvalidEvent: not made by it.
        """
        tab, tenant, person, name, since, entered, device, browser, channel, state = data
        where = ChannelName.parse(channel) if channel else None
        return cls(
            tab, uuid.UUID(tenant), uuid.UUID(person), name, since, entered, device, browser, where, Activity(state)
        )

    def row(self) -> dict[str, Json]:
        """The meta as tabs show it."""
        return {
            "tab": self.tab,
            "since": self.since,
            "entered": self.entered,
            "device": self.device,
            "browser": self.browser,
            "channel": str(self.channel) if self.channel else "",
            "state": self.state.value,
        }


@dataclass(frozen=True, slots=True)
class Member:
    """A person with their tabs, the oldest first.

    `since` is the earliest of the tabs', in ms since the Unix epoch; `tabs` how many there are, also beyond
    those that `metas` has.
    """

    person: uuid.UUID
    name: str
    state: Activity
    since: int
    tabs: int
    metas: tuple[Meta, ...]

    @classmethod
    def of(cls, metas: Iterable[Meta], shown: frozenset[ChannelType] | None = None) -> "Member | None":
        """The member whose tabs these are, or None where there is none.

        Args:
            metas: of one person.
            shown: the types of channels that may be told; None for all. A tab on another is elsewhere.
        """
        tabs = sorted(metas, key=lambda meta: (meta.entered, meta.tab))
        if not tabs:
            return None
        if shown is not None:
            tabs = [each if each.channel is None or each.channel.type in shown else _elsewhere(each) for each in tabs]
        state = min((each.state for each in tabs), key=LIVELINESS.index)
        # A person's name may have changed since an older tab came.
        name = tabs[-1].name
        since = min(each.since for each in tabs)
        return cls(tabs[0].person, name, state, since, len(tabs), tuple(tabs[:METAS_SHOWN]))

    def row(self) -> dict[str, Json]:
        """The member as tabs show them."""
        return {
            "person": str(self.person),
            "name": self.name,
            "state": self.state.value,
            "since": self.since,
            "tabs": self.tabs,
            "metas": [meta.row() for meta in self.metas],
        }


def _elsewhere(meta: Meta) -> Meta:
    return replace(meta, channel=None)


@dataclass(frozen=True, slots=True)
class PresenceDiff:
    """What changed in a list of members: who came, who went, whose tabs changed; `count` is how many there are now.

    Lists of more than 200 show 200; `count` counts all.
    """

    joins: tuple[Member, ...]
    leaves: tuple[Member, ...]
    updates: tuple[Member, ...]
    count: int

    def then(self, later: "PresenceDiff") -> "PresenceDiff":
        """Both diffs in one: who came and went again is in neither."""
        joins = {each.person: each for each in self.joins}
        leaves = {each.person: each for each in self.leaves}
        updates = {each.person: each for each in self.updates}
        for each in later.leaves:
            updates.pop(each.person, None)
            if joins.pop(each.person, None) is None:
                leaves[each.person] = each
        for each in later.joins:
            (joins if leaves.pop(each.person, None) is None else updates)[each.person] = each
        for each in later.updates:
            (joins if each.person in joins else updates)[each.person] = each
        return PresenceDiff(tuple(joins.values()), tuple(leaves.values()), tuple(updates.values()), later.count)

    def __bool__(self) -> bool:
        return bool(self.joins or self.leaves or self.updates)
