"""What counts as one network address."""

import pytest

from realtime_ui.access.limits import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_host_has_a_whole_network_of_addresses(address: str, network: str) -> None:
    """Which it may change at will."""
    assert network_of(address) == network
