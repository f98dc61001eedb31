"""Who emitted an event, as rows show it."""

import uuid

import pytest

from realtime_ui.core.emitters import emitter_of
from realtime_ui.core.principals import ApiKey, Person, Role

ID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        (Person(ID, ID, "N", "Ada Lovelace", "a@n.test", Role.ADMIN, ID).stamp, ("person", "Ada Lovelace")),
        (ApiKey(ID, ID, "billing bot", frozenset()).stamp, ("key", "billing bot")),
        (f"person:{ID}", ("person", str(ID))),
        (f"key:{ID}", ("key", str(ID))),
        ("foreign:react page", ("foreign", "react page")),
        ("foreign:", ("foreign", "")),
        ("app", ("app", "")),
    ],
)
def test_a_stamp_says_what_kind_and_whose(stamp: str, shown: tuple[str, str]) -> None:
    """Those of before names were kept say the id."""
    assert emitter_of(stamp) == {"kind": shown[0], "name": shown[1]}


def test_of_no_stamp_nothing_is_known() -> None:
    """And nothing is shown."""
    assert emitter_of("") is None
