"""`GET /api/stream` of the running app."""

import asyncio
import json
import re
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import httpx
import pytest
import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.endings import Ending
from realtime_ui.core.position import Position
from realtime_ui.hub.cursor import cursor_text, new_stream_id, place_text
from realtime_ui.persistence.database import Database
from tests.ageing import let_go
from tests.app import App, command
from tests.integration.test_feed import channel, emit, update
from tests.sse import listen


def key_of(app: App, tenant: str = "Northwind") -> dict[str, str]:
    """A key's header."""
    return {"Authorization": f"Bearer {app.keys[tenant]}"}


def test_a_stream_begins_with_a_comment_its_retry_and_a_heartbeat(app: App) -> None:
    """Byte by byte: proxies flush, and the heartbeat is the specification's."""
    command = ["curl", "-siN", "--max-time", "60", "-H", f"Authorization: Bearer {app.key}"]
    text = ""
    with subprocess.Popen(
        [*command, f"{app.url}/api/stream?channel=project:x"], stdout=subprocess.PIPE, text=True
    ) as curl:
        assert curl.stdout is not None
        while not re.search(r"^data: .*\n\n", text, re.MULTILINE) and (line := curl.stdout.readline()):
            text += line
        curl.terminate()
    head, _, text = text.partition("\n\n")
    headers = httpx.Headers(dict(line.split(": ", 1) for line in head.split("\n")[1:]))
    assert head.startswith("HTTP/1.1 200 ")
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
    lines = text.split("\n")
    assert lines[0].startswith(": ")
    assert lines[1].startswith("retry: ")
    assert 2_000 <= int(lines[1].removeprefix("retry: ")) <= 3_000
    beat = json.loads(lines[3].removeprefix("data: "))
    assert lines[3] == f'data: {{"type":"heartbeat","timestamp":{beat["timestamp"]}}}'
    assert lines[2] == lines[4] == ""


async def test_a_stream_gets_what_was_and_what_comes_on_all_its_channels(app: App) -> None:
    """The last `rewind` messages, then each as it is committed, in its channel's order."""
    (one, one_name), (two, two_name) = channel(), channel()
    await emit(app, *(update(one, n) for n in range(5)))
    async with listen(app.url, key_of(app), one_name, two_name, rewind=2) as heard:
        await emit(app, *(update(each, n) for n in range(5, 8) for each in (one, two)))
        await heard.until(lambda: len(heard.data) == 8)
        assert heard.seqs(one_name) == [4, 5, 6, 7, 8]
        assert heard.seqs(two_name) == [1, 2, 3]
        first = heard.data[0]
        assert set(first) == {"channel", "seq", "epoch", "id", "type", "data", "timestamp", "emitted_by"}
        assert (first["type"], first["data"]) == ("project.updated", {"projectId": one, "n": 3})
        assert {event.event for event in heard.events} == {"message"}


async def test_a_stream_may_name_its_events(app: App) -> None:
    """For `addEventListener`."""
    identity, name = channel()
    async with listen(app.url, key_of(app), name, named=1) as heard:
        await emit(app, update(identity))
        await heard.until(lambda: heard.data)
        names = [event.event for event in heard.events if event.data]
        assert names[0] == "heartbeat"
        assert [name for name in names if name != "heartbeat"] == ["project.updated"]


@pytest.mark.parametrize("by", ["last_event_id", "cursor"])
async def test_a_stream_is_resumed_on_all_its_channels(app: App, by: str) -> None:
    """By the header or the query, page by page; the stream keeps its id."""
    (one, one_name), (two, two_name) = channel(), channel()
    async with listen(app.url, key_of(app), one_name, two_name) as heard:
        await emit(app, *(update(one, n) for n in range(3)))
        await heard.until(lambda: len(heard.data) == 3)
        cursor = heard.cursor
    await emit(app, *(update(one, n) for n in range(450)), update(two))
    async with listen(app.url, key_of(app), one_name, two_name, **{by: cursor}) as heard:
        await heard.until(lambda: len(heard.data) == 451)
        assert heard.seqs(one_name) == list(range(4, 454))
        assert heard.seqs(two_name) == [1]
        assert heard.cursor.split(".")[:2] == cursor.split(".")[:2]


async def test_what_is_no_longer_kept_is_told(app: App) -> None:
    """As an event that names the first and the last that are missing."""
    identity, name = channel()
    async with listen(app.url, key_of(app), name) as heard:
        await emit(app, *(update(identity, n) for n in range(5)))
        await heard.until(lambda: len(heard.data) == 5)
        cursor = heard.cursor
    await emit(app, *(update(identity, n) for n in range(15)))
    await let_go(app.database_url, name, upto=15)
    async with listen(app.url, key_of(app), name, last_event_id=cursor) as heard:
        await heard.until(lambda: len(heard.data) == 6)
        gap = heard.data[0]
        assert (gap["type"], gap["channel"], gap["first"], gap["last"]) == ("gap", name, 6, 15)
        assert heard.seqs(name) == [16, 17, 18, 19, 20]


