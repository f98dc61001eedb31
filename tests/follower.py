"""A program that follows a channel with `EventClient`, and keeps what its rows then are."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime_ui.client import EventClient


class Follower:
    """What an `EventClient` was told of a channel.

    Attributes:
        rows: (seq, id) of each row that counts.
        resets: when it was told to begin anew, in s since the epoch.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, str]] = []
        self.resets: list[float] = []

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str, key: str, channel: str, *, rewind: int = 500) -> AsyncIterator["Follower"]:
        """One that follows while the block lasts."""
        follower = cls()

        async def follow() -> None:
            async with EventClient(url, key, patience_s=600) as client:
                async for message in client.stream(channel, rewind=rewind):
                    follower.take(message)

        task = asyncio.create_task(follow())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def take(self, message: dict[str, object]) -> None:
        """Do as a program does that keeps a copy of the channel."""
        if message["type"] == "reset":
            self.rows.clear()
            self.resets.append(time.time())
        elif "seq" in message:
            seq = message["seq"]
            assert isinstance(seq, int)
            self.rows.append((seq, str(message["id"])))
