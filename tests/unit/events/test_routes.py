"""Which channels an event goes to."""

import uuid
from typing import cast

import pytest
import reflex as rx

from realtime_ui.core.channels import ChannelType
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.core.messages import Event
from realtime_ui.events.routes import Route, Routes
from realtime_ui.installer import install


def event(kind: str, **payload: object) -> Event:
    """An event by the tests."""
    return Event.create(kind, payload, uuid.UUID(int=1), emitted_by="tests")


@pytest.mark.parametrize(
    ("made", "channels"),
    [
        (event("project.updated", projectId="abc123"), ["project:abc123"]),
        (event("session.message", sessionId="def456"), ["session:def456"]),
        (event("obligation.changed", sessionId="def456"), ["session:def456"]),
        (event("organization.updated", organizationId="org789"), ["organization:org789"]),
        (event("user.notified", userId="user001"), ["user:user001"]),
        (event("system.notice", name="jobs"), ["system:jobs"]),
        (
            event("project.updated", projectId="abc123", organizationId="org789"),
            ["project:abc123", "organization:org789"],
        ),
    ],
)
def test_the_default_routes(made: Event, channels: list[str]) -> None:
    """Each family has its channel; an organization that is named gets the event too."""
    assert [str(channel) for channel in Routes().resolve(made).channels] == channels


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (event("project.updated"), "payload.projectId"),
        (event("project.updated", projectId=""), "payload.projectId"),
        (event("project.updated", projectId=7), "payload.projectId"),
        (event("project.updated", projectId="a", organizationId="b c"), "payload.organizationId"),
        (event("weather.changed", projectId="a"), "type"),
    ],
)
def test_what_cannot_be_routed_is_refused_naming_the_field(made: Event, field: str) -> None:
    """Nothing is stored on a guess."""
    with pytest.raises(InvalidEvent) as caught:
        Routes().resolve(made)
    assert caught.value.field == field
    assert caught.value.remedy


def test_the_error_names_the_place_in_a_list() -> None:
    """The fourth event's field is called so."""
    with pytest.raises(InvalidEvent) as caught:
        Routes().resolve(event("project.updated"), prefix="[3].")
    assert caught.value.field == "[3].payload.projectId"


def test_an_apps_own_route_comes_first() -> None:
    """It may take a family, or a part of one, for another channel."""
    routes = Routes([Route("project.audit.", ChannelType.SYSTEM, "auditId")])
    assert [str(c) for c in routes.resolve(event("project.audit.done", auditId="a1")).channels] == ["system:a1"]
    assert [str(c) for c in routes.resolve(event("project.updated", projectId="p1")).channels] == ["project:p1"]


def test_chunks_of_a_message_are_ephemeral_and_the_message_is_durable() -> None:
    """They go to the same channel."""
    chunk = event("session.message.delta", sessionId="s", messageId="m", index=0, text="Hel")
    for made, durable in ((chunk, False), (event("session.message", sessionId="s", messageId="m"), True)):
        routing = Routes().resolve(made)
        assert ([str(channel) for channel in routing.channels], routing.durable) == (["session:s"], durable)


@pytest.mark.parametrize("missing", ["messageId", "index", "sessionId"])
def test_a_chunk_that_nobody_could_place_is_refused(missing: str) -> None:
    """Naming what is missing."""
    payload = {"sessionId": "s", "messageId": "m", "index": 0, "text": "Hel"}
    del payload[missing]
    with pytest.raises(InvalidEvent) as caught:
        Routes().resolve(event("session.message.delta", **payload), prefix="[2].")
    assert caught.value.field == f"[2].payload.{missing}"


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (Route("x.", "ticket", "ticketId"), "channel is 'ticket'"),  # type: ignore[arg-type]
        (Route("x.", "project", "ticketId"), "channel is 'project'"),  # type: ignore[arg-type]
        (Route("", ChannelType.PROJECT, "id"), "prefix is ''"),
        (Route("Ticket.", ChannelType.PROJECT, "id"), "prefix is 'Ticket.'"),
        (Route("ticket..", ChannelType.PROJECT, "id"), r"prefix is 'ticket\.\.'"),
        (Route("x" * 101, ChannelType.PROJECT, "id"), "prefix is 'x"),
        (Route(None, ChannelType.PROJECT, "id"), "prefix is None"),  # type: ignore[arg-type]
        (Route("x.", ChannelType.PROJECT, ""), "id_field is ''"),
        (Route("x.", ChannelType.PROJECT, 7), "id_field is 7"),  # type: ignore[arg-type]
        (Route("x.", ChannelType.PROJECT, "id", durable=None), "durable is None"),  # type: ignore[arg-type]
        (Route("x.", ChannelType.PROJECT, "id", needs="index"), "needs is 'index'"),  # type: ignore[arg-type]
        (Route("x.", ChannelType.PROJECT, "id", posts=("",)), "posts is "),
        (("x.", ChannelType.PROJECT, "id"), "not a Route"),
    ],
)
def test_a_wrong_route_is_refused_before_the_app_starts(route: Route, words: str) -> None:
    """In one sentence that says what is wrong with it."""
    with pytest.raises(ValueError, match=words) as caught:
        install(cast(rx.App, None), routes=[route])
    assert str(caught.value).count(". ") == 0


def test_routes_of_an_app_are_tried_first() -> None:
    """A whole type, a family, or a family without its dot."""
    for prefix in ("ticket.", "ticket", "ticket.opened", "project.updated"):
        routes = Routes([Route(prefix, ChannelType.SYSTEM, "desk")])
        kind = "project.updated" if prefix.startswith("project") else "ticket.opened"
        assert [str(each) for each in routes.resolve(event(kind, desk="a")).channels] == ["system:a"]