async def test_another_epoch_is_told(app: App) -> None:
    """Then the stream begins as a new one would."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(5)))
    foreign = cursor_text(new_stream_id(), [place_text(ChannelName.parse(name), Position(str(uuid.uuid4()), 3))])
    async with listen(app.url, key_of(app), name, last_event_id=foreign, rewind=2) as heard:
        await heard.until(lambda: len(heard.data) == 3)
        reset = heard.data[0]
        assert (reset["type"], reset["channel"], reset["after"]) == ("reset", name, 3)
        assert heard.seqs(name) == [4, 5]


async def test_an_ephemeral_message_comes_without_an_id(app: App) -> None:
    """It moves no cursor."""
    identity = uuid.uuid4().hex[:12]
    async with listen(app.url, key_of(app), f"session:{identity}") as heard:
        before = heard.cursor
        await emit(app, ("session.message.delta", {"sessionId": identity, "messageId": "m", "index": 0, "text": "H"}))
        await heard.until(lambda: heard.data)
        assert "seq" not in heard.data[0]
        assert heard.cursor == before


@pytest.mark.parametrize(
    ("query", "headers", "status", "field"),
    [
        ("channel=project:x", {"Authorization": "Bearer rk_wrong"}, 401, "Authorization"),
        ("channel=project:x", {"Authorization": ""}, 401, "Authorization"),
        ("", {}, 422, "channel"),
        ("channel=planet:x", {}, 422, "channel"),
        ("channel=project:x&rewind=501", {}, 422, "rewind"),
        ("channel=project:x&cursor=made-up", {}, 400, "cursor"),
        ("channel=project:x", {"Last-Event-ID": "made-up"}, 400, "Last-Event-ID"),
        ("&".join(f"channel=project:x{n}" for n in range(51)), {}, 429, None),
        ("channel=project:x", {"Origin": "http://evil.test"}, 403, "Origin"),
    ],
)
async def test_what_cannot_be_streamed_is_answered_with_a_problem(
    app: App, query: str, headers: dict[str, str], status: int, field: str | None
) -> None:
    """At once, and not as a stream."""
    async with httpx.AsyncClient(base_url=app.url) as http:
        response = await http.get(f"/api/stream?{query}", headers={**key_of(app), **headers})
    assert (response.status_code, response.json().get("field")) == (status, field)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_stream_is_for_those_who_may_read(app: App) -> None:
    """Not for a key that only emits, nor for a member on the system's channels; nobody reads another tenant's."""
    secret = command(app.database_url, "keys", "add", "x", "--tenant", "Northwind", "--scope", "emit")
    emits = {"Authorization": f"Bearer {secret}"}
    max_ = {"Cookie": app.cookie("max@northwind.test")}
    identity, name = channel()
    async with listen(app.url, emits, name) as refused:
        assert refused.response.status_code == 403
    async with listen(app.url, max_, "system:jobs") as refused:
        await refused.until(lambda: refused.over)
        assert [(each["name"], each["reconnect"]) for each in refused.data] == [("rights_changed", False)]
    async with (
        listen(app.url, max_, name, rewind=10) as ours,
        listen(app.url, key_of(app, "Contoso"), name, rewind=10) as theirs,
    ):
        await emit(app, update(identity, 1))
        await ours.until(lambda: ours.data)
        await asyncio.to_thread(app.emit, update(identity, 2), key=app.keys["Contoso"])
        await theirs.until(lambda: theirs.data)
        assert [each["data"]["n"] for each in ours.data] == [1]
        assert [each["data"]["n"] for each in theirs.data] == [2]


async def test_signing_out_ends_the_streams_of_that_browser(app: App) -> None:
    """And of no other."""
    leaving, staying = ({"Cookie": app.cookie("max@northwind.test")} for _ in range(2))
    identity, name = channel()
    async with listen(app.url, leaving, name) as gone, listen(app.url, staying, name) as stays:
        async with httpx.AsyncClient() as http:
            await http.post(f"{app.url}/api/sign-out", headers=leaving)
        await gone.until(lambda: gone.over)
        await emit(app, update(identity))
        await stays.until(lambda: stays.data)
        assert gone.data == [{"type": "closed", **Ending.SIGNED_OUT.packet()}]


async def test_streams_are_bounded_for_each_person(app: App) -> None:
    """The next one is told when to try again; one that ends makes room."""
    ada = {"Cookie": app.cookie("ada@northwind.test")}
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(listen(app.url, ada, "project:x")) for _ in range(50)]
        assert [each.response.status_code for each in opened] == [200] * 50
        async with httpx.AsyncClient(headers=ada) as http:
            refused = await http.get(f"{app.url}/api/stream?channel=project:x")
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) > 0
    async with asyncio.timeout(60):
        while True:
            async with listen(app.url, ada, "project:x") as again:
                if not again.over:
                    break


@pytest.mark.parametrize(
    ("query", "cookie", "name", "reconnect"),
    [
        ("channel=project:x", "", "session_expired", False),
        ("channel=user:x", "max@northwind.test", "rights_changed", False),
        ("channel=planet:x", "max@northwind.test", "protocol_error", False),
        ("", "max@northwind.test", "protocol_error", False),
        ("&".join(f"channel=project:x{n}" for n in range(51)), "max@northwind.test", "too_many_connections", True),
    ],
)
async def test_a_refusal_is_a_stream_for_an_event_source(
    app: App, query: str, cookie: str, name: str, reconnect: bool
) -> None:
    """It could not read a status, and would give up for good on one: it is told in a stream that then ends."""
    headers = {"Accept": "text/event-stream", **({"Cookie": app.cookie(cookie)} if cookie else {})}
    async with httpx.AsyncClient(base_url=app.url) as http:
        response = await http.get(f"/api/stream?{query}", headers=headers)
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    lines = response.text.splitlines()
    assert lines[0].startswith(f": {name}: ")
    wait = int(lines[1].removeprefix("retry: "))
    assert wait >= 1_000
    said = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [(each["type"], each["name"]) for each in said] == ([] if reconnect else [("closed", name)])


async def set_interval(app: App, kind: str, ms: int) -> None:
    """Change the table, as the monitor page does."""
    database = Database(app.database_url, pool=1)
    statement = sa.text("UPDATE realtime_heartbeat_config SET heartbeat_interval_ms = :ms WHERE channel_type = :kind")
    async with database.single() as connection:
        await connection.execute(statement, {"ms": ms, "kind": kind})
    await database.close()


@pytest.fixture
async def quick_users(app: App) -> AsyncIterator[App]:
    """The app, whose `user` channels may beat as a test likes."""
    yield app
    await set_interval(app, "user", 30_000)


async def test_a_changed_interval_is_in_force_on_open_streams(quick_users: App) -> None:
    """Within seconds, and the smallest of a stream's types counts."""
    app = quick_users
    both = ("user:u", "project:p")
    async with listen(app.url, key_of(app), *both) as quick, listen(app.url, key_of(app), "project:p") as slow:
        assert (len(quick.beats), len(slow.beats)) == (1, 1)
        await set_interval(app, "user", 1_000)
        await quick.until(lambda: len(quick.beats) >= 4, seconds=60)
        await set_interval(app, "user", 30_000)
        async with asyncio.timeout(60):
            beats = 0
            while len(quick.beats) > beats:
                beats = len(quick.beats)
                await asyncio.sleep(3)
        assert len(slow.beats) < len(quick.beats)


