"""Small views over the feed client: the connection, a channel's fields, the tenant's channels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import reflex as rx
from reflex_base.config import get_config

from realtime_ui.components.library import CHANNEL_LIST, CHANNEL_TITLE, CONNECTION_BANNER, CURRENT_FIELDS, FIRST_EVENT
from realtime_ui.states.channel import ChannelState


class ConnectionBanner(rx.Component):
    """Says how the connection stands, when it does not stand well."""

    library = CONNECTION_BANNER
    tag = "ConnectionBanner"


class ConnectionDot(rx.Component):
    """A small sign of the connection's status."""

    library = CONNECTION_BANNER
    tag = "ConnectionDot"

    hydrated: rx.Var[bool]


class CurrentFields(rx.Component):
    """The React component of `current_fields.jsx`."""

    library = CURRENT_FIELDS
    tag = "CurrentFields"

    channel: rx.Var[str]
    hydrated: rx.Var[bool]
    rewind: rx.Var[int]
    empty: rx.Var[str]


class ChannelTitle(rx.Component):
    """The React component of `channel_title.jsx`."""

    library = CHANNEL_TITLE
    tag = "ChannelTitle"

    channel: rx.Var[str]
    initial: rx.Var[str]


class ChannelList(rx.Component):
    """The React component of `channel_list.jsx`."""

    library = CHANNEL_LIST
    tag = "ChannelList"

    routes: rx.Var[dict[str, str]]


def missing_assets_script() -> rx.Component:
    """An inline script for the head of every page, for when a file of the page is no longer there."""
    return rx.el.script(Path(__file__).with_name("missing_assets.js").read_text(encoding="utf-8"))


class FirstEvent(rx.Component):
    """The React component of `first_event.jsx`."""

    library = FIRST_EVENT
    tag = "FirstEvent"

    url: rx.Var[str]
    example: rx.Var[str]
    admin: rx.Var[bool]


def connection_banner() -> rx.Component:
    """A banner for connecting, reconnecting, offline and refused; nothing while all is well."""
    return ConnectionBanner.create()


def connection_dot() -> rx.Component:
    """The connection's status in one word; the latency on hover."""
    return ConnectionDot.create(hydrated=rx.State.is_hydrated)


def current_fields(state: type[ChannelState]) -> rx.Component:
    """The fields of a channel as its events' `changes` left them, live.

    Args:
        state: which channel. Its `live_feed`, where the page has one, shares what the tab gets.
    """
    return CurrentFields.create(
        channel=state.channel,
        hydrated=state.is_hydrated,
        rewind=state.rewind,
        empty="No field has been set yet.",
    )


def channel_title(state: type[ChannelState], initial: str | rx.Var[str]) -> rx.Component:
    """A heading with what people call a channel; it changes when somebody renames it.

    Args:
        state: which channel.
        initial: shown until the title is known in the browser.
    """
    return ChannelTitle.create(channel=state.channel, initial=initial)


def channel_list(routes: Mapping[str, str], empty: rx.Component) -> rx.Component:
    """The tenant's channels, live.

    Args:
        routes: `{channel type: page}` with `{id}` in the page's address.
        empty: shown while there is no channel.
    """
    return ChannelList.create(empty, routes=dict(routes))


def first_event(example: Mapping[str, Any], admin: bool | rx.Var[bool]) -> rx.Component:
    """The curl line that sends an event. An admin can have a key put into it, which the page alone ever holds.

    Args:
        example: the event.
        admin: whether the person may create keys.
    """
    return FirstEvent.create(url=get_config().api_url, example=json.dumps(example), admin=admin)
