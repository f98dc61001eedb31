"""The frame of every page: the bar at the top, the banner, and the room for what the page is about."""

import reflex as rx

from realtime_ui.components.forms import native_form
from realtime_ui.components.message_form import unsent_at_sign_out, unsent_messages
from realtime_ui.components.views import channel_title, connection_dot
from realtime_ui.states.channel import ChannelState
from realtime_ui.states.session import SessionState


def shell(*children: rx.Component, wide: bool = True) -> rx.Component:
    """A page's frame.

    Args:
        children: what the page is about.
        wide: whether it may use the whole width, or reads better in a narrow column.
    """
    return rx.el.div(
        rx.el.a("Skip to content", href="#main", class_name="rt-skip"),
        rx.el.header(
            rx.link(rx.icon("activity", size=18), "Realtime UI", href="/", class_name="rt-brand"),
            rx.el.span(SessionState.tenant, class_name="rt-tenant"),
            rx.cond(SessionState.signed_in, _ways()) if wide else rx.fragment(),
            rx.el.span(class_name="rt-spring"),
            rx.cond(SessionState.signed_in, unsent_messages()),
            connection_dot(),
            rx.color_mode.button(size="1", variant="ghost", aria_label="Light or dark"),
            rx.cond(SessionState.signed_in, _account()),
            class_name="rt-bar",
        ),
        rx.el.main(*children, id="main", class_name="rt-main" if wide else "rt-main rt-narrow"),
        class_name="rt-shell",
    )


def page_head(kind: str, state: type[ChannelState], title: str | rx.Var[str], *beside: rx.Component) -> rx.Component:
    """What a page is about: its kind as a small mark, and its title.

    Args:
        kind: a channel type.
        state: which channel it is about.
        title: what people call it, as the page was loaded.
        beside: what stands at the other end.
    """
    return rx.el.header(
        rx.el.span(kind, class_name="rt-kind", custom_attrs={"data-kind": kind}),
        channel_title(state, title),
        *beside,
        class_name="rt-page-head",
    )


def refusal_card(words: str | rx.Var[str]) -> rx.Component:
    """In place of a page whose address names nothing that can be shown.

    Args:
        words: what is wrong with the address.
    """
    return rx.el.div(
        rx.el.h1("This page cannot be shown"),
        rx.el.p(words, role="alert", class_name="rt-problem"),
        rx.el.p(rx.link("On to the start page", href="/")),
        class_name="rt-card",
    )


def _ways() -> rx.Component:
    return rx.el.nav(
        rx.link(rx.icon("users", size=14), rx.el.span("Presence"), href="/presence", aria_label="Presence"),
        rx.link(rx.icon("radio", size=14), rx.el.span("Connections"), href="/connections", aria_label="Connections"),
        rx.cond(
            SessionState.is_operator,
            rx.link(rx.icon("heart-pulse", size=14), rx.el.span("Health"), href="/health", aria_label="Health"),
        ),
        class_name="rt-nav",
        aria_label="Pages",
    )


def _account() -> rx.Component:
    return native_form(
        rx.el.span(SessionState.name, class_name="rt-person", title=SessionState.email),
        rx.el.button("Sign out", type="submit", class_name="rt-quiet"),
        unsent_at_sign_out(),
        action="/api/sign-out",
        class_name="rt-account",
    )
