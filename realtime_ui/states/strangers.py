"""Drops the states of strangers' tabs when their sockets have closed; signed-in people's are kept for a while."""

import asyncio
import logging
from typing import Any

import reflex as rx
from reflex.istate.manager.memory import StateManagerMemory
from reflex.istate.manager.redis import StateManagerRedis
from reflex.state import BaseState

from realtime_ui.core.clock import Clock, SystemClock

logger = logging.getLogger(__name__)

LOOK_S = 0.5
PATIENCE_S = 30.0
"""How long a handler that still runs may go on, in s, before it is cancelled."""
END_S = 1.0


class StrangerStates:
    """A context manager that owns its task.

    Args:
        app: whose states these are.
        clock: tells the time.
    """

    def __init__(self, app: rx.App, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._gone: dict[str, float] = {}
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def left(self, token: str) -> None:
        """A stranger's socket closed that had this client token."""
        self._gone[token] = self._clock.monotonic()
        self._some.set()

    async def __aenter__(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._keep(), name="strangers-states")

    async def __aexit__(self, *error: object) -> None:
        """End, and drop what is left, as far as that can be done quickly."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(END_S):
                await self._drop_all()
        except TimeoutError:
            logger.debug("Some strangers' states were not dropped in time and expire by themselves")

    async def _keep(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._gone:
                try:
                    await self._drop_all()
                except Exception as error:  # a Redis that is away; there they end with their time at the latest
                    logger.debug("Strangers' states are dropped later: %s", error)
                if self._gone:
                    await self._clock.sleep(LOOK_S)

    async def _drop_all(self) -> None:
        for token, since in list(self._gone.items()):
            if await self._tokens.is_token_connected(token):  # it came back, to any worker, and will leave again
                self._gone.pop(token, None)
            elif not self._is_busy(token, cancel=self._clock.monotonic() - since > PATIENCE_S):
                await self._drop(token)
                self._gone.pop(token, None)

    @property
    def _tokens(self) -> Any:
        namespace: Any = self._app.event_namespace
        return namespace._token_manager

    def _is_busy(self, token: str, *, cancel: bool) -> bool:
        """Whether a handler of this token runs or waits; it would create the state again."""
        processor: Any = self._app.event_processor
        # Reflex puts the token into the name of each handler's task.
        tasks = [task for task in processor._tasks.values() if f"|{token}|" in task.get_name()]
        if cancel:
            for entry, _ in list(processor._token_queues.get(token, ())):
                if future := processor._futures.get(entry.ctx.txid):
                    future.cancel()
            for task in tasks:
                task.cancel()
        return bool(tasks) or token in processor._token_queues

    async def _drop(self, token: str) -> None:
        manager = self._app.state_manager
        key = rx.BaseStateToken(ident=token, cls=rx.State)
        if isinstance(manager, StateManagerMemory):
            manager._purge_token(key)
        elif isinstance(manager, StateManagerRedis):
            await manager.redis.unlink(*(key._state_key(state) for state in tree(rx.State)))


def tree(state: type[BaseState]) -> list[type[BaseState]]:
    """A state class with all below it."""
    return [state, *(each for below in state.get_substates() for each in tree(below))]
