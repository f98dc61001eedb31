"""What a subscription asks for."""

import uuid

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Head, Message
from realtime_ui.hub.subscribe import SubscribeRequest, read_page

KEY = (uuid.uuid4(), ChannelName.parse("project:x"))


@pytest.mark.parametrize(
    ("last", "epoch", "kind"),
    [
        (None, "", "fresh"),
        (15, "e1", "resume"),
        (20, "e1", "resume"),
        (3, "e1", "gap"),
        (15, "e0", "reset"),
        (30, "e1", "reset"),
    ],
)
def test_how_the_rows_begin_has_a_name(last: int | None, epoch: str, kind: str) -> None:
    """On a channel of epoch e1 that keeps 11 to 20."""
    wish = SubscribeRequest.parse({"channel": "project:x", "last": last, "epoch": epoch})
    assert wish.kind(*wish.begin(Head("e1", 11, 20))) == kind


class Log:
    """A log that goes on to the next of its states after each look at a head.

    Args:
        states: (epoch, last seq), of a log that keeps all; an epoch of "" is a channel that is not there yet.
    """

    def __init__(self, *states: tuple[str, int]) -> None:
        self._states = list(states)

    async def head(self, tenant: uuid.UUID, channel: ChannelName) -> Head | None:
        """The head of the present state, which is then over."""
        epoch, last = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return Head(epoch, 1, last) if epoch else None

    async def read(
        self, tenant: uuid.UUID, channel: ChannelName, *, after: int, limit: int, max_bytes: int
    ) -> list[Message]:
        """Its rows."""
        epoch, last = self._states[0]
        seqs = range(after + 1, last + 1)
        return [Message(tenant, channel, seq, epoch, f"{epoch}-{seq}", "news", None, 0) for seq in seqs]


async def test_a_page_is_of_one_epoch_though_the_first_event_comes_while_it_is_read() -> None:
    """A tab that was told rows of no epoch would ask for them again, and have them twice."""
    page = await read_page(Log(("", 0), ("e1", 1)), KEY, SubscribeRequest.parse({"channel": "project:x"}))
    assert (page.head, page.after, page.reset, page.more) == (Head("e1", 1, 1), 0, False, False)
    assert [row.seq for row in page.rows] == [1]


async def test_a_page_is_of_one_epoch_though_another_begins_while_it_is_read() -> None:
    """What the tab has is void, as if it had asked a moment later."""
    wish = SubscribeRequest.parse({"channel": "project:x", "last": 2, "epoch": "e1"})
    page = await read_page(Log(("e1", 2), ("e2", 3)), KEY, wish)
    assert (page.head.epoch, page.after, page.reset) == ("e2", 0, True)
    assert [row.id for row in page.rows] == ["e2-1", "e2-2", "e2-3"]
