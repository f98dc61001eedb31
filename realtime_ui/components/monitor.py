"""The monitor's views: connections and their heartbeats, and how the workers are."""

from collections.abc import Mapping

import reflex as rx

from realtime_ui.components.library import CONNECTIONS, HEALTH


class Connections(rx.Component):
    """The React component of `connections.jsx`."""

    library = CONNECTIONS
    tag = "Connections"

    routes: rx.Var[dict[str, str]]


class Health(rx.Component):
    """The React component of `health.jsx`."""

    library = HEALTH
    tag = "Health"


def connections(routes: Mapping[str, str]) -> rx.Component:
    """Each connection on each channel, live: an admin sees the tenant's, a member their own.

    Args:
        routes: `{channel type: page}` with `{id}` in the page's address.
    """
    return Connections.create(routes=dict(routes))


def health() -> rx.Component:
    """The workers and the last hour, live; for operators."""
    return Health.create()
