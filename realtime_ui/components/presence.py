"""Who is here: `avatar_stack(State)`, `typing_line(State, field)`, and the roster of the whole tenant.

The first two perform what a `PresenceState` declares; on one page they share it.
"""

from collections.abc import Mapping
from typing import Any

import reflex as rx

from realtime_ui.components.library import PRESENCE, ROSTER
from realtime_ui.states.presence import PresenceState


class AvatarStack(rx.Component):
    """A React component of `presence.jsx`."""

    library = PRESENCE
    tag = "AvatarStack"

    channel: rx.Var[str]
    hydrated: rx.Var[bool]
    said: rx.Var[str]
    state: rx.Var[str]
    max: rx.Var[int]


class TypingLine(rx.Component):
    """A React component of `presence.jsx`."""

    library = PRESENCE
    tag = "TypingLine"

    channel: rx.Var[str]
    hydrated: rx.Var[bool]
    said: rx.Var[str]
    state: rx.Var[str]
    field: rx.Var[str]


class PresenceRoster(rx.Component):
    """The React component of `roster.jsx`."""

    library = ROSTER
    tag = "PresenceRoster"

    routes: rx.Var[dict[str, str]]


def avatar_stack(state: type[PresenceState], *, max: int = 5) -> rx.Component:
    """Be present where the state says, and show who else is; who left stays in grey for a minute.

    Args:
        state: where, and as what.
        max: how many people it shows before it counts the rest.
    """
    return AvatarStack.create(**_declared(state), max=max)


def typing_line(state: type[PresenceState], field: str) -> rx.Component:
    """Be present where the state says, and show who else is typing.

    Args:
        state: where, and as what.
        field: the id of the input in which the tab's own person types.
    """
    return TypingLine.create(**_declared(state), field=field)


def presence_roster(routes: Mapping[str, str]) -> rx.Component:
    """Everybody online in the tenant, live.

    Args:
        routes: `{channel type: page}` with `{id}` in the page's address.
    """
    return PresenceRoster.create(routes=dict(routes))


def _declared(state: type[PresenceState]) -> dict[str, Any]:
    own: Any = state._on_presence is not PresenceState._on_presence
    return {
        "channel": state.present_on,
        "hydrated": state.is_hydrated,
        "said": state.present_as,
        "state": state.get_full_name() if own else "",
    }
