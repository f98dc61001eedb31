"""Who is signed in, for pages to show; every page's `on_load` begins here."""

from typing import Any

import reflex as rx

from realtime_ui.runtime import current
from realtime_ui.states.principal import person_of


class SessionState(rx.State):
    """The signed-in person as the pages show them."""

    signed_in: bool = False
    name: str = ""
    email: str = ""
    tenant: str = ""
    is_admin: bool = False

    @rx.event
    async def load(self) -> Any:
        """Fill in who is signed in; send everybody else to sign in, or to set the app up."""
        person = await person_of(self)
        if person is None:
            self.signed_in, self.is_admin = False, False
            self.name = self.email = self.tenant = ""
            return rx.redirect("/set-up" if await current().gate.needs_setup() else "/sign-in")
        self.signed_in = True
        self.name, self.email, self.tenant = person.name, person.email, person.tenant_name
        self.is_admin = person.role == "admin"
        return None

    @rx.event
    async def welcome(self) -> Any:
        """For the sign-in page: away from it when signed in, or while nobody can sign in yet."""
        if await person_of(self) is not None:
            return rx.redirect("/")
        return rx.redirect("/set-up") if await current().gate.needs_setup() else None
