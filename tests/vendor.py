"""Runs the vendors' own clients in tests/vendors against a server on loopback."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vendors"
BUN = Path(sys.executable).parent / "bun"
DEADLINE_S = 120


async def run(script: str, *arguments: str) -> Any:
    """What a script printed, as JSON; None when nothing.

    Raises:
        AssertionError: it ended with an error; its text says which.
    """
    process = await asyncio.create_subprocess_exec(
        BUN,
        script,
        *arguments,
        cwd=FOLDER,
        env={**os.environ, "NODE_PATH": str(FOLDER / "node_modules")},  # for examples that lie elsewhere
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return json.loads(out) if out.strip() else None
