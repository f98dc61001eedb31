"""Foreign messages, judged by the sender that the provider vouches for."""

import uuid

import pytest

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import InvalidEvent, NotAllowed
from realtime_ui.core.messages import Event, Json
from realtime_ui.core.principals import ApiKey, Person, Principal, Role, Scope
from realtime_ui.events.foreign_senders import ForeignSenders
from realtime_ui.events.routes import Routes
from realtime_ui.providers.base import WireMessage

HERE, ELSEWHERE = uuid.UUID(int=1), uuid.UUID(int=2)
PROJECT, SESSION, SYSTEM = (ChannelName.parse(each) for each in ("project:x", "session:x", "system:x"))
MEMBER = Person(uuid.UUID(int=7), HERE, "Northwind", "Max", "max@n.test", Role.MEMBER, uuid.UUID(int=7))
ADMIN = Person(uuid.UUID(int=8), HERE, "Northwind", "Ada", "ada@n.test", Role.ADMIN, uuid.UUID(int=8))
EMITTER = ApiKey(uuid.UUID(int=9), HERE, "billing-bot", frozenset({Scope.EMIT, Scope.TOKEN}))
READER = ApiKey(uuid.UUID(int=10), HERE, "pages", frozenset({Scope.READ, Scope.TOKEN}))
KNOWN: list[Principal] = [MEMBER, ADMIN, EMITTER, READER]


async def identify(tenant: uuid.UUID, kind: str, identity: uuid.UUID) -> Principal | None:
    """Who of those above that is."""
    label = f"{kind}:{identity}"
    return next((each for each in KNOWN if (each.tenant, each.label) == (tenant, label)), None)


def accepts(tenant: uuid.UUID, channel: ChannelName, type: str) -> bool:
    """One channel is open for notes."""
    return (tenant, channel, type) == (HERE, PROJECT, "project.noted")


SENDERS = ForeignSenders(identify, Routes(), accepts)


async def judged(
    sender: Principal | str,
    name: str = "project.updated",
    channel: ChannelName = PROJECT,
    *,
    data: Json = None,
    by_client: bool = True,
    id: str = "their-id",
) -> Event:
    """What a message becomes."""
    client_id = sender if isinstance(sender, str) else f"{sender.tenant}:{sender.label}"
    payload = {"n": 1} if data is None else data
    return await SENDERS.event(WireMessage(id, name, payload, 1, client_id, by_client=by_client), HERE, channel)


@pytest.mark.parametrize(
    ("sender", "name", "channel"),
    [
        (ADMIN, "project.updated", PROJECT),
        (ADMIN, "system.notice", SYSTEM),
        (EMITTER, "project.updated", PROJECT),
        (MEMBER, "session.message", SESSION),
    ],
)
async def test_what_a_sender_may_emit_here_is_accepted_under_its_name(
    sender: Principal, name: str, channel: ChannelName
) -> None:
    """Under the provider's id, with the sender stamped."""
    event = await judged(sender, name, channel)
    assert (event.id, event.type, event.payload) == ("their-id", name, {"n": 1})
    assert event.emitted_by == sender.stamp


@pytest.mark.parametrize(
    ("sender", "name", "channel"),
    [
        (MEMBER, "project.updated", PROJECT),
        (MEMBER, "session.ended", SESSION),
        (MEMBER, "session.message", PROJECT),
        (MEMBER, "weather.changed", PROJECT),
        (MEMBER, "project.noted", PROJECT),
    ],
)
async def test_what_a_member_may_not_emit_is_kept_as_foreign_under_their_name(
    sender: Principal, name: str, channel: ChannelName
) -> None:
    """They may post there, but not say just anything in the system's words, whatever the channel is open for."""
    event = await judged(sender, name, channel, data={"author": {"name": "Ada"}})
    assert event.type == "foreign.message"
    assert event.payload == {"name": name, "data": {"author": {"name": "Ada"}}}
    assert event.emitted_by == MEMBER.stamp


@pytest.mark.parametrize(
    ("sender", "channel"),
    [
        (MEMBER, SYSTEM),
        (READER, PROJECT),
        (f"{ELSEWHERE}:{ADMIN.label}", PROJECT),
        (f"{HERE}:person:{uuid.UUID(int=99)}", PROJECT),
        (f"{HERE}:key:{uuid.UUID(int=99)}", PROJECT),
        (f"{'-' * 36}:person:{'-' * 36}", PROJECT),
    ],
    ids=["a member on system", "a reading key", "another tenant", "a removed person", "a revoked key", "no ids"],
)
async def test_who_may_not_even_post_is_refused(sender: Principal | str, channel: ChannelName) -> None:
    """Nothing of it is kept."""
    with pytest.raises(NotAllowed):
        await judged(sender, "session.message", channel)


async def test_of_an_unknown_client_a_channel_accepts_what_it_is_open_for() -> None:
    """All else is kept as foreign."""
    assert (await judged("", "project.noted")).type == "project.noted"
    for name, channel in (("project.updated", PROJECT), ("project.noted", SESSION)):
        event = await judged("", name, channel)
        assert (event.type, event.payload, event.emitted_by) == (
            "foreign.message",
            {"name": name, "data": {"n": 1}},
            "foreign:",
        )


async def test_who_holds_the_accounts_key_is_a_backend() -> None:
    """Which emits anything; a backend that says it is somebody here may do what they may."""
    event = await judged("react backend", by_client=False)
    assert (event.type, event.emitted_by) == ("project.updated", "foreign:react backend")
    assert (await judged(MEMBER, by_client=False)).type == "foreign.message"


@pytest.mark.parametrize(
    ("name", "data"),
    [("greeting", {"n": 1}), ("Cursor Moved", {"n": 1}), ("", {"n": 1}), ("project.updated", [1]), ("a.b", "text")],
)
async def test_a_message_named_or_shaped_otherwise_is_wrapped(name: str, data: Json) -> None:
    """Nothing of it is lost."""
    event = await judged("backend", name, data=data, by_client=False)
    assert (event.type, event.payload) == ("foreign.message", {"name": name, "data": data})


async def test_a_stranger_may_call_itself_anything() -> None:
    """What of it no log takes is left away."""
    event = await judged("Zoë\0\ud800\n" + "x" * 1_000, by_client=False)
    assert event.emitted_by == "foreign:Zoë" + "x" * 194


async def test_what_the_log_cannot_take_is_refused() -> None:
    """An id beyond its bound."""
    with pytest.raises(InvalidEvent):
        await judged("backend", id="x" * 200)
