"""Waiting for what must come to hold: a deadline with slack, never a sleep that is long enough most of the time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Wait until `condition()` holds, for at most so many seconds.

    Raises:
        TimeoutError: it did not.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
