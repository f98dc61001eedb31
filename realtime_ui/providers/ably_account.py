"""Our account at Ably: makes the SDK's clients, with the key and without what is wrong with them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ably import AblyRealtime, AblyRest
from ably.types.connectionstate import ConnectionState
from ably.types.tokendetails import TokenDetails

from realtime_ui.core.errors import InvalidRequest, ProviderUnavailable, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.providers.ably_errors import translate
from realtime_ui.providers.base import Grant

# The SDK logs addresses that hold the key, and every failed try; what is wrong is in the provider's status.
logging.getLogger("ably").setLevel(logging.CRITICAL)
logging.getLogger("websockets.client").setLevel(logging.INFO)

READ = ["subscribe", "history", "presence"]
PUBLISH = ["publish", "presence"]


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things take, in s."""

    answer: float = 4.0
    """Ably has that long to answer."""
    retry: float = 1.0
    """Before the first new try to reach it; the waits double, up to five times this."""
    refused: float = 30.0
    """Between two tries of what it refused."""
    ping: float = 10.0
    """Between two looks whether a connection lives."""


class Account:
    """Makes clients of one Ably app.

    Over TLS they show the key. Without TLS the SDK's REST half refuses to, so there they show tokens made from it.

    Args:
        key: `APP.KEY:SECRET`.
        endpoint: another server than Ably's own, or "".
        tls: whether it is reached over TLS.
        timings: how long things take.
    """

    def __init__(self, key: str, endpoint: str, tls: bool, timings: Timings) -> None:
        self._key = key
        self._tls = tls
        self._options: dict[str, Any] = {
            "tls": tls,
            "http_open_timeout": timings.answer,
            "http_request_timeout": timings.answer,
            **({"endpoint": endpoint} if endpoint else {}),
        }
        self._realtime_options = {
            "realtime_request_timeout": timings.answer * 1000,
            "disconnected_retry_timeout": timings.retry * 1000,
            "channel_retry_timeout": timings.retry * 1000,
            # What waits in the SDK goes out twice after a failed resume, and nobody is told that it waits.
            "queue_messages": False,
        }
        # A REST call of a realtime client with a token attaches all its channels anew: this is a client of its own.
        self.rest = AblyRest(key=key, use_token_auth=not tls, **self._options)
        self.token_error: RealtimeError | None = None
        """Why there is no token, if there is none; the SDK forgets it."""

    async def close(self) -> None:
        """Close the REST client."""
        await self.rest.close()

    def realtime(self, client_id: str) -> AblyRealtime:
        """A client that has not begun to connect."""

        async def token(parameters: Mapping[str, Any]) -> TokenDetails:
            try:
                details: TokenDetails = await self.rest.auth.request_token({"client_id": client_id})
            except Exception as error:
                self.token_error = translate(error, "Asking for a token")
                raise
            self.token_error = None
            if client.connection.state in (ConnectionState.CLOSING, ConnectionState.CLOSED):
                raise ProviderUnavailable("The connection is closed.")  # with a token the SDK would open another
            return details

        credentials: dict[str, Any] = {"key": self._key} if self._tls else {"auth_callback": token}
        client = AblyRealtime(
            client_id=client_id, auto_connect=False, **credentials, **self._options, **self._realtime_options
        )
        # Before it tries another of Ably's hosts, the SDK asks one whether there is an Internet, and blocks the loop.
        client.connection.connection_manager.check_connection = lambda: True
        return client

    async def sign(self, grant: Grant) -> Json:
        """A TokenRequest: whoever shows it to Ably gets a token for what is granted; nothing is asked over the net.

        Raises:
            InvalidRequest: a pattern that Ably does not know.
        """
        capability: dict[str, list[str]] = {}
        for patterns, operations in ((grant.read, READ), (grant.publish, PUBLISH)):
            for pattern in patterns:
                _require_known(pattern)
                may = capability.setdefault(pattern, [])
                may.extend(each for each in operations if each not in may)
        request = await self.rest.auth.create_token_request(
            {
                "client_id": grant.client_id,
                "ttl": int(grant.ttl_s * 1000),
                "capability": {pattern: sorted(operations) for pattern, operations in sorted(capability.items())},
            }
        )
        signed: Json = request.to_dict()
        return signed


def _require_known(pattern: str) -> None:
    """Ably's wildcard stands for whole parts of a name."""
    if "*" in pattern and pattern != "*" and (not pattern.endswith(":*") or "*" in pattern[:-1]):
        raise InvalidRequest(
            f"Ably cannot limit a client to {pattern!r}: a wildcard stands at the end, after a colon.",
            remedy="Name the channel, or all of its type with type:*.",
        )
