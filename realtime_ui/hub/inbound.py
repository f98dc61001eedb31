"""Keeps the channels attached on which others may publish (`config.inbound`), whether somebody watches or not."""

import asyncio
import logging
import uuid

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.watched import Frame
from realtime_ui.persistence.channels import ChannelRepository
from realtime_ui.persistence.event_log import ChannelKey

logger = logging.getLogger(__name__)

LOOK_S = 3.0


class Inbound:
    """Watches them for nobody. `start` and `stop` own the task.

    Args:
        channels: knows which they are.
        hub: attaches them; what it hears of others goes into the log.
        clock: tells the time.
    """

    def __init__(self, channels: ChannelRepository, hub: RealtimeHub, clock: Clock) -> None:
        self._channels = channels
        self._hub = hub
        self._clock = clock
        self._attached: dict[ChannelKey, tuple[str, ...]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Attach them, and look regularly which they are."""
        self._task = asyncio.create_task(self._run(), name="inbound")

    async def stop(self) -> None:
        """End; the hub lets go of all its channels by itself."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def accepts(self, tenant: uuid.UUID, channel: ChannelName, type: str) -> bool:
        """Whether a channel accepts events of a type from clients that nobody vouches for; as of `LOOK_S` ago."""
        patterns = self._attached.get((tenant, channel), ())
        return any(type.startswith(each[:-1]) if each.endswith("*") else type == each for each in patterns)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except RealtimeError as error:
                logger.debug("Inbound channels are looked up again: %s", error)
            except Exception:
                logger.exception("Inbound channels are looked up again")
            await self._clock.sleep(LOOK_S)

    async def _look(self) -> None:
        wanted = await self._channels.inbound()
        for key in self._attached.keys() - wanted.keys():
            await self._hub.detach(key, _unseen)
            del self._attached[key]
        for key, types in wanted.items():
            if key not in self._attached:
                await self._hub.attach(key, _unseen)
            self._attached[key] = types


def _unseen(frame: Frame) -> None:
    """Nobody looks."""
