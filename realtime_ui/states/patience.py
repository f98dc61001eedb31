"""Waiting for the database where a page loads: nobody would ask a second time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from realtime_ui.core.backoff import Backoff
from realtime_ui.core.errors import Unavailable

T = TypeVar("T")

RETRY_MIN_S, RETRY_MAX_S = 0.5, 5.0


async def patiently(look_up: Callable[[], Awaitable[T]]) -> T:
    """What `look_up` finds, asked again and again while the database is away.

    For handlers of `on_load`: a page keeps showing what it shows until they are done.
    """
    backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
    while True:
        try:
            return await look_up()
        except Unavailable:
            await asyncio.sleep(backoff.next())
