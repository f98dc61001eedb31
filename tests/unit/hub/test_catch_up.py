"""A log that goes back under the hub: whoever reads shows what it has, and nobody else begins again."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_ui.core.messages import Message
from realtime_ui.core.position import Position
from realtime_ui.hub.subscribe import SubscribeRequest, read_page
from realtime_ui.hub.watched import Frame
from tests.unit.hub.test_hub import CHANNEL, KEY, Stage


@dataclass
class Reader:
    """A tab: it shows what it is handed, and asks for a page where that does not follow on what it has."""

    stage: Stage
    position: Position = Position.EMPTY
    tags: list[str] = field(default_factory=list)
    resets: int = 0
    behind: bool = False

    def take(self, frame: Frame) -> None:
        """The sink."""
        if not frame.messages and not frame.ephemeral:
            self.behind = True
        fresh = [each for each in frame.messages if each.seq > self.position.seq]
        if fresh and (fresh[0].seq != self.position.seq + 1 or not self.position.continues_in(frame.epoch)):
            self.behind = True
        if fresh and not self.behind:
            self.show(fresh)

    def show(self, messages: Sequence[Message]) -> None:
        """Rows appear."""
        for message in messages:
            self.tags.append(message.tag)
            self.position = Position(message.epoch, message.seq, message.tag)

    async def catch_up(self) -> None:
        """Ask for pages until the head is reached."""
        while self.behind:
            wish = SubscribeRequest(CHANNEL, self.position, 500, ())
            page = await read_page(self.stage.shelf, KEY, wish, self.stage.check)
            if page.reset:
                self.tags.clear()
                self.resets += 1
            self.position = page.start.position
            self.show(page.rows)
            self.behind = page.more

    @property
    def is_whole(self) -> bool:
        """Whether it shows the log."""
        return self.tags == [message.tag for message in self.stage.shelf.messages]


LOSSES = st.lists(
    st.tuples(
        st.integers(1, 4), st.sampled_from(["deliver", "drop", "lose", "lose", "lose and fail"]), st.integers(0, 900)
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200)
@given(LOSSES)
async def test_however_often_the_log_goes_back_every_reader_shows_the_log(steps: list[tuple[int, str, int]]) -> None:
    """Whether or not other messages took the numbers, and whether the wire brought those that were lost or the others.

    A tab that was there all the time, and one that comes back at the end with what it had in the beginning.
    """
    async with Stage() as stage:
        there, away = Reader(stage), Reader(stage)
        await stage.hub.attach(KEY, there.take)
        stage.hub.deliver(stage.shelf.append(6))
        await stage.clock.advance(0.1)
        away.show(stage.shelf.messages)
        for count, fate, pause_ms in steps:
            if fate == "deliver":
                stage.hub.deliver(stage.shelf.append(count))
            elif fate == "drop":
                stage.shelf.append(count)
            else:
                lost = stage.shelf.append(1) if fate == "lose and fail" else []
                stage.shelf.lose(count)
                stage.hub.deliver(lost)
            await stage.clock.advance(pause_ms / 1000)
            await there.catch_up()
        for _ in range(4):
            await stage.clock.advance(1)
            await there.catch_up()
        assert there.is_whole
        away.behind = True
        await away.catch_up()
        assert away.is_whole
        assert stage.hub.lag_s == 0


async def test_a_log_that_went_back_begins_a_new_epoch_for_all() -> None:
    """At the next sweep, though nothing else happens; what stands at the head then is the first of it."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(5))
        stage.shelf.lose(2)
        await stage.clock.advance(2.1)
        assert (stage.frames[-1].epoch, stage.frames[-1].messages) == ("e1'", ())
        stage.hub.deliver(stage.shelf.append())
        assert [(each.seq, each.epoch) for each in stage.frames[-1].messages] == [(4, "e1'")]


async def test_another_message_with_a_known_number_is_looked_into_at_once() -> None:
    """Also when more follow on it in the same moment, which would hide what is wrong."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(5))
        stage.shelf.lose(2)
        stage.hub.deliver(stage.shelf.append(4))
        await stage.clock.advance(0.1)
        assert (stage.frames[-1].epoch, stage.frames[-1].messages) == ("e1'", ())


async def test_a_message_that_seems_to_follow_on_a_lost_one_hides_nothing() -> None:
    """The wire lost what would have contradicted, and the head's own row is right: after a break all are compared."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(5))
        stage.shelf.lose(2)
        stage.shelf.append(2)
        stage.hub.deliver(stage.shelf.append())
        await stage.clock.advance(0.1)
        assert stage.seqs == [1, 2, 3, 4, 5, 6]
        await stage.clock.advance(2.5)
        assert (stage.frames[-1].epoch, stage.frames[-1].messages) == ("e1'", ())
        stage.shelf.connections_lost += 1  # and where nothing differs, a break resets nobody
        await stage.clock.advance(5)
        assert [frame.epoch for frame in stage.frames if not frame.messages] == ["e1'"]


async def test_a_late_message_of_the_past_resets_nobody() -> None:
    """Where the log has what was handed on, a message that contradicts it is the one that is wrong."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(5))
        stage.hub.deliver([replace(stage.shelf.messages[3], id="lost")])
        stage.hub.deliver(stage.shelf.append())
        await stage.clock.advance(3)
        assert stage.seqs == [1, 2, 3, 4, 5, 6]
        assert {frame.epoch for frame in stage.frames} == {"e1"}


async def test_a_known_message_that_the_log_lost_is_waited_for_no_longer() -> None:
    """It came before those below it, and then neither it nor they were there."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append(2))
        lost = stage.shelf.append(3)[2]
        stage.shelf.lose(3)
        stage.hub.deliver([lost])
        await stage.clock.advance(0.1)
        assert stage.hub.lag_s == 0
        stage.hub.deliver(stage.shelf.append(3))
        assert [each.tag for frame in stage.frames for each in frame.messages] == [
            each.tag for each in stage.shelf.messages
        ]


async def test_a_channel_that_is_gone_with_its_log_begins_anew() -> None:
    """The failover lost its first event, and so the channel."""
    async with Stage() as stage:
        await stage.hub.attach(KEY, stage.take)
        stage.hub.deliver(stage.shelf.append())
        stage.shelf.lose(1)
        await stage.clock.advance(2.1)
        assert (stage.frames[-1].epoch, stage.frames[-1].messages) == ("", ())
        stage.shelf.epoch = "e2"
        stage.hub.deliver(stage.shelf.append())
        assert [(each.seq, each.epoch) for each in stage.frames[-1].messages] == [(1, "e2")]
