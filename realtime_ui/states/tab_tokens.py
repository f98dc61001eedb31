"""Client tokens that only the principal can use for whom they were made.

Reflex lets a tab choose its token, and hands the state under it to whoever shows it. Tokens stand in sockets'
addresses, so they end up in proxies' logs; with one, anybody could take over a tab that had closed. Here the server
makes them, with a message authentication code over the principal, so that no worker has to remember which token is
whose.
"""

import hashlib
import hmac
import re
import uuid

PATTERN = re.compile(r"([0-9a-f]{32})-([0-9a-f]{32})")


class TabTokens:
    """Makes and checks tokens; every worker with the same secret agrees.

    Args:
        secret: the server's secret key.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def make(self, owner: str) -> str:
        """A new token.

        Args:
            owner: the principal that may use it; "" for strangers, who keep nothing between two connections.
        """
        nonce = uuid.uuid4().hex
        return f"{nonce}-{self._code(nonce, owner)}"

    def belongs(self, token: str, owner: str) -> bool:
        """Whether a token was made here for this principal."""
        parts = PATTERN.fullmatch(token)
        return parts is not None and hmac.compare_digest(parts[2], self._code(parts[1], owner))

    def _code(self, nonce: str, owner: str) -> str:
        return hmac.new(self._secret, f"tab token\n{nonce}\n{owner}".encode(), hashlib.sha256).hexdigest()[:32]
