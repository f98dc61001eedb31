"""Form fields, and what a form says when the server sent it back."""

from typing import Any

import reflex as rx
from reflex_base.config import get_config

from realtime_ui.components.library import FORM_ANSWER

BY_ERROR = {
    "NotAuthenticated": "The address or the password is wrong.",
    "NotAllowed": "The code is not the one in the terminal. Copy it from there.",
    "Conflict": "The set-up was done before. Sign in instead.",
    "RateLimited": "Too many tries. Wait a minute and try again.",
    "DatabaseUnavailable": "The database cannot be reached. Try again in a moment.",
    "NotMigrated": "The database is not migrated to this release. Tell the people who run this server.",
    "NotSignedOut": "This browser is signed out. The database could not be reached, so the session was not ended on "
    "the server: sign in and out again to end it.",
    "TooLarge": "That is more text than the form accepts.",
    "RealtimeError": "Something failed on our side. Try again in a moment.",
}
BY_FIELD = {
    "tenant": "The organization's name is empty, longer than 100 characters, or has control characters.",
    "name": "Your name is empty, longer than 100 characters, or has control characters.",
    "email": "The email is not an address, such as ada@example.org.",
    "password": "The password needs 10 to 256 characters that nobody would try first: not one that counts, repeats a "
    "few characters, or holds the name in your email address.",
}
OTHER = "That did not work. Check the fields and try again."


class NativeForm(rx.el.Div):
    """A form of plain HTML; `rx.el.form` would hand it to an event handler."""

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


class FormAnswer(rx.Component):
    """The React component of `form_answer.jsx`."""

    library = FORM_ANSWER
    tag = "FormAnswer"

    problems: rx.Var[dict[str, str]]
    other: rx.Var[str]


def problem_note() -> rx.Component:
    """Inside a form: why it was refused, with what was typed still in it; nothing while it was not."""
    return FormAnswer.create(problems={**BY_ERROR, **BY_FIELD}, other=OTHER)
