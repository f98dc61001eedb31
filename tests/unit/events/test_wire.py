"""How messages travel, and how foreign ones are told apart."""

import dataclasses
import uuid

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.core.payloads import Unreadable
from realtime_ui.events.wire import Notice, Signer, parse_wire_channel, wire_channel
from realtime_ui.providers.base import WireMessage

TENANT = uuid.UUID(int=3)
CHANNEL = ChannelName.parse("project:abc")
NAME = wire_channel(TENANT, CHANNEL)
MESSAGE = Message(TENANT, CHANNEL, 7, "epoch-1", "id-1", "project.updated", {"b": 1, "a": [2]}, 1_700_000_000_000)


def test_a_message_comes_back_as_it_was_sent() -> None:
    """Number, epoch and all."""
    signer = Signer("secret")
    assert signer.from_wire(NAME, signer.to_wire(MESSAGE, "worker-1")) == MESSAGE


def test_who_emitted_travels_with_a_message_and_nobody_can_change_it() -> None:
    """A changed name makes it unknown; the message itself stays ours."""
    signer = Signer("secret")
    fleeting = Ephemeral(TENANT, CHANNEL, "id-1", "session.message.delta", {"index": 0}, 1_700_000_000_000)
    for bare in (MESSAGE, fleeting):
        sent = dataclasses.replace(bare, emitted_by="key:8c1f billing-bot")
        wire = signer.to_wire(sent, "worker-1")
        assert signer.from_wire(NAME, wire) == sent
        for change in ({"by": "person:7 Ada"}, {"by_signature": "0" * 64}, {"by_signature": "ä"}):
            forged = dataclasses.replace(wire, headers={**wire.headers, **change})
            assert signer.from_wire(NAME, forged) == bare
        other = signer.to_wire(dataclasses.replace(sent, id="id-2"), "worker-1")
        moved = {**wire.headers, "by": other.headers["by"], "by_signature": other.headers["by_signature"]}
        assert signer.from_wire(NAME, dataclasses.replace(wire, headers=moved)) == bare


def test_workers_of_before_know_a_message_by_its_signature_alone() -> None:
    """And theirs are known here, without an emitter."""
    signer = Signer("secret")
    wire = signer.to_wire(dataclasses.replace(MESSAGE, emitted_by="key:8c1f bot"), "worker-1")
    old = {name: value for name, value in wire.headers.items() if not name.startswith("by")}
    assert signer.from_wire(NAME, dataclasses.replace(wire, headers=old)) == MESSAGE


def test_the_payload_travels_bare() -> None:
    """A foreign client finds the payload as data, and the rest beside it."""
    assert Signer("secret").to_wire(MESSAGE, "worker-1").data == MESSAGE.data


def test_the_order_of_keys_does_not_matter() -> None:
    """A provider may hand an object back in another order."""
    wire = Signer("secret").to_wire(MESSAGE, "worker-1")
    assert Signer("secret").from_wire(NAME, dataclasses.replace(wire, data={"a": [2], "b": 1})) is not None


def test_a_large_message_goes_as_a_notice_that_nobody_can_forge() -> None:
    """Its number is signed; a message small enough goes whole."""
    signer, size = Signer("secret"), len('{"b":1,"a":[2]}')
    wire = signer.to_wire(MESSAGE, "worker-1", size - 1)
    assert wire.data == {}
    assert signer.from_wire(NAME, wire) == Notice(TENANT, CHANNEL, 7, "epoch-1")
    assert Signer("another").from_wire(NAME, wire) is None
    bare = {name: value for name, value in wire.headers.items() if name != "notice"}
    assert signer.from_wire(NAME, dataclasses.replace(wire, headers=bare)) is None
    assert signer.from_wire(NAME, signer.to_wire(MESSAGE, "worker-1", size)) == MESSAGE


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"b": 2, "a": [2]}},
        {"name": "project.deleted"},
        {"id": "id-2"},
        {"timestamp": 1},
        {"headers": {}},
        {"headers": {"seq": "8", "epoch": "epoch-1", "signature": "0" * 64}},
        {"headers": {"seq": "8", "epoch": "epoch-1", "signature": "ä"}},
    ],
)
def test_a_changed_message_is_foreign(change: dict[str, object]) -> None:
    """Whatever was changed, it is no longer ours."""
    wire = Signer("secret").to_wire(MESSAGE, "worker-1")
    assert Signer("secret").from_wire(NAME, dataclasses.replace(wire, **change)) is None  # type: ignore[arg-type]


