"""Which names the app answers under, and whose pages may use it: whole origins, and hosts by an allow-list.

A page of another site is recognised by its `Origin`, and a page whose own name was made to resolve to this server (DNS
rebinding) by its `Host`, which is none of ours.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

PROBES = frozenset({"/api/health", "/api/ready", "/ping"})
"""Paths that load balancers ask for by an address; they show nothing of anybody."""
DEFAULT_PORTS = {"http": 80, "https": 443}
_SECURE = {"ws": "http", "wss": "https"}


class Site:
    """The app's origins and host names.

    Args:
        origins: where the app's pages are, the public address among them, such as `https://app.example.org`.
        hosts: further names or addresses under which requests may come, without ports.
    """

    def __init__(self, origins: Iterable[str], hosts: Iterable[str] = ()) -> None:
        parsed = [_origin(each) for each in origins]
        self._origins = {each for each in parsed if each is not None}
        self._hosts = {host for _, host, _ in self._origins} | {host.lower() for host in hosts}
        # On one's own machine every name of it will do, and a proxy before the app has another port.
        self._is_local = any(is_loopback(host) for _, host, _ in self._origins)

    def host_fits(self, path: str, headers: Headers) -> bool:
        """Whether a request may come under the name in its Host header.

        Exempt are probes, and requests with an `Authorization` header, which no browser sends by itself.
        """
        if path in PROBES or "authorization" in headers:
            return True
        host = _host(headers.get("host", ""))
        return host in self._hosts or (self._is_local and is_loopback(host))

    def origin_fits(self, scheme: str, headers: Headers) -> bool:
        """Whether a socket or an unsafe request comes from one of the app's pages, or from no page at all."""
        given = headers.get("origin")
        if given is None:  # not a browser; cookies are SameSite=Lax besides
            return True
        origin = _origin(given)
        if origin is None:  # "null", or no origin at all
            return False
        if origin in self._origins:
            return True
        own = _origin(f"{_SECURE.get(scheme, scheme)}://{headers.get('host', '')}")
        return self._is_local and is_loopback(origin[1]) and origin == own


def is_loopback(host: str) -> bool:
    """Whether a host name or address is that of this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None of what is none."""
    try:
        parts = urlsplit(text)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        host = parts.hostname
    except ValueError:
        return None
    if port is None or not host or parts.username is not None:
        return None
    return parts.scheme, host, port


def _host(text: str) -> str:
    """The name in a Host header, without its port; "" of what is none."""
    try:
        return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""
