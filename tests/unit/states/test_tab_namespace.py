"""What of a client's event reaches Reflex."""

from typing import Any

import pytest

from realtime_ui.states.tab_namespace import MAX_ROUTER_DATA, trimmed

LONG = "x" * 100_000


def test_what_a_client_says_of_its_page_is_kept_within_the_bound() -> None:
    """A usual page as it is; other fields never."""
    page = {"pathname": "/projects/a", "asPath": "/projects/a?x=1#y", "query": {"x": "1", "project_id": "a"}}
    assert trimmed({**page, "headers": {"cookie": "forged"}, "token": "forged", "more": LONG}) == page
    assert trimmed({}) == {"pathname": "", "asPath": "", "query": {}}


def test_of_a_long_address_the_page_and_its_own_parameters_are_kept() -> None:
    """A page opens under any query."""
    page = {"pathname": "/projects/a", "asPath": "/projects/a?" + LONG, "query": {"long": LONG, "project_id": "a"}}
    assert trimmed(page) == {"pathname": "/projects/a", "asPath": "/projects/a", "query": {"project_id": "a"}}


def test_the_parts_of_an_address_under_a_catch_all_route_are_kept() -> None:
    """The page of an address that leads nowhere has them too, and is dead without its events."""
    page = {"pathname": "/[[...splat]]", "asPath": "/no/where", "query": {"splat": ["no", "where"]}}
    assert trimmed(page) == page
    assert trimmed({**page, "query": {"splat": [LONG, "where"], "x": "1"}}) == {
        "pathname": "/[[...splat]]",
        "asPath": "/[[...splat]]",
        "query": {"x": "1"},
    }


@pytest.mark.parametrize(
    "junk",
    [
        {"pathname": LONG},
        {"pathname": 5},
        {"asPath": ["/"]},
        {"query": "x=1"},
        {"query": {"x": {"y": "z"}}},
        {"query": {"x": ["y", ["z"]]}},
        {"query": {f"x{number}": "y" for number in range(MAX_ROUTER_DATA)}},
    ],
)
def test_what_cannot_be_a_page_is_refused(junk: dict[str, Any]) -> None:
    """Reflex would keep it in the state, or fail at it."""
    assert trimmed(junk) is None
