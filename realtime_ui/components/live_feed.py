"""`live_feed(State)`: performs the subscription that a `ChannelState` declares, and shows its messages."""

from collections.abc import Mapping, Sequence

import reflex as rx

from realtime_ui.components.library import LIVE_FEED
from realtime_ui.components.sentences import SENTENCES
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.sinks import has_hooks


class LiveFeed(rx.Component):
    """The React component of `live_feed.jsx`."""

    library = LIVE_FEED
    tag = "LiveFeed"

    channel: rx.Var[str]
    hydrated: rx.Var[bool]
    rewind: rx.Var[int]
    state: rx.Var[str]
    sentences: rx.Var[dict[str, list[str]]]
    label: rx.Var[str]


def live_feed(
    state: type[ChannelState],
    *,
    sentences: Mapping[str, Sequence[str]] | None = None,
    label: str | rx.Var[str] = "Messages",
    empty: rx.Component | str = "Nothing has happened here yet.",
) -> rx.Component:
    """A channel's messages, live.

    Args:
        state: which channel, and how far back it begins.
        sentences: how further types read, `{type: [sentence, …]}`; see `components/sentences.py`.
        label: the list's name for screen readers.
        empty: shown while the channel has no message.
    """
    return LiveFeed.create(
        empty,
        channel=state.channel,
        hydrated=state.is_hydrated,
        rewind=state.rewind,
        state=state.get_full_name() if has_hooks(state) else "",
        sentences={**SENTENCES, **{kind: list(each) for kind, each in (sentences or {}).items()}},
        label=label,
    )
