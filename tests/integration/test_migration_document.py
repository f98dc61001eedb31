"""docs/MIGRATION.md: its snippets are parts of files, and those files do what it says."""

import asyncio
import json
import os
import signal
from asyncio import StreamReader
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from examples.migration import programs, server
from realtime_ui.core.principals import Role
from realtime_ui.runtime import Runtime
from tests.app import PASSWORD, ROOT, App
from tests.clock import settle
from tests.documents import region, snippets
from tests.people import have_person

CHANNEL = "project:abc123"


@pytest.mark.parametrize("document", ["docs/MIGRATION.md", "README.md"])
def test_a_snippet_is_what_its_file_says(document: str) -> None:
    """To the letter."""
    told = [each for each in snippets(document) if each.file]
    assert told
    for each in told:
        assert each.text == region(each.file or "", each.region or ""), each.file


def test_every_snippet_of_ours_comes_from_a_file() -> None:
    """What is not ours is TypeScript."""
    assert {each.language for each in snippets("docs/MIGRATION.md") if not each.file} == {"typescript"}


@asynccontextmanager
async def shell(app: App, name: str) -> AsyncIterator[StreamReader]:
    """What a script of the examples prints; it is ended after the block."""
    environment = {**os.environ, "REALTIME_URL": app.url, "REALTIME_API_KEY": app.key}
    script = await asyncio.create_subprocess_exec(
        *("bash", ROOT / "examples/migration" / name), env=environment, stdout=PIPE, start_new_session=True
    )
    assert script.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield script.stdout
    finally:
        with suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGTERM)
        await script.wait()


async def test_curl_emits_and_follows(app: App) -> None:
    """One in a shell each."""
    async with shell(app, "follow.sh") as followed:
        await followed.readuntil(b"heartbeat")  # it is there
        async with shell(app, "emit.sh") as emitted:
            answer = json.loads(await emitted.read())
        assert answer["events"][0]["channels"][0]["channel"] == CHANNEL
        await followed.readuntil(answer["events"][0]["id"].encode())


class Enough(Exception):
    """What a test's handler ends a program with."""


def after(count: int, heard: list[dict[str, Any]]) -> Any:
    """A handler that remembers, and has enough after so many messages."""

    def handle(message: dict[str, Any]) -> None:
        heard.append(message)
        if len(heard) >= count:
            raise Enough

    return handle


async def emit_until(following: asyncio.Task[None], app: App) -> None:
    """Emit until a program has enough."""
    async with asyncio.timeout(60):
        while not following.done():
            await programs.emit(app.url, app.key, "abc123")


async def test_a_program_emits_and_follows(app: App) -> None:
    """With the same few lines."""
    heard: list[dict[str, Any]] = []
    following = asyncio.create_task(programs.follow(app.url, app.key, after(2, heard)))
    await emit_until(following, app)
    with pytest.raises(Enough):
        await following
    await settle()  # Python ends the iterator that was left
    assert [each["data"]["changes"] for each in heard] == [{"status": "completed"}] * 2


async def test_a_program_goes_on_where_it_ended(app: App, tmp_path: Path) -> None:
    """What was emitted between two runs comes in the second; what it had not finished, again."""
    file = tmp_path / "cursor"
    heard: list[dict[str, Any]] = []
    following = asyncio.create_task(programs.follow_for_good(app.url, app.key, file, after(2, heard)))
    await emit_until(following, app)
    for _ in range(2):
        await programs.emit(app.url, app.key, "abc123")
    with pytest.raises(Enough):
        await following
    with pytest.raises(Enough):
        await asyncio.wait_for(programs.follow_for_good(app.url, app.key, file, after(5, heard)), 60)
    await settle()
    seqs = [each["seq"] for each in heard]
    first = seqs[0]
    assert seqs == [first, first + 1, first + 1, first + 2, first + 3]  # the second was not handled to its end


async def test_code_of_the_app_emits_and_reacts(runtime: Runtime) -> None:
    """On the bus."""
    await have_person(runtime.database, "Northwind", "ada@northwind.test", "Ada", Role.ADMIN)
    token = await runtime.gate.sign_in("ada@northwind.test", PASSWORD, "tests")
    ada = await runtime.gate.by_token(token)
    assert ada is not None
    notified: asyncio.Queue[str] = asyncio.Queue()
    server.on_updates(notified.put)
    await server.emit("abc123", ada)
    assert await asyncio.wait_for(notified.get(), 5) == "abc123"
