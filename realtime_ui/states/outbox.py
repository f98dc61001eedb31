"""`post(State, type, payload)`: sends from an event handler of a page, without a way over the server's state.

    rx.el.button("Done", on_click=post(Ticket, "ticket.commented", {"text": "Done", "minutes": Ticket.minutes}))

The message is kept in the browser under an id of its own before it is sent, and until the server has answered.
"""

from collections.abc import Mapping
from typing import Any

from reflex_base.utils.imports import ImportVar
from reflex_base.vars import VarData
from reflex_base.vars.function import ArgsFunctionOperation, FunctionStringVar, FunctionVar

from realtime_ui.states.channel import ChannelState
from realtime_ui.states.client_vars import OUTBOX

_POST: FunctionVar[Any] = FunctionStringVar.create(
    "postMessage_", _var_data=VarData(imports={OUTBOX: [ImportVar(tag="post", alias="postMessage_")]})
)


def post(state: type[ChannelState], type: str, payload: Mapping[str, Any]) -> FunctionVar[Any]:
    """An event handler that sends an event on a state's channel, as the signed-in person.

    It is stored once, however often the browser has to send it, and in the order of the calls. `live_feed` shows it
    at its end until its row is there, and where it is refused: with the reason, to try again or to discard.

    Args:
        state: which channel, as it is when the handler runs.
        type: such as `ticket.commented`; the type's route must have it among its `posts` for members to send it.
        payload: a JSON object of at most 60,000 bytes; values may be Vars, those of an event included. The channel's
            id and the `author` are put in by the server.
    """
    handler: FunctionVar[Any] = ArgsFunctionOperation.create((), _POST.call(state.channel, type, dict(payload)))
    return handler
