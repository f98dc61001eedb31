"""Who is present on a channel at Ably, by client id."""

from ably.types.presence import PresenceAction as Action
from ably.types.presence import PresenceMessage
from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.providers.ably_channels import Members
from realtime_ui.providers.base import PresenceAction, PresenceChange, PresenceMember

NAMES, CONNECTIONS = st.sampled_from("abc"), st.sampled_from("123")


def said(action: int, name: str, connection: str, data: object = None) -> PresenceMessage:
    """What Ably sends."""
    return PresenceMessage(id=f"{connection}:0:0", action=action, client_id=name, connection_id=connection, data=data)


def test_somebody_with_two_connections_is_one_member() -> None:
    """Enters once, and leaves with the last one, saying what they said last."""
    members = Members()
    assert members.take(said(Action.ENTER, "ada", "1", {"n": 1})) == PresenceChange(
        PresenceAction.ENTER, PresenceMember("ada", {"n": 1})
    )
    assert members.take(said(Action.ENTER, "ada", "2", {"n": 2})) == PresenceChange(
        PresenceAction.UPDATE, PresenceMember("ada", {"n": 2})
    )
    assert members.take(said(Action.LEAVE, "ada", "1")) is None
    assert members.take(said(Action.LEAVE, "ada", "2")) == PresenceChange(
        PresenceAction.LEAVE, PresenceMember("ada", {"n": 2})
    )


def test_a_leave_that_comes_again_is_told_once() -> None:
    """As it does during a sync."""
    members = Members()
    members.take(said(Action.PRESENT, "ada", "1"))
    assert members.take(said(Action.LEAVE, "ada", "1")) is not None
    assert members.take(said(Action.LEAVE, "ada", "1")) is None


def test_a_sync_that_says_nothing_new_tells_nothing() -> None:
    """It names everyone again."""
    members = Members()
    members.take(said(Action.ENTER, "ada", "1", {"n": 1}))
    assert members.take(said(Action.PRESENT, "ada", "1", {"n": 1})) is None
    assert members.take(said(Action.PRESENT, "ada", "1", {"n": 2})) is not None


@given(
    before=st.lists(st.tuples(st.sampled_from([Action.ENTER, Action.UPDATE, Action.LEAVE]), NAMES, CONNECTIONS)),
    there=st.sets(st.tuples(NAMES, CONNECTIONS)),
)
def test_what_is_told_always_adds_up(before: list[tuple[int, str, str]], there: set[tuple[str, str]]) -> None:
    """Whoever follows the changes knows who is present, also after a correction; a second one changes nothing."""
    members, known = Members(), set[str]()
    present = [said(Action.PRESENT, *each) for each in sorted(there)]
    changes = [members.take(said(*each)) for each in before]
    for change in [*filter(None, changes), *members.correct(present)]:
        if change.action is PresenceAction.LEAVE:
            known.remove(change.member.client_id)
        else:
            assert (change.member.client_id in known) is (change.action is PresenceAction.UPDATE)
            known.add(change.member.client_id)
    assert known == {name for name, _ in there}
    assert members.correct(present) == []
