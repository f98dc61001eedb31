"""Makes a redis-py client wait for a Redis that is away, and notice one whose network is gone."""

import logging
import random
import socket
import time

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import AbstractBackoff

logger = logging.getLogger(__name__)

PAUSE_S = (0.2, 0.6)
TELL_EVERY_S = 10.0
DEAD_LINE_S = 5


class Patience(AbstractBackoff):
    """Tries again and again, and says so now and then."""

    _told_at = -TELL_EVERY_S

    def compute(self, failures: int) -> float:
        """How long to wait, in s."""
        if failures > 1 and time.monotonic() - Patience._told_at >= TELL_EVERY_S:
            Patience._told_at = time.monotonic()
            logger.warning("Redis, which holds the tabs' states, is away; what needs them waits")
        return random.uniform(*PAUSE_S)


def be_patient(client: Redis) -> None:
    """Have whoever asks wait for as long as Redis is away; what Redis refuses is raised at once.

    Args:
        client: without connections yet.
    """
    client.set_retry(Retry(Patience(), -1))
    client.get_connection_kwargs().update(  # type: ignore[no-untyped-call]
        retry_on_error=[],
        socket_keepalive=True,
        # A frozen server is waited for. One that does not even take bytes any more is connected to anew.
        socket_keepalive_options={
            socket.TCP_KEEPIDLE: DEAD_LINE_S,
            socket.TCP_KEEPINTVL: 1,
            socket.TCP_KEEPCNT: 3,
            socket.TCP_USER_TIMEOUT: DEAD_LINE_S * 1000,
        }
        if hasattr(socket, "TCP_USER_TIMEOUT")
        else {},
    )
