"""Who may do what: keys, tokens made from them, and capabilities."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.ably.wire import AblyError

Capability = Mapping[str, Sequence[str]]
EVERYTHING: Capability = {"*": ["*"]}
REQUEST_VALID_S = 120.0
DEFAULT_TTL_MS, LONGEST_TTL_MS = 3_600_000, 86_400_000


def allows(capability: Capability, channel: str, operation: str) -> bool:
    """Whether a capability covers an operation on a channel: `*`, `namespace:*` or the very name."""
    return any(
        operation in operations or "*" in operations
        for resource, operations in capability.items()
        if resource in ("*", channel) or (resource.endswith(":*") and channel.startswith(resource[:-1]))
    )


@dataclass
class Key:
    """An API key; its capability can change while it is in use."""

    name: str
    secret: str
    capability: Capability = field(default_factory=lambda: EVERYTHING)

    def __str__(self) -> str:
        """As it is handed out: `APP.KEY:SECRET`."""
        return f"{self.name}:{self.secret}"


@dataclass
class Pass:
    """What a client showed: a key, or a token of one; times are s since the Unix epoch."""

    key: Key
    client_id: str | None
    capability: Capability = field(default_factory=lambda: EVERYTHING)
    expires: float | None = None
    basic: bool = False

    def require(self, channel: str, *operations: str) -> None:
        """Refuse who may do none of the operations.

        Raises:
            AblyError: 40160.
        """
        if not any(
            allows(self.key.capability, channel, each) and allows(self.capability, channel, each) for each in operations
        ):
            raise AblyError(40160, f"Channel denied access based on given capability; channelId = {channel}", 401)

    def require_valid(self) -> None:
        """Refuse a token whose time is over.

        Raises:
            AblyError: 40142.
        """
        if self.expires is not None and time.time() >= self.expires:
            raise AblyError(40142, "Token expired", 401)

    def client(self, asked: str | None) -> str | None:
        """Whose a message is that says it is `asked`'s.

        Raises:
            AblyError: 40012: somebody else's name.
        """
        if self.client_id == "*" or (self.basic and self.client_id is None):
            return asked
        if asked is not None and asked != self.client_id:
            raise AblyError(40012, "Invalid client ID: it is not the connection's own")
        return self.client_id


class Access:
    """All keys and tokens of the app.

    Args:
        longest_ttl_s: no token lives longer than that, in s.
    """

    def __init__(self, longest_ttl_s: float = LONGEST_TTL_MS / 1000) -> None:
        self.longest_ttl_s = longest_ttl_s
        self.keys: dict[str, Key] = {}
        self.tokens: dict[str, Pass] = {}
        self._nonces: set[str] = set()

    def add_key(self, name: str, secret: str) -> Key:
        """Make a key that may do everything."""
        self.keys[name] = Key(name, secret)
        return self.keys[name]

    def by_key(self, text: str, client_id: str | None = None) -> Pass:
        """Who shows an API key.

        Raises:
            AblyError: 40005 malformed, 40400 unknown, 40101 wrong.
        """
        name, colon, secret = text.partition(":")
        if not colon or "." not in name:
            raise AblyError(40005, "Invalid credentials: the key is malformed")
        if (key := self.keys.get(name)) is None:
            raise AblyError(40400, "No application or key found with that name")
        if not hmac.compare_digest(secret.encode(), key.secret.encode()):
            raise AblyError(40101, "Invalid credentials")
        return Pass(key, client_id, basic=True)

    def by_token(self, token: str, client_id: str | None = None) -> Pass:
        """Who shows a token.

        Raises:
            AblyError: 40143 unknown, 40142 expired, 40102 for another client id.
        """
        if (shown := self.tokens.get(token)) is None:
            raise AblyError(40143, "Token unrecognised", 401)
        shown.require_valid()
        if client_id is not None and shown.client_id not in (client_id, "*"):
            raise AblyError(40102, "Incompatible credentials: the token is for another client ID", 401)
        if shown.client_id == "*" and client_id:
            return Pass(shown.key, client_id, shown.capability, shown.expires)
        return shown

    def issue(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a signed token request with a token's details.

        Raises:
            AblyError: wrong signature or time, used twice, or it asks for what the key has not.
        """
        if (key := self.keys.get(name)) is None or request.get("keyName") != name:
            raise AblyError(40400, "No key found with that name")
        self._check(key, request)
        now = time.time()
        asked_ms = int(request.get("ttl") or DEFAULT_TTL_MS)
        if asked_ms > LONGEST_TTL_MS:
            raise AblyError(40003, "The requested ttl is beyond 24 hours")
        wanted: Capability = json.loads(request.get("capability") or '{"*":["*"]}')
        expires = now + min(asked_ms / 1000, self.longest_ttl_s)
        token = f"{name.partition('.')[0]}.{secrets.token_urlsafe(24)}"
        self.tokens[token] = Pass(key, request.get("clientId"), wanted, expires)
        details = {"token": token, "keyName": name, "issued": int(now * 1000), "expires": int(expires * 1000)}
        details["capability"] = json.dumps(wanted)
        return details | ({"clientId": request["clientId"]} if request.get("clientId") else {})

    def _check(self, key: Key, request: Mapping[str, Any]) -> None:
        nonce, timestamp = str(request.get("nonce") or ""), int(request.get("timestamp") or 0)
        parts = [key.name, *(request.get(each) or "" for each in ("ttl", "capability", "clientId")), timestamp, nonce]
        text = "".join(f"{part}\n" for part in parts)
        mac = base64.b64encode(hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(mac.encode(), str(request.get("mac")).encode()):
            raise AblyError(40101, "Invalid credentials: the request's mac does not match")
        if abs(time.time() - timestamp / 1000) > REQUEST_VALID_S:
            raise AblyError(40104, "Timestamp not current", 401)
        if len(nonce) < 16 or nonce in self._nonces:
            raise AblyError(40105, "Nonce value replayed or too short", 401)
        self._nonces.add(nonce)