async def metric(app: App, name: str) -> float:
    """A metric of the worker."""
    key = command(app.database_url, *["keys", "add", "m", "--tenant", "Northwind", "--scope", "metrics"])
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{app.url}/api/metrics", headers={"Authorization": f"Bearer {key}"})).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def test_a_reader_who_stopped_is_cut_off_at_a_bound(app: App) -> None:
    """It costs no more than that, and others on the channel do not notice."""
    identity, name = channel()
    stopped = socket.socket()
    stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    stopped.connect(("127.0.0.1", app.process.port))
    request = f"GET /api/stream?channel={name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app.key}\r\n\r\n"
    stopped.sendall(request.encode())
    assert await asyncio.to_thread(stopped.recv, 15) == b"HTTP/1.1 200 OK"
    bounds = await metric(app, "realtime_queue_bounds_hit_total")
    async with listen(app.url, key_of(app), name) as reads:
        streams = await metric(app, "realtime_streams")
        for n in range(100):
            await emit(app, ("project.updated", {"projectId": identity, "n": n, "text": "x" * 60_000}))
        await reads.until(lambda: len(reads.data) == 100)
        assert await metric(app, "realtime_queue_bounds_hit_total") == bounds + 1
        assert await metric(app, "realtime_streams") == streams - 1
        assert reads.seqs(name) == list(range(1, 101))
    rest = b""
    with suppress(ConnectionResetError):
        while piece := await asyncio.to_thread(stopped.recv, 1_000_000):
            rest = rest[-10:] + piece
    assert not rest.endswith(b"0\r\n\r\n")  # not an end in good order
    stopped.close()
