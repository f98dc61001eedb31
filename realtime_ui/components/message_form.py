"""Sending from a page: `message_form(State)`, and what has not been sent. `post` is in `states/outbox.py`."""

from collections.abc import Mapping, Sequence

import reflex as rx

from realtime_ui.components.library import MESSAGE_FORM, UNSENT
from realtime_ui.components.sentences import SENTENCES
from realtime_ui.core.messages import Json
from realtime_ui.states.channel import ChannelState


class MessageForm(rx.Component):
    """The React component of `message_form.jsx`."""

    library = MESSAGE_FORM
    tag = "MessageForm"

    channel: rx.Var[str]
    hydrated: rx.Var[bool]
    type: rx.Var[str]
    payload: rx.Var[dict[str, Json]]
    name: rx.Var[str]
    field: rx.Var[str]
    label: rx.Var[str]
    placeholder: rx.Var[str]
    button: rx.Var[str]


class UnsentMessages(rx.Component):
    """A React component of `unsent.jsx`."""

    library = UNSENT
    tag = "UnsentMessages"

    sentences: rx.Var[dict[str, list[str]]]


class UnsentAtSignOut(rx.Component):
    """A React component of `unsent.jsx`."""

    library = UNSENT
    tag = "UnsentAtSignOut"


def message_form(
    state: type[ChannelState],
    *,
    type: str = "session.message",
    payload: Mapping[str, Json] | None = None,
    name: str = "text",
    field: str = "message",
    label: str | rx.Var[str] = "Message",
    placeholder: str | rx.Var[str] = "Write a message",
    button: str | rx.Var[str] = "Send",
) -> rx.Component:
    """A line in which people write messages on a state's channel.

    A message is kept in the browser before it is sent, and until the server has answered; `live_feed` shows it at its
    end meanwhile. The text leaves the line only when it is kept.

    Args:
        state: which channel.
        type: the type of the events; the type's route must have it among its `posts` for members to send it.
        payload: further fields of each event; values may be Vars.
        name: the payload's field for the text.
        field: the input's id, such as `typing_line` takes it.
        label: the input's name for screen readers.
        placeholder: shown while the input is empty.
        button: what the button says.
    """
    return MessageForm.create(
        channel=state.channel,
        hydrated=state.is_hydrated,
        type=type,
        payload=dict(payload or {}),
        name=name,
        field=field,
        label=label,
        placeholder=placeholder,
        button=button,
    )


def unsent_messages(sentences: Mapping[str, Sequence[str]] | None = None) -> rx.Component:
    """How many of the person's messages have not been sent, on whatever channel; opens a list of them.

    Args:
        sentences: how further types read, as `live_feed` takes them.
    """
    further = {kind: list(each) for kind, each in (sentences or {}).items()}
    return UnsentMessages.create(sentences={**SENTENCES, **further})


def unsent_at_sign_out() -> rx.Component:
    """In a sign-out form: asks whoever has unsent messages, and says what becomes of them."""
    return UnsentAtSignOut.create()
