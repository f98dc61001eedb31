"""Our names and messages in Pusher's words, and back."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.core.messages import Json
from realtime_ui.providers.base import WireMessage
from realtime_ui.providers.pusher_names import (
    MAX_LENGTH,
    PRESENCE,
    PRIVATE,
    from_event,
    from_pusher,
    to_data,
    to_pusher,
)

ALPHABET = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,164}")
CHANNELS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(channel=CHANNELS, prefix=st.sampled_from([PRIVATE, PRESENCE]))
def test_every_name_is_one_of_pushers_and_comes_back(channel: str, prefix: str) -> None:
    """One that is too long goes by its digest, which only who subscribed can tell."""
    name = to_pusher(channel, prefix)
    assert ALPHABET.fullmatch(name)
    assert from_pusher(name) in (channel, None)
    if "==" not in name:
        assert from_pusher(name) == channel


@given(one=CHANNELS, other=CHANNELS)
def test_two_channels_never_share_a_name(one: str, other: str) -> None:
    """However they are made."""
    assert (to_pusher(one) == to_pusher(other)) is (one == other)


def test_a_usual_name_can_be_read() -> None:
    """And the longest id there is fits, if only by its digest."""
    assert to_pusher("t:project:abc.1~x") == "private-t;project;abc.1=7Ex"
    longest = f"00000000-0000-0000-0000-000000000001:organization:{'x' * 128}"
    assert len(to_pusher(longest)) <= MAX_LENGTH


@pytest.mark.parametrize(
    "name",
    ["open", "private-", "private-=3", "private-=3a", "private-=FF", "private-a:b", "private-==" + "0" * 64],
)
def test_what_is_none_of_our_names_is_told_apart(name: str) -> None:
    """Another spelling of one is none either: two names for a channel would be two ways past a check."""
    assert from_pusher(name) in (None, "")


@given(data=VALUES, id=TEXTS, name=TEXTS, client=TEXTS, headers=st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_every_message_comes_back_as_it_was(
    data: Json, id: str, name: str, client: str, headers: dict[str, str]
) -> None:
    """Whatever the payload is."""
    message = WireMessage(id, name, data, 1_700_000_000_000, client, headers)
    assert from_event(name, to_data(message)) == message


def test_a_payload_travels_with_one_member_beside_its_own() -> None:
    """A foreign client finds its fields where they are."""
    data = json.loads(to_data(WireMessage("id", "a.b", {"n": 1}, 1, "worker", {"seq": "7"})))
    assert data["n"] == 1
    assert set(data) == {"n", "_realtime"}


def test_a_client_event_says_nothing_of_itself() -> None:
    """Whoever sends one may write anything into it, also what stands beside our own payloads."""
    forged = to_data(WireMessage("id", "client-a.b", {"n": 1}, 1, "somebody else", {"signature": "x"}))
    got = from_event("client-a.b", forged, "ada")
    assert (got.name, got.client_id, got.headers) == ("a.b", "ada", {})
    assert got.id != "id"


@pytest.mark.parametrize("data", ['{"n": 1}', {"n": 1}])
def test_a_foreign_event_is_a_message_with_an_id_of_its_own(data: Json) -> None:
    """A client event is known by what follows `client-`."""
    one, other = (from_event("client-project.noted", data, "ada") for _ in range(2))
    assert (one.name, one.data, one.client_id, dict(one.headers)) == ("project.noted", {"n": 1}, "ada", {})
    assert one.id != other.id


@pytest.mark.parametrize("data", ["plain", '{"_realtime": 1}', '{"_realtime": {"id": "x"}}', "[1]", None, 7])
def test_whatever_a_foreign_client_sends_is_a_message(data: Json) -> None:
    """Nothing of it breaks the reader."""
    assert from_event("news", data).name == "news"
