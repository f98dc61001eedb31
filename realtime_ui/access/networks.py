"""Which network an address is in, as limits on strangers count."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

IPV6_PREFIX = 64
"""A network of this size is usually given to one household or server, which may use any address in it."""


def network_of(address: str) -> str:
    """An IPv4 address itself, of an IPv6 address its /64; what is no address, such as a socket's path, as it is."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, IPV6_PREFIX), strict=False))
