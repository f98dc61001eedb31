"""The workers' keeper."""

import asyncio
import errno

from realtime_ui.workers import Workers


async def test_a_worker_that_cannot_be_started_leaves_the_others_alone() -> None:
    """No memory is left for one: it is told, and tried again later."""
    lines: list[str] = []
    calls: list[None] = []
    started: list[asyncio.subprocess.Process] = []
    ready, stopping = asyncio.Event(), asyncio.Event()

    async def start() -> asyncio.subprocess.Process:
        calls.append(None)
        if len(calls) > 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        started.append(await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True))
        return started[0]

    keeping = asyncio.create_task(Workers(2, start, ready, stopping, lambda pid: None, lines.append).keep())
    async with asyncio.timeout(60):
        while not lines:
            await asyncio.sleep(0.01)
    assert "Worker 2   cannot be started (Cannot allocate memory)" in lines[0]
    assert started[0].returncode is None
    stopping.set()
    async with asyncio.timeout(60):
        await keeping
    assert started[0].returncode is not None
