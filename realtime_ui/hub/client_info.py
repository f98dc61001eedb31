"""What is known of a connection's other end: browser, device, transport, and as much of its address as is kept."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.datastructures import Headers
from ua_parser import parse

from realtime_ui.settings import AddressPrivacy

MAX_USER_AGENT = 500


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A connection's other end.

    `browser` and `system` are "" where nobody knows. `device` is desktop, phone, tablet or program. `transport`
    is websocket or sse. `address` is as the privacy setting has it, "" where none is kept.
    """

    browser: str
    system: str
    device: str
    transport: str
    address: str

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any], transport: str, privacy: AddressPrivacy) -> "ClientInfo":
        """What an ASGI scope tells.

        Args:
            scope: of a request or a WebSocket.
            transport: websocket or sse.
            privacy: how much of the address is kept.
        """
        agent = Headers(scope=dict(scope)).get("user-agent", "")[:MAX_USER_AGENT]
        browser, system, device = _described(agent)
        client = scope.get("client")
        return cls(browser, system, device, transport, kept_address(client[0] if client else "", privacy))


def kept_address(address: str, privacy: AddressPrivacy) -> str:
    """As much of an address as is kept: all of it, its network (/24, or /48 of IPv6), or nothing."""
    if privacy == "none":
        return ""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if privacy == "full":
        return str(known)
    return str(ipaddress.ip_network((known, 24 if known.version == 4 else 48), strict=False))


@lru_cache(maxsize=2_000)
def _described(agent: str) -> tuple[str, str, str]:
    found = parse(agent)
    browser = f"{found.user_agent.family} {found.user_agent.major or ''}".strip() if found.user_agent else ""
    system = found.os.family if found.os else ""
    return browser, system, _device(agent, system)


def _device(agent: str, system: str) -> str:
    if not system:
        return "program"
    if "iPad" in agent or (system == "Android" and "Mobile" not in agent):
        return "tablet"
    return "phone" if system in {"iOS", "Android"} else "desktop"
