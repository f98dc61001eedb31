"""A worker's open streams and their time, moved by hand: heartbeats, callers, ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from socketio import AsyncServer

from realtime_ui.access.accounts import Accounts
from realtime_ui.access.revocations import INTERVAL_S
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.endings import Ending
from realtime_ui.core.errors import NotAllowed, RateLimited
from realtime_ui.core.principals import Principal, Role, Scope
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.cursor import Cursor
from realtime_ui.hub.stream import Stream
from realtime_ui.hub.streams import CHECK_S, StreamRequest
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.app import PASSWORD
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.people import have_person, tenants

PROJECT = ChannelName.parse("project:x")
USER = ChannelName.parse("user:x")
SYSTEM = ChannelName.parse("system:x")
PROGRAM = ClientInfo("", "", "program", "sse", "")


@dataclass
class Open:
    """A stream, read by a task."""

    stream: Stream
    text: str = ""
    cut: int = 0
    task: "asyncio.Task[None] | None" = field(default=None)

    @property
    def beats(self) -> int:
        """How many heartbeats came."""
        return self.text.count('data: {"type":"heartbeat"')

    async def over(self) -> bool:
        """Whether it ends now."""
        assert self.task is not None
        done, _ = await asyncio.wait({self.task}, timeout=60)
        return bool(done)


def closed(opened: Open) -> list[dict[str, Any]]:
    """The `closed` events of a stream."""
    lines = (line.removeprefix("data: ") for line in opened.text.splitlines() if line.startswith("data: "))
    return [each for line in lines if (each := json.loads(line))["type"] == "closed"]


class Stage:
    """A worker without HTTP, with its clock."""

    def __init__(self, settings: Settings) -> None:
        self.clock = ManualClock()
        self.runtime = Runtime(settings, AsyncServer(async_mode="asgi"), no_sink, clock=self.clock)
        self.opened: list[Open] = []

    async def person(self, role: Role = Role.MEMBER) -> str:
        """Max's cookie, signed in."""
        await have_person(self.runtime.database, "Northwind", "max@northwind.test", "Max", role)
        return f"realtime_session={await self.runtime.gate.sign_in('max@northwind.test', PASSWORD, 'tests')}"

    async def key(self) -> str:
        """A new key's header."""
        await self.person()
        [(tenant, _)] = await tenants(self.runtime.database)
        return f"Bearer {await self.runtime.gate.add_key(tenant, 'tests', frozenset({Scope.READ}))}"

    async def open(
        self,
        *channels: ChannelName,
        key: str | None = None,
        cookie: str | None = None,
        cursor: Cursor | None = None,
        address: str = "here",
    ) -> Open:
        """A stream that is being read."""

        async def identify() -> Principal | None:
            return await self.runtime.gate.by_headers(key, cookie)

        principal = await identify()
        assert principal is not None
        wish = StreamRequest(channels or (PROJECT,), False, 0, cursor)
        streams = self.runtime.streams
        opened: Open

        def cut() -> None:
            opened.cut += 1

        opened = Open(streams.open(wish, principal, identify, address, PROGRAM, cut))

        async def read() -> None:
            async for piece in streams.events(opened.stream, b""):
                opened.text += piece.decode()
            await streams.close(opened.stream)

        opened.task = asyncio.create_task(read())
        self.opened.append(opened)
        await self.until(lambda: "id: " in opened.text)
        return opened

    async def until(self, condition: Any) -> None:
        """Wait until `condition()` holds."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    async def set_interval(self, kind: str, ms: int) -> None:
        """Change the table."""
        async with self.runtime.database.single() as connection:
            await connection.exec_driver_sql(
                f"UPDATE realtime_heartbeat_config SET heartbeat_interval_ms = {ms} WHERE channel_type = '{kind}'"
            )


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """A running stage; what was opened is closed."""
    limits = {"streams_per_person": 2, "streams_per_key": 3, "streams_per_address": 4}
    stage = Stage(settings.model_copy(update=limits))
    async with stage.runtime:
        yield stage
        stage.runtime.streams.end_all()
        for opened in stage.opened:
            assert await opened.over()
        assert len(stage.runtime.streams) == 0


async def test_it_beats_on_opening_and_at_the_smallest_interval_of_its_channels(stage: Stage) -> None:
    """As the table has it, also when the table changes."""
    key = await stage.key()
    project, system = await stage.open(PROJECT, key=key), await stage.open(SYSTEM, key=key)
    both = await stage.open(SYSTEM, PROJECT, key=key)
    assert (project.beats, system.beats, both.beats) == (1, 1, 1)
    for _ in range(31):
        await stage.clock.advance(1)
    await stage.until(lambda: (project.beats, system.beats, both.beats) == (2, 1, 2))
    await stage.set_interval("system", 5_000)
    async with asyncio.timeout(60):
        while system.beats < 2 or both.beats < 3:
            await stage.clock.advance(0.1)
            await asyncio.sleep(0.02)  # the table is read
    assert project.beats == 2


async def test_a_revoked_key_ends_its_streams_within_half_a_minute(stage: Stage) -> None:
    """With a last word; another key's go on."""
    key = await stage.key()
    gone = await stage.open(key=key)
    async with stage.runtime.database.single() as connection:
        await connection.exec_driver_sql("UPDATE api_keys SET revoked_at = now()")
    other = await stage.open(key=await stage.key())
    await stage.clock.advance(CHECK_S + 2)
    assert await gone.over()
    [said] = closed(gone)
    assert (said["name"], said["reconnect"]) == ("session_expired", False)
    await stage.clock.advance(CHECK_S + 2)
    assert not (other.task and other.task.done())


