"""Keeps the worker processes alive: each that dies is started again, after a pause that doubles while it does.

A worker is a session of its own, so that Ctrl-C reaches the parent alone, which ends all of them in order.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

STOP_S = 6.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 10.0
HEALTHY_S = 20.0
TRIES_BEFORE_READY = 4


class CannotStart(Exception):
    """Why the start ends here, in one sentence for the terminal."""


class Workers:
    """All workers of this machine.

    Args:
        count: how many.
        start: starts one.
        ready: set once the app has answered; a worker that dies before it again and again ends the start.
        stopping: set when all are to end.
        buried: told the process id of each that has ended.
        say: tells the terminal.
    """

    def __init__(
        self,
        count: int,
        start: Callable[[], Awaitable[asyncio.subprocess.Process]],
        ready: asyncio.Event,
        stopping: asyncio.Event,
        buried: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self._count = count
        self._start = start
        self._ready = ready
        self._stopping = stopping
        self._buried = buried
        self._say = say

    async def keep(self) -> None:
        """Run them until the end is asked for, and end them.

        Raises:
            CannotStart: one of them never came up.
        """
        keepers = [asyncio.create_task(self._keep(number)) for number in range(1, self._count + 1)]
        try:
            await asyncio.wait(keepers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._stopping.set()
            await asyncio.gather(*keepers, return_exceptions=True)
        for keeper in keepers:
            keeper.result()

    async def _keep(self, number: int) -> None:
        name = f"Worker {number}" if self._count > 1 else "Worker"
        pause, deaths = BACKOFF_MIN_S, 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                worker = await self._start()
            except OSError as error:  # no memory, or no process more: the other workers go on
                self._say(f"{name:<10} cannot be started ({error.strerror}); trying again in {BACKOFF_MAX_S:g} s")
                await self._pause(BACKOFF_MAX_S)
                continue
            ended, stopping = asyncio.create_task(worker.wait()), asyncio.create_task(self._stopping.wait())
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not ended.done():
                await self._end(worker, name)
                await ended
                return
            _signal(worker, signal.SIGKILL)  # what it started and left behind
            self._buried(worker.pid)
            deaths += 1
            if not self._ready.is_set() and deaths >= TRIES_BEFORE_READY:
                raise CannotStart("The worker ended again and again before it was ready; see its last words above.")
            if time.monotonic() - started > HEALTHY_S:
                pause = BACKOFF_MIN_S
            self._say(f"{name:<10} ended with {worker.returncode}; starting again in {pause:g} s")
            await self._pause(pause)
            pause = min(pause * 2, BACKOFF_MAX_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _end(self, worker: asyncio.subprocess.Process, name: str) -> None:
        """Ask the worker's whole session to end; make it after `STOP_S` seconds."""
        _signal(worker, signal.SIGTERM)
        try:
            await asyncio.wait_for(worker.wait(), STOP_S)
        except TimeoutError:
            self._say(f"{name:<10} did not end in time and is killed")
        _signal(worker, signal.SIGKILL)  # stragglers of its session, too
        await worker.wait()


def _signal(worker: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, number)
