"""What is known of a connection's other end."""

import pytest

from realtime_ui.hub.client_info import ClientInfo, kept_address
from realtime_ui.settings import AddressPrivacy

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Mobile/15E148 Safari/604.1"
)
IPAD = IPHONE.replace("iPhone", "iPad")
PIXEL = CHROME.replace("X11; Linux x86_64", "Linux; Android 15; Pixel 9").replace("Safari", "Mobile Safari")


@pytest.mark.parametrize(
    ("agent", "browser", "system", "device"),
    [
        (CHROME, "Chrome 142", "Linux", "desktop"),
        (IPHONE, "Mobile Safari 17", "iOS", "phone"),
        (IPAD, "Mobile Safari 17", "iOS", "tablet"),
        (PIXEL, "Chrome Mobile 142", "Android", "phone"),
        ("python-httpx/0.28", "", "", "program"),
        ("", "", "", "program"),
    ],
)
def test_the_user_agent_tells_browser_system_and_kind_of_device(
    agent: str, browser: str, system: str, device: str
) -> None:
    """Or that it is a program."""
    scope = {"headers": [(b"user-agent", agent.encode())], "client": ("203.0.113.77", 5)}
    info = ClientInfo.of_scope(scope, "websocket", "network")
    assert info == ClientInfo(browser, system, device, "websocket", "203.0.113.0/24")


@pytest.mark.parametrize(
    ("address", "privacy", "kept"),
    [
        ("203.0.113.77", "full", "203.0.113.77"),
        ("203.0.113.77", "network", "203.0.113.0/24"),
        ("203.0.113.77", "none", ""),
        ("2001:db8:1:2::3", "network", "2001:db8:1::/48"),
        ("not an address", "full", ""),
        ("", "network", ""),
    ],
)
def test_only_so_much_of_an_address_is_kept_as_the_setting_has_it(
    address: str, privacy: AddressPrivacy, kept: str
) -> None:
    """Its network by default."""
    assert kept_address(address, privacy) == kept