async def test_a_session_that_ended_elsewhere_ends_its_streams(stage: Stage) -> None:
    """Another worker's sign-out is only in the database."""
    opened = await stage.open(cookie=await stage.person())
    async with stage.runtime.database.single() as connection:
        await connection.exec_driver_sql("DELETE FROM sign_in_sessions")
    await stage.clock.advance(CHECK_S + 2)
    assert await opened.over()


@pytest.mark.parametrize("whose", ["key", "person"])
async def test_a_stream_ends_within_seconds_of_its_callers_revocation(stage: Stage, whose: str) -> None:
    """And not only when all callers are checked."""
    accounts = Accounts(AccountRepository(stage.runtime.database))
    if whose == "key":
        opened = await stage.open(key=await stage.key())
        await accounts.revoke_key("tests")
    else:
        opened = await stage.open(cookie=await stage.person())
        await accounts.remove_person("max@northwind.test")
    await stage.clock.advance(INTERVAL_S)
    await stage.until(lambda: [each["name"] for each in closed(opened)] == ["session_expired"])
    assert await opened.over()


async def test_a_stream_ends_when_one_of_its_channels_may_not_be_read_any_more(stage: Stage) -> None:
    """An admin who is a member now sees no system channel."""
    cookie = await stage.person(Role.ADMIN)
    opened = await stage.open(PROJECT, SYSTEM, cookie=cookie)
    await stage.person(Role.MEMBER)
    await stage.clock.advance(CHECK_S + 2)
    assert await opened.over()
    [said] = closed(opened)
    assert (said["name"], said["detail"]) == ("rights_changed", "system:x may not be read any more.")


async def test_a_stream_has_its_time(stage: Stage) -> None:
    """Give or take a tenth; whoever comes back goes on under the same id."""
    key = await stage.key()
    opened = await stage.open(key=key)
    await stage.clock.advance(600 * 0.9 - 2)
    assert opened.task
    assert not opened.task.done()
    await stage.clock.advance(600 * 0.2 + 3)
    assert await opened.over()
    assert ": time_up: " in opened.text
    assert closed(opened) == []  # it comes back, so it need not know
    text = opened.text.rpartition("id: ")[2].split()[0]
    again = await stage.open(key=key, cursor=Cursor.parse(text, field="cursor", max_channels=5))
    assert again.stream.id == opened.stream.id
    assert again.stream.connection_id == opened.stream.connection_id


async def test_two_streams_from_one_cursor_are_two(stage: Stage) -> None:
    """The first goes on under the cursor's id, the second under its own."""
    key = await stage.key()
    first = await stage.open(key=key)
    cursor = Cursor.parse(first.text.rpartition("id: ")[2].split()[0], field="cursor", max_channels=5)
    second = await stage.open(key=key, cursor=cursor)
    assert second.stream.id != first.stream.id


async def test_streams_are_bounded_for_a_person_a_key_and_an_address(stage: Stage) -> None:
    """The problem says for which, and when to come again; one that ends makes room. An IPv6 /64 is one address."""
    cookie, key = await stage.person(), await stage.key()
    host = "2001:db8:1:2::"
    two = [await stage.open(cookie=cookie, address=f"{host}{n}") for n in range(2)]
    with pytest.raises(RateLimited, match="2 streams are open for this person") as refused:
        await stage.open(cookie=cookie)
    assert refused.value.retry_after_s > 0
    for n in range(2):
        await stage.open(key=key, address=f"{host}a{n}")
    with pytest.raises(RateLimited, match="4 streams are open for this address"):
        await stage.open(key=key, address=f"{host}b")
    await stage.open(key=key, address="elsewhere")
    with pytest.raises(RateLimited, match="3 streams are open for this key"):
        await stage.open(key=key, address="elsewhere")
    two[0].stream.end(Ending.TIME_UP)
    assert await two[0].over()
    await stage.open(cookie=cookie)


async def test_nobody_opens_what_they_may_not_read(stage: Stage) -> None:
    """Nor does it count."""
    cookie = await stage.person()
    with pytest.raises(NotAllowed):
        await stage.open(PROJECT, USER, cookie=cookie)
    assert len(stage.runtime.streams) == 0


async def test_a_stream_that_cannot_say_its_last_word_is_cut_off(stage: Stage) -> None:
    """Its client does not read."""
    opened = await stage.open(key=await stage.key())
    assert opened.task
    opened.task.cancel()
    await asyncio.gather(opened.task, return_exceptions=True)
    opened.stream.end(Ending.TIME_UP)
    for _ in range(5):
        await stage.clock.advance(1)
    assert opened.cut >= 1
    await stage.runtime.streams.close(opened.stream)


async def test_an_event_of_this_worker_comes_at_once(stage: Stage) -> None:
    """Through bus, log and hub."""
    cookie = await stage.person()
    opened = await stage.open(cookie=cookie)
    person = opened.stream.principal
    await stage.runtime.bus.emit("project.updated", {"projectId": "x"}, person.tenant)
    await stage.until(lambda: '"seq":1' in opened.text)
    data = json.loads(opened.text.rpartition("data: ")[2])
    assert (data["channel"], data["type"], data["data"]) == ("project:x", "project.updated", {"projectId": "x"})
