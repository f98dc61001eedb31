"""Who a state acts for: the person behind the cookie that the tab's socket connected with."""

from collections.abc import Mapping
from typing import Any

import reflex as rx

from realtime_ui.access.gate import hash_secret
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.principals import Person
from realtime_ui.hub.feed import token_of_socket
from realtime_ui.runtime import current

STRANGER = ""
"""The owner of what nobody signed in opened."""


async def person_of(state: rx.State) -> Person | None:
    """The person, looked up for every event; a client token says nothing about who somebody is.

    The cookie is that of the socket's connect, so a sign-in takes a page load to be seen here (the forms do
    one) while a sign-out is seen at once.
    """
    return await current().person_of_socket(state.router.session.session_id)


async def owner_of(environ: Mapping[str, Any]) -> str:
    """Whose the states are that a socket opens: a person in a tenant, or `STRANGER`.

    While the database is away and this worker does not know the cookie yet, they are the cookie's own: the tab gets
    a fresh state then, and never that of somebody else.
    """
    token = token_of_socket(environ)
    try:
        person = await current().gate.by_token(token)
    except RealtimeError:
        return f"session:{hash_secret(token or '')}"
    return f"{person.tenant}/{person.id}" if person else STRANGER
