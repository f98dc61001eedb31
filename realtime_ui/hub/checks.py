"""Looks after the tabs that are open: whose they are by now, whether they read, whether anybody is there at all."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

from realtime_ui.access.gate import Gate, identities
from realtime_ui.core.clock import Clock
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import RealtimeError
from realtime_ui.hub.fanout import hang_up, is_silent, queued_bytes
from realtime_ui.hub.lobby import Audience
from realtime_ui.hub.subscriptions import Tab

logger = logging.getLogger(__name__)

SESSIONS_INTERVAL_S = 30.0
QUEUES_INTERVAL_S = 1.0
HOPELESS = 4
"""A socket whose queue grows by so many times the bound after it left its rooms is hung up."""


class Feed(Protocol):
    """What is needed of the `/feed` namespace."""

    def engine_socket(self, sid: str) -> Any:
        """The Engine.IO socket below a tab's, or None."""
        ...

    async def close(self, sid: str, ending: Ending) -> None:
        """Tell a tab why its feeds end, then disconnect it."""
        ...

    async def revoke(self, tab: Tab) -> None:
        """Take a tab out of what its person may not read any more."""
        ...

    async def let_go(self, tab: Tab) -> None:
        """Take a tab out of all its rooms, and tell it when it has read what waits for it."""
        ...


class TabChecks:
    """`start` and `stop` own the tasks.

    Args:
        feed: the namespace.
        tabs: its tabs, by sid.
        gate: says who a socket is.
        clock: tells the time.
        max_queued_bytes: how much may wait for one socket before it is let go.
    """

    def __init__(self, feed: Feed, tabs: Mapping[str, Tab], gate: Gate, clock: Clock, *, max_queued_bytes: int) -> None:
        self._feed = feed
        self._tabs = tabs
        self._gate = gate
        self._clock = clock
        self._max_queued_bytes = max_queued_bytes
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to look."""
        self._tasks = [
            asyncio.create_task(self._keep(self._check_session, SESSIONS_INTERVAL_S), name="feed-sessions"),
            asyncio.create_task(self._keep(self._check_socket, QUEUES_INTERVAL_S), name="feed-queues"),
        ]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, check: Callable[[Tab], Awaitable[None]], every_s: float) -> None:
        while True:
            await self._clock.sleep(every_s)
            for tab in list(self._tabs.values()):
                try:
                    await check(tab)
                except RealtimeError as error:
                    logger.debug("The tabs are looked at later: %s", error)  # health logs why, once
                    break
                except Exception:
                    logger.exception("A tab could not be looked at")

    async def _check_session(self, tab: Tab) -> None:
        """Ask again who a socket is: sessions expire, end elsewhere, and roles change."""
        person = await self._gate.by_token(tab.token)
        if self._tabs.get(tab.sid) is not tab:
            return
        if person is None:
            await self._feed.close(tab.sid, Ending.SESSION_EXPIRED)
            return
        if Audience.of(person) != Audience.of(tab.person):
            await self._feed.close(tab.sid, Ending.RIGHTS_CHANGED)
            return
        tab.person = person
        await self._feed.revoke(tab)

    async def recheck(self, subjects: Collection[uuid.UUID] | None) -> None:
        """Check at once the sockets of these people and sessions; of all when None.

        Raises:
            DatabaseUnavailable: not all of them were checked.
        """
        for tab in list(self._tabs.values()):
            if subjects is None or not identities(tab.person).isdisjoint(subjects):
                try:
                    await self._check_session(tab)
                except RealtimeError:
                    raise
                except Exception:
                    logger.exception("A tab could not be checked")

    async def _check_socket(self, tab: Tab) -> None:
        """See to it that a reader who stopped costs no more than the bound, and that a dead one is found out."""
        socket = self._feed.engine_socket(tab.sid)
        if socket is not None and is_silent(socket):
            await hang_up(socket)
            return
        queued = queued_bytes(socket) if socket is not None else 0
        if queued <= self._max_queued_bytes:
            tab.behind = 0
        elif tab.behind and queued > tab.behind + HOPELESS * self._max_queued_bytes:
            logger.warning("A socket that asks and does not read had %s bytes waiting and was hung up", queued)
            await hang_up(socket)
        elif tab.channels or not tab.behind:
            logger.info("A socket has %s bytes waiting; it leaves its rooms until it has read them", queued)
            tab.behind = tab.behind or queued
            await self._feed.let_go(tab)
