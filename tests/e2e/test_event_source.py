"""Streams across the death and the restart of the server, by every kind of client at once."""

import asyncio
import json
import os
import re
import signal
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Page, Route

from realtime_ui.client import EventClient
from tests.app import ROOT, App, until_it_answers
from tests.e2e.conftest import Open
from tests.sse import Listener, listen

DEADLINE_S = 60
FOLLOW = """(url) => {
  window.heard = [];
  window.source = new EventSource(url);
  source.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type !== 'heartbeat') heard.push(`${message.channel} ${message.seq}`);
  };
  return new Promise((opened) => { source.onopen = opened; });
}"""

Heard = Callable[[], Awaitable[list[str]]]
"""What a client heard so far, each message as `CHANNEL SEQ`."""


def line(message: dict[str, Any]) -> str:
    """A message in short; without a seq, such as a gap, it fits nowhere."""
    return f"{message['channel']} {message.get('seq')}"


async def until_ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task, again where a cancellation got lost inside an HTTP call."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)


@asynccontextmanager
async def in_page(page: Page, channels: list[str]) -> AsyncIterator[Heard]:
    """The browser's EventSource, as the specification's page has it."""
    await page.evaluate(FOLLOW, "/api/stream?" + "&".join(f"channel={each}" for each in channels))

    async def heard() -> list[str]:
        found: list[str] = await page.evaluate("heard")
        return found

    yield heard


@asynccontextmanager
async def in_python(app: App, channels: list[str]) -> AsyncIterator[Heard]:
    """`EventClient.stream`, which is httpx-sse."""
    lines: list[str] = []

    async def follow() -> None:
        async with EventClient(app.url, app.key) as client:
            async for message in client.stream(*channels):
                lines.append(line(message))  # noqa: PERF401  (seen while it grows)

    async def heard() -> list[str]:
        return lines

    task = asyncio.create_task(follow())
    yield heard
    await until_ended(task)


@asynccontextmanager
async def in_curl(app: App, channels: list[str]) -> AsyncIterator[Heard]:
    """curl, started again with the last id of a whole event whenever it ended."""
    lines: list[str] = []
    url = f"{app.url}/api/stream?" + "&".join(f"channel={each}" for each in channels)

    async def follow() -> None:
        cursor = ""
        while True:
            command = ("curl", "-sN", "-H", f"Authorization: Bearer {app.key}", "-H", f"Last-Event-ID: {cursor}", url)
            curl = await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=1_000_000)
            assert curl.stdout is not None
            try:
                event: dict[str, str] = {}
                async for raw in curl.stdout:
                    name, _, value = raw.decode().rstrip("\n").partition(": ")
                    event[name] = value
                    if raw == b"\n":
                        cursor = event.get("id", cursor)
                        message = json.loads(event.get("data", "{}"))
                        if message.get("type", "heartbeat") != "heartbeat":
                            lines.append(line(message))
                        event = {}
            finally:
                with suppress(ProcessLookupError):
                    curl.kill()
                await curl.wait()
            await asyncio.sleep(0.5)

    async def heard() -> list[str]:
        return lines

    task = asyncio.create_task(follow())
    yield heard
    await until_ended(task)


@asynccontextmanager
async def in_tail(app: App, channels: list[str], output: Path) -> AsyncIterator[Heard]:
    """The command line."""
    environment = {**os.environ, "REALTIME_URL": app.url, "REALTIME_API_KEY": app.key}
    command = (sys.executable, "-m", "realtime_ui", "tail", *channels)
    with output.open("wb") as file:
        tail = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=file, stderr=PIPE)

    async def heard() -> list[str]:
        text = await asyncio.to_thread(output.read_text)
        return [line(json.loads(each)) for each in text.split("\n")[:-1]]

    yield heard
    tail.send_signal(signal.SIGINT)
    assert tail.stderr is not None
    assert (await asyncio.wait_for(tail.wait(), 10), await tail.stderr.read()) == (0, b"")


async def test_whoever_follows_misses_nothing_and_sees_nothing_twice_across_restarts(
    app: App, open_page: Open, tmp_path: Path
) -> None:
    """The worker is killed, then the whole app is started again, while events go on coming."""
    projects = [uuid.uuid4().hex[:12] for _ in range(2)]
    channels = [f"project:{project}" for project in projects]
    watched = await open_page("/sign-in", "max@northwind.test")
    emitted = 0
    stop = asyncio.Event()

    async def emit() -> None:
        nonlocal emitted
        async with EventClient(app.url, app.key, patience_s=DEADLINE_S) as client:
            while not stop.is_set():
                await client.emit_many(
                    [{"type": "project.updated", "payload": {"projectId": each, "n": emitted}} for each in projects]
                )
                emitted += 1
                await asyncio.sleep(0.02)

    async with (
        in_page(watched.page, channels) as page,
        in_python(app, channels) as python,
        in_curl(app, channels) as curl,
        in_tail(app, channels, tmp_path / "tail") as tail,
    ):
        followers = {"page": page, "python": python, "curl": curl, "tail": tail}
        async with asyncio.timeout(DEADLINE_S):  # everybody is there
            first = 0
            while not all([await heard() for heard in followers.values()]):
                events: list[tuple[str, dict[str, object]]] = [
                    ("project.updated", {"projectId": each}) for each in projects
                ]
                await asyncio.to_thread(app.emit, *events)
                first += 1
                await asyncio.sleep(0.2)
        emitting = asyncio.create_task(emit())
        await asyncio.sleep(1)
        [worker] = psutil.Process(app.process.pid).children()
        worker.send_signal(signal.SIGKILL)
        await until_it_answers(app.url)
        await asyncio.sleep(4)
        await asyncio.to_thread(app.process.end)
        await asyncio.to_thread(app.process.start)
        await asyncio.sleep(4)
        stop.set()
        await emitting
        total = first + emitted
        wanted = {f"{each} {seq}" for each in channels for seq in range(first + 1, total + 1)}
        async with asyncio.timeout(DEADLINE_S):
            while not all([set(await heard()) >= wanted for heard in followers.values()]):
                await asyncio.sleep(0.2)
        everything = {name: await heard() for name, heard in followers.items()}
    for name, lines in everything.items():
        for channel in channels:
            seqs = [int(each.split()[1]) for each in lines if each.startswith(channel)]
            assert seqs == list(range(seqs[0], total + 1)), name
    watched.troubles.clear()  # the connections that were lost
    await watched.page.close()


