"""Waiting for the database where a page loads: nobody would ask a second time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from realtime_ui.core.errors import Unavailable

T = TypeVar("T")

RETRY_S = (0.5, 1.5)


async def patiently(look_up: Callable[[], Awaitable[T]]) -> T:
    """What `look_up` finds, asked again and again while the database is away.

    For handlers of `on_load`: a page keeps showing what it shows until they are done.
    """
    while True:
        try:
            return await look_up()
        except Unavailable:
            await asyncio.sleep(random.uniform(*RETRY_S))