def test_another_channel_or_secret_makes_it_foreign() -> None:
    """A signature is good on its channel only, and under its secret."""
    wire = Signer("secret").to_wire(MESSAGE, "worker-1")
    assert Signer("secret").from_wire(wire_channel(uuid.UUID(int=4), CHANNEL), wire) is None
    assert Signer("other").from_wire(NAME, wire) is None


def test_wire_names_read_back() -> None:
    """And what is none raises."""
    assert parse_wire_channel(NAME) == (TENANT, CHANNEL)
    for wrong in ("", "project:abc", f"{TENANT}:planet:x"):
        with pytest.raises(ValueError, match=r".+"):
            parse_wire_channel(wrong)


def test_an_ephemeral_message_travels_without_a_number() -> None:
    """And nobody can give it one on the way."""
    signer = Signer("secret")
    sent = Ephemeral(TENANT, CHANNEL, "id-1", "session.message.delta", {"index": 0}, 1_700_000_000_000)
    wire = signer.to_wire(sent, "worker-1")
    assert signer.from_wire(NAME, wire) == sent
    numbered = {**wire.headers, "seq": "1", "epoch": "epoch-1"}
    assert signer.from_wire(NAME, dataclasses.replace(wire, headers=numbered)) is None
    stripped = {name: value for name, value in signer.to_wire(MESSAGE, "w").headers.items() if name == "signature"}
    assert signer.from_wire(NAME, dataclasses.replace(signer.to_wire(MESSAGE, "w"), headers=stripped)) is None


@pytest.mark.parametrize("change", [{"data": {"text": "\ud800"}}, {"headers": {"signature": "\ud800"}}])
def test_a_foreign_message_that_is_no_unicode_is_a_foreign_message(change: dict[str, object]) -> None:
    """The log refuses it by name; nothing breaks on the way there."""
    wire = Signer("secret").to_wire(MESSAGE, "worker-1")
    assert Signer("secret").from_wire(NAME, dataclasses.replace(wire, **change)) is None  # type: ignore[arg-type]


def nested(levels: int) -> dict[str, object]:
    """A payload of many levels."""
    value: object = 1
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


def test_an_unreadable_message_goes_as_a_notice() -> None:
    """Every hub reads it from the log, where it is decided what is shown of it."""
    signer = Signer("secret")
    message = dataclasses.replace(MESSAGE, data={}, unreadable=Unreadable(1_500, "depth"))
    wire = signer.to_wire(message, "worker-1")
    assert signer.from_wire(NAME, wire) == Notice(TENANT, CHANNEL, 7, "epoch-1")


@pytest.mark.parametrize("levels", [65, 300])
def test_what_an_earlier_release_sent_too_deep_is_taken_for_a_notice(levels: int) -> None:
    """It was signed, so it is in the log; an ephemeral one is in no log, and comes empty."""
    signer = Signer("secret")
    wire = signer.to_wire(dataclasses.replace(MESSAGE, data=nested(levels)), "worker-1")
    assert signer.from_wire(NAME, wire) == Notice(TENANT, CHANNEL, 7, "epoch-1")
    sent = Ephemeral(TENANT, CHANNEL, "id-1", "session.message.delta", nested(levels), 1_700_000_000_000)
    assert signer.from_wire(NAME, signer.to_wire(sent, "worker-1")) == dataclasses.replace(sent, data={})


def test_a_foreign_message_of_any_depth_is_only_a_foreign_one() -> None:
    """With a signature that somebody made up, or with none."""
    for headers in ({}, {"signature": "made up", "seq": "1", "epoch": "epoch-1"}):
        wire = WireMessage("id-1", "project.updated", nested(100_000), 1, "somebody", headers)
        assert Signer("secret").from_wire(NAME, wire) is None