async def test_the_server_ends_in_time_with_open_streams(app: App) -> None:
    """Each stream hears why and ends in good order; nobody waits for the drain to be over."""
    headers = {"Authorization": f"Bearer {app.key}"}
    streams: list[Listener] = []

    async def follow() -> None:
        async with listen(app.url, headers, "project:x") as stream:
            streams.append(stream)
            await stream.until(lambda: stream.over, seconds=DEADLINE_S)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(follow())
            async with asyncio.timeout(DEADLINE_S):
                while len(streams) < 50:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(app.process.end)
        text = app.process.output.read_text()
    finally:
        app.process.start()
    assert not [stream for stream in streams if stream.broken]
    assert "graceful shutdown exceeded" not in text
    assert "in ASGI application" not in text
    assert "without completing" not in text


REMEMBER_SOURCES = """
window.sources = [];
window.EventSource = class extends EventSource {
  constructor(address) {
    super(address);
    sources.push(this);
  }
}"""
HANDLERS = """
window.heard = [];
const handleMessage = (data) => heard.push(['message', data.data.n]);
const handleUpdate = (data) => heard.push(['update', data.data.n])"""
ALL_OPEN = """() => Promise.all(sources.map((each) => new Promise((done) => {
  if (each.readyState === EventSource.OPEN) done(); else each.onopen = done;
})))"""


async def test_the_snippet_goes_on_after_an_event_source_has_given_up(app: App, open_page: Open) -> None:
    """A proxy answered with a status; the next EventSource begins where the last one was, and nothing is missed."""
    project = "abc123"
    watched = await open_page("/sign-in", "max@northwind.test")
    page = watched.page
    script = await asyncio.to_thread((ROOT / "examples/migration/follow.js").read_text)
    [follow] = re.findall(r"// region follow\n(.*?)// endregion", script, re.DOTALL)
    await page.evaluate(f"{REMEMBER_SOURCES}; {HANDLERS}; {follow}")
    await page.evaluate(ALL_OPEN)
    await asyncio.to_thread(app.emit, ("project.updated", {"projectId": project, "n": 1}))
    async with asyncio.timeout(DEADLINE_S):
        while not await page.evaluate("heard.length"):
            await asyncio.sleep(0.1)
    refusals = 0

    async def refuse(route: Route) -> None:
        nonlocal refusals
        refusals += 1
        if refusals > 2:
            await route.continue_()
        else:
            await route.fulfill(status=502, content_type="text/html", body="Bad gateway")

    await page.route(re.compile("/api/stream"), refuse)
    [worker] = psutil.Process(app.process.pid).children()
    worker.send_signal(signal.SIGKILL)
    await until_it_answers(app.url)
    await asyncio.to_thread(app.emit, ("project.updated", {"projectId": project, "n": 2}))
    async with asyncio.timeout(DEADLINE_S):
        while len(heard := await page.evaluate("heard")) < 2:
            await asyncio.sleep(0.1)
    assert heard == [["message", 1], ["message", 2]]
    assert await page.evaluate("sources.length") >= 2
    watched.troubles.clear()  # the connection that was lost, and the refusals
    await page.close()


async def test_an_event_source_is_told_why_it_is_refused(app: App, open_page: Open) -> None:
    """As an event, on which the snippet closes it."""
    page = (await open_page("/sign-in", "max@northwind.test")).page
    told = await page.evaluate("""() => new Promise((done) => {
      const source = new EventSource('/api/stream?channel=user:somebody');
      source.onmessage = (event) => { source.close(); done(JSON.parse(event.data)); };
    })""")
    assert (told["type"], told["name"], told["reconnect"]) == ("closed", "rights_changed", False)
    await page.close()


async def test_the_pages_of_the_migration_document_hear_what_happens(app: App, open_page: Open) -> None:
    """Unnamed by `onmessage`, named by `addEventListener`, from the very lines of the document."""
    page = (await open_page("/sign-in", "max@northwind.test")).page
    script = await asyncio.to_thread((ROOT / "examples/migration/follow.js").read_text)
    await page.evaluate(f"{REMEMBER_SOURCES}; {HANDLERS}; {script}")
    await page.evaluate(ALL_OPEN)
    await asyncio.to_thread(app.emit, ("project.updated", {"projectId": "abc123", "n": 7}))
    async with asyncio.timeout(DEADLINE_S):
        while len(heard := await page.evaluate("heard")) < 2:
            await asyncio.sleep(0.1)
    assert sorted(heard) == [["message", 7], ["update", 7]]
    await page.close()
