"""Where somebody may be sent on to."""

import pytest

from realtime_ui.core.addresses import MAX_ADDRESS, local_address


@pytest.mark.parametrize(
    "address",
    ["/", "/projects/x", "/projects/a%20b?since=3#row-7", "/?next=//evil.test", "/projects/ä", "/apis", "/sign-inn"],
)
def test_a_path_of_this_site_is_kept(address: str) -> None:
    """With its query and its fragment."""
    assert local_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "projects/x",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/a\\b",
        "/\t/evil.test",
        "/\n/evil.test",
        " //evil.test",
        "/x y",
        "/x\x00",
        "https://evil.test/",
        "https:evil.test",
        "javascript:alert(1)",
        "/api/sign-out",
        "/api",
        "/sign-in",
        "/sign-in?next=/x",
        "/set-up",
        "/_event/",
        "/" + "x" * MAX_ADDRESS,
    ],
)
def test_everything_else_leads_to_the_start_page(address: object) -> None:
    """Other sites, however they are written; what is no page; and what would lead back to the form."""
    assert local_address(address) == "/"
