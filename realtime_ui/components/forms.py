"""Form fields, and what a form says when the server sent it back."""

from typing import Any

import reflex as rx
from reflex_base.config import get_config

PROBLEMS = {
    "NotAuthenticated": "The address or the password is wrong.",
    "NotAllowed": "The code is not the one in the terminal. Copy it from there.",
    "Conflict": "The set-up was done before. Sign in instead.",
    "RateLimited": "Too many tries. Wait a minute and try again.",
    "DatabaseUnavailable": "The database cannot be reached. Try again in a moment.",
    "tenant": "The organization's name is empty or longer than 100 characters.",
    "name": "Your name is empty or longer than 100 characters.",
    "email": "The email is not an address, such as ada@example.org.",
    "password": "The password needs 10 to 256 characters.",
}
OTHER = "That did not work. Check the fields and try again."


class NativeForm(rx.el.Div):
    """A form that the browser itself sends; `rx.el.form` would keep it from doing so."""

    tag = "form"

    action: rx.Var[str]
    method: rx.Var[str]


def native_form(*children: rx.Component, action: str, **props: Any) -> rx.Component:
    """A form whose answer is a page.

    Args:
        children: its fields and button.
        action: the API path that takes it.
        props: further properties of the form.
    """
    config = get_config()
    # In development the API has another port than the pages.
    base = "" if config.frontend_port == config.backend_port else config.api_url
    return NativeForm.create(*children, action=f"{base}{action}", method="post", **props)


def field(label: str, name: str, *, type: str = "text", hint: str = "", **props: Any) -> rx.Component:
    """A labelled input.

    Args:
        label: what to fill in.
        name: the form field's name.
        type: the input's type.
        hint: a line below it.
        props: further properties of the input.
    """
    note = [rx.el.small(hint, id=f"{name}-hint")] if hint else []
    described = {"aria_describedby": f"{name}-hint"} if hint else {}
    return rx.el.label(rx.el.span(label), rx.el.input(name=name, type=type, required=True, **described, **props), *note)


def problem_note() -> rx.Component:
    """Why the form came back, from the name in the query; nothing when it did not."""
    query = rx.State.router.url.query_parameters
    problem, at = query["problem"], query["field"]
    words = rx.match(
        problem,
        *(
            (name, PROBLEMS[name])
            for name in ("NotAuthenticated", "NotAllowed", "Conflict", "RateLimited", "DatabaseUnavailable")
        ),
        rx.match(at, *((name, PROBLEMS[name]) for name in ("tenant", "name", "email", "password")), OTHER),
    )
    return rx.cond(problem, rx.el.p(words, role="alert", class_name="rt-problem"))
