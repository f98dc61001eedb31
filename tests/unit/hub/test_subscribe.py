"""What a subscription asks for, and where its rows begin."""

import uuid
from collections.abc import Mapping

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Head, Message, row_tag
from realtime_ui.core.position import Follow, Position
from realtime_ui.hub.subscribe import Page, SubscribeRequest, find_start, read_page
from realtime_ui.persistence.event_log import ChannelKey, Look

KEY = (uuid.uuid4(), ChannelName.parse("project:x"))


class Log:
    """A log that goes on to the next of its states after each look at a head, and remembers who had it compared.

    Args:
        states: (epoch, last seq), of a log that keeps all; an epoch of "" is a channel that is not there yet.
        first: the first seq that it keeps.
    """

    def __init__(self, *states: tuple[str, int], first: int = 1) -> None:
        self._states = list(states)
        self._first = first
        self.checks = 0

    async def look(self, asked: Mapping[ChannelKey, int | None]) -> dict[ChannelKey, Look]:
        """The head of the present state, which is then over."""
        epoch, last = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        seq = last if asked[KEY] is None else asked[KEY]
        known = seq is not None and self._first <= seq <= last
        return {KEY: Look(Head(epoch, self._first, last), tag(epoch, seq or 0) if known else "")} if epoch else {}

    async def read(
        self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int
    ) -> list[Message]:
        """Its rows."""
        epoch, last = self._states[0]
        seqs = range(max(after + 1, self._first), last + 1)
        return [Message(tenant, channel, seq, epoch, f"{epoch}-{seq}", "news", None, 0) for seq in seqs]

    async def check(self, key: ChannelKey) -> None:
        """The hub's look."""
        self.checks += 1

    async def page(self, **wish: object) -> Page:
        """What a tab gets."""
        return await read_page(self, KEY, SubscribeRequest.parse({"channel": "project:x", **wish}), self.check)


def tag(epoch: str, seq: int) -> str:
    """That of the row which `Log` has there."""
    return row_tag(f"{epoch}-{seq}", 0)


@pytest.mark.parametrize(
    ("position", "how", "after"),
    [
        (None, Follow.FRESH, 18),
        (Position("e1", 15, tag("e1", 15)), Follow.RESUME, 15),
        (Position("e1", 15), Follow.RESUME, 15),
        (Position("e1", 20, tag("e1", 20)), Follow.RESUME, 20),
        (Position("e1", 3, tag("e1", 3)), Follow.GAP, 10),
        (Position("e0", 15, tag("e1", 15)), Follow.RESET, 18),
        (Position("e1", 30), Follow.RESET, 18),
        (Position("e1", 15, tag("lost", 15)), Follow.RESET, 18),
        (Position("e1", 20, tag("lost", 20)), Follow.RESET, 18),
    ],
)
async def test_where_the_rows_begin(position: Position | None, how: Follow, after: int) -> None:
    """On a channel of epoch e1 that keeps 11 to 20, with a rewind of 2."""
    log = Log(("e1", 20), first=11)
    start = await find_start(log, KEY, position, 2, log.check)
    assert (start.how, start.position.seq, start.position.epoch) == (how, after, "e1")
    contradicted = position is not None and position.epoch == "e1" and how is Follow.RESET
    assert log.checks == contradicted


async def test_a_page_is_of_one_epoch_though_the_first_event_comes_while_it_is_read() -> None:
    """A tab that was told rows of no epoch would ask for them again, and have them twice."""
    page = await Log(("", 0), ("e1", 1)).page()
    assert (page.head, page.start.position.seq, page.reset, page.more) == (Head("e1", 1, 1), 0, False, False)
    assert [row.seq for row in page.rows] == [1]


async def test_a_page_is_of_one_epoch_though_another_begins_while_it_is_read() -> None:
    """What the tab has is void, as if it had asked a moment later."""
    page = await Log(("e1", 2), ("e2", 3)).page(last=2, epoch="e1")
    assert (page.head.epoch, page.start.position.seq, page.reset) == ("e2", 0, True)
    assert [row.id for row in page.rows] == ["e2-1", "e2-2", "e2-3"]


async def test_a_page_says_the_tag_of_the_last_row_that_the_tab_then_has() -> None:
    """Of the page's own, of the one it had, or of the head behind which it begins."""
    log = Log(("e1", 20))
    assert (await log.page()).tag == tag("e1", 20)
    assert (await log.page(last=20, epoch="e1", tag=tag("e1", 20))).tag == tag("e1", 20)
    assert (await log.page(rewind=0)).tag == tag("e1", 20)
    assert (await log.page(last=20, epoch="e0", tag=tag("e0", 20), rewind=0)).tag == tag("e1", 20)
    assert (await Log(("", 0)).page()).tag == ""
