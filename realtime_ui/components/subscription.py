"""`subscription(State)`: performs the subscription that a `ChannelState` declares, and shows nothing."""

import reflex as rx

from realtime_ui.components.library import SUBSCRIPTION
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.sinks import has_hooks


class Subscription(rx.Component):
    """The React component of `subscription.jsx`."""

    library = SUBSCRIPTION
    tag = "Subscription"

    channel: rx.Var[str]
    hydrated: rx.Var[bool]
    rewind: rx.Var[int]
    state: rx.Var[str]


def subscription(state: type[ChannelState]) -> rx.Component:
    """Watch a channel on a page that has no `live_feed` for it.

    Without either, nothing subscribes: the state's hooks are not called, and its client-side Vars stay empty.

    Args:
        state: which channel, and how far back it begins.
    """
    return Subscription.create(
        channel=state.channel,
        hydrated=state.is_hydrated,
        rewind=state.rewind,
        state=state.get_full_name() if has_hooks(state) else "",
    )
