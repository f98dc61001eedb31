"""Who a state acts for: the person behind the cookie that the tab's socket connected with."""

import reflex as rx

from realtime_ui.core.principals import Person
from realtime_ui.runtime import current


async def person_of(state: rx.State) -> Person | None:
    """The person, looked up for every event; a client token says nothing about who somebody is.

    The cookie is that of the socket's connect, so a sign-in takes a page load to be seen here (the forms do
    one) while a sign-out is seen at once.
    """
    return await current().person_of_socket(state.router.session.session_id)
