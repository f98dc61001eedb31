"""How many WebSockets a caller may open, and which handshakes are none of a page's."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from realtime_ui.access.gate import SCOPE_TOKEN
from realtime_ui.api.sockets import MAX_HEADERS, NEW_PER_S, TOLD, SocketDoor, SocketLimits
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.principals import Person, Role
from realtime_ui.hub.namespace import SCOPE_REFUSAL
from tests.clock import ManualClock

PEOPLE = {
    name: Person(uuid.uuid4(), uuid.uuid4(), "T", name, f"{name}@t.test", Role.MEMBER, uuid.uuid4())
    for name in ("ada", "max")
}
LIMITS = SocketLimits(per_person=3, per_address=2)


async def identify(token: str | None) -> Person | None:
    """Whose session a token is."""
    if token == "away":
        raise DatabaseUnavailable("It is away.")
    return PEOPLE.get(token or "")


class Site:
    """An app behind the door whose sockets stay open until told otherwise."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.door = SocketDoor(self._app, identify, LIMITS, self.clock)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await receive()

    @asynccontextmanager
    async def socket(self, **about: Any) -> AsyncIterator["Socket"]:
        """A socket that is open in the block, or was refused."""
        socket = Socket(**about)
        task = asyncio.create_task(self.door(socket.scope, socket.receive, socket.send))
        await socket.answered.wait()
        yield socket
        socket.closed.set()
        await task


class Socket:
    """A handshake and what came of it."""

    def __init__(
        self, who: str = "", address: str = "10.0.0.1", query: str = "token=x", headers: int = 0, denial: bool = True
    ) -> None:
        self.scope: Scope = {
            "type": "websocket",
            "path": "/_event/",
            "client": (address, 1),
            "query_string": query.encode(),
            "headers": [(b"x", b"y" * headers)],
            "extensions": {"websocket.http.response": {}} if denial else {},
        }
        if who:
            self.scope[SCOPE_TOKEN] = who
        self.answered, self.closed = asyncio.Event(), asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self._connected = False

    async def receive(self) -> dict[str, Any]:
        """The handshake, then the end."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        await self.closed.wait()
        return {"type": "websocket.disconnect"}

    async def send(self, message: Any) -> None:
        """Note an answer."""
        self.sent.append(message)
        self.answered.set()

    @property
    def outcome(self) -> str | int:
        """`accepted`, `told` (let in to be refused by the namespaces), or the status of the refusal."""
        if self.sent[0]["type"] == "websocket.accept":
            return "told" if SCOPE_REFUSAL in self.scope else "accepted"
        if self.sent[0]["type"] == "websocket.close":
            return "closed"
        assert self.sent[0]["type"] == "websocket.http.response.start"
        problem = json.loads(self.sent[1]["body"])
        assert problem["status"] == self.sent[0]["status"]
        assert problem["detail"]
        assert problem["remedy"]
        return int(problem["status"])


async def outcomes(site: Site, stack: AsyncExitStack, number: int, **about: Any) -> list[str | int]:
    """What comes of so many sockets, which stay open as long as the stack."""
    return [(await stack.enter_async_context(site.socket(**about))).outcome for _ in range(number)]


async def test_a_stranger_counts_for_their_address_until_the_socket_ends() -> None:
    """The first beyond the bound are told on the page, the rest by the handshake's answer; others are not affected."""
    site = Site()
    async with AsyncExitStack() as stack:
        found = await outcomes(site, stack, 2 + TOLD + 2)
        assert found[:2] == ["accepted"] * 2
        assert set(found[2:-2]) <= {"told", 429}, "opening them too fast is bounded, too"
        assert found[2] == "told"
        assert found[-2:] == [429, 429]
        assert await outcomes(site, stack, 1, address="10.0.0.2") == ["accepted"]
    site.clock.stand_still(100)
    async with AsyncExitStack() as stack:
        assert await outcomes(site, stack, 2) == ["accepted"] * 2


async def test_an_ipv6_host_is_one_address_whatever_it_calls_itself() -> None:
    """By the /64 that it was given."""
    site = Site()
    async with AsyncExitStack() as stack:
        found = [
            await outcomes(site, stack, 1, address=address)
            for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::3", "2001:db8:1:3::1")
        ]
        assert found == [["accepted"], ["accepted"], ["told"], ["accepted"]]


async def test_signed_in_people_count_for_themselves_and_not_for_their_office() -> None:
    """Wherever they sit."""
    site = Site()
    async with AsyncExitStack() as stack:
        assert await outcomes(site, stack, 2) == ["accepted"] * 2
        assert await outcomes(site, stack, 3, who="ada") == ["accepted"] * 3
        assert await outcomes(site, stack, 3, who="max") == ["accepted"] * 3
        assert await outcomes(site, stack, 1, who="ada", address="10.9.9.9") == ["told"]
        assert await outcomes(site, stack, 1, who="away") == ["told"], "an unknown cookie is a stranger's"


async def test_an_address_opens_sockets_at_a_bounded_rate() -> None:
    """Each brings a fresh state; a person's reloads are not slowed down."""
    site = Site()
    found: list[str | int] = []
    for _ in range(2 * LIMITS.per_address + 1):
        async with site.socket() as socket:
            found.append(socket.outcome)
    assert found == ["accepted"] * (2 * LIMITS.per_address) + [429]
    site.clock.stand_still(2 / NEW_PER_S)
    async with site.socket() as socket:
        assert socket.outcome == "accepted"
    for _ in range(20):
        async with site.socket(who="ada") as socket:
            assert socket.outcome == "accepted"


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({"query": ""}, 400),
        ({"query": "EIO=4&transport=websocket"}, 400),
        ({"query": "token="}, 400),
        ({"query": "token=" + "x" * 129}, 400),
        ({"headers": MAX_HEADERS}, 413),
    ],
)
async def test_a_handshake_that_no_page_makes_is_refused(about: dict[str, Any], status: int) -> None:
    """Whoever sends it; where the server cannot answer with HTTP, the socket is closed."""
    site = Site()
    for who in ("", "ada"):
        async with site.socket(**about, who=who) as socket:
            assert socket.outcome == status
    async with site.socket(**about, denial=False) as socket:
        assert socket.outcome == "closed"
