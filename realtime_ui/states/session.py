"""Who is signed in, for pages to show; every page's `on_load` begins here."""

from typing import Any
from urllib.parse import urlencode

import reflex as rx

from realtime_ui.access.policy import Action, may
from realtime_ui.core.addresses import HOME, local_address
from realtime_ui.core.principals import Person
from realtime_ui.runtime import current
from realtime_ui.states.patience import patiently
from realtime_ui.states.principal import person_of


class SessionState(rx.State):
    """The signed-in person as the pages show them."""

    signed_in: bool = False
    name: str = ""
    email: str = ""
    tenant: str = ""
    is_admin: bool = False
    is_operator: bool = False
    _whose: str = ""

    async def _recognise(self) -> Person | None:
        """Who is here; when it is somebody else than before, the whole tab's state begins anew.

        A tab keeps its state over a sign-out, since Reflex knows it by a token of the tab.
        """
        person = await patiently(lambda: person_of(self))
        whose = f"{person.tenant}/{person.id}" if person else ""
        if whose != self._whose:
            root: rx.State = self
            while isinstance(root.parent_state, rx.State):
                root = root.parent_state
            root.reset()  # type: ignore[no-untyped-call]
            self._whose = whose
        return person

    @rx.event
    async def load(self) -> Any:
        """Fill in who is signed in; send everybody else to sign in, or to set the app up."""
        person = await self._recognise()
        if person is None:
            if await patiently(current().gate.needs_setup):
                return rx.redirect("/set-up")
            url = self.router.url
            here = local_address(f"{url.path}{'?' if url.query else ''}{url.query}")
            return rx.redirect("/sign-in" if here == HOME else f"/sign-in?{urlencode({'next': here})}")
        self.signed_in = True
        self.name, self.email, self.tenant = person.name, person.email, person.tenant_name
        self.is_admin = person.role == "admin"
        self.is_operator = may(person, Action.OPERATE, None, person.tenant)
        return None

    @rx.event
    async def welcome(self) -> Any:
        """For the sign-in page: on to where its link says when signed in; to the set-up while nobody can sign in."""
        if await self._recognise() is not None:
            return rx.redirect(local_address(self.router.url.query_parameters.get("next")))
        return rx.redirect("/set-up") if await patiently(current().gate.needs_setup) else None
