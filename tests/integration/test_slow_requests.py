"""Requests that do not arrive: uvicorn with our protocol, and clients that send slowly or never stop."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from realtime_ui.http_deadlines import MAX_HEADERS, TimelyHttp
from tests.app import free_port

DEADLINE_S = 60


class Quick(TimelyHttp):
    """With deadlines that a test can wait for."""

    headers_s = 0.5
    body_s = 1.0


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, but for /early and /late; /slow and /late answer late."""
    assert scope["type"] == "http"
    if scope["path"] == "/late":
        await asyncio.sleep(1.5)  # by then the request is refused
    while scope["path"] not in ("/early", "/late"):
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
    if scope["path"] == "/late":
        LATE_ANSWERS.append(scope["path"])


LATE_ANSWERS: list[str] = []
"""What /late has sent without an error."""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where it listens."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(application, port=port, http=Quick, lifespan="off", log_level="critical", access_log=False)
    )
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(DEADLINE_S):
        while not server.started:
            await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await task


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def answer_to(port: int, *parts: bytes, pause_s: float = 0.0) -> str:
    """All that comes until the server closes, while parts are sent with pauses."""
    async with asyncio.timeout(DEADLINE_S), connection(port) as (reader, writer):

        async def send() -> None:
            with suppress(OSError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause_s)

        sending = asyncio.create_task(send())
        answer = await reader.read()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return answer.decode()


def problem_in(answer: str) -> Any:
    """The problem that an answer holds."""
    head, _, body = answer.partition("\r\n\r\n")
    assert "connection: close" in head
    return json.loads(body)


@pytest.mark.parametrize(
    "parts",
    [
        (b"POST / HTTP/1.1\r\n",),
        (b"POST / HTTP/1.1\r\nHost: x\r\n", *(b"X-%d: y\r\n" % number for number in range(1_000))),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 1_000),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1_000),
    ],
    ids=["headers", "headers drip by drip", "body", "body drip by drip", "chunks drip by drip"],
)
async def test_a_request_that_does_not_arrive_is_answered_408_and_closed(port: int, parts: tuple[bytes, ...]) -> None:
    """However much of it keeps coming."""
    answer = await answer_to(port, *parts, pause_s=0.05)
    assert answer.startswith("HTTP/1.1 408 ")
    assert problem_in(answer)["remedy"]


async def test_a_body_that_drips_after_its_answer_is_closed(port: int) -> None:
    """It has its answer, and no second one."""
    parts = (b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 1_000)
    answer = await answer_to(port, *parts, pause_s=0.05)
    assert answer.count("HTTP/1.1") == 1
    assert answer.startswith("HTTP/1.1 200 ")


async def test_an_app_may_go_on_answering_a_refused_request(port: int) -> None:
    """What it sends is dropped without an error, also while the connection is still open."""
    LATE_ANSWERS.clear()
    async with asyncio.timeout(DEADLINE_S), connection(port) as (reader, writer):
        writer.write(b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        answer = (await reader.read()).decode()
        assert answer.count("HTTP/1.1") == 1
        assert answer.startswith("HTTP/1.1 408 ")
        while not LATE_ANSWERS:
            await asyncio.sleep(0.01)


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    """Without an answer, since nobody asked."""
    assert await answer_to(port) == ""


async def test_headers_without_end_are_answered_431(port: int) -> None:
    """Long before their time is over."""
    answer = await answer_to(port, b"GET / HTTP/1.1\r\nX: " + b"y" * (MAX_HEADERS + 1))
    assert answer.startswith("HTTP/1.1 431 ")
    assert problem_in(answer)["remedy"]


async def test_the_time_does_not_run_while_an_answer_is_made(port: int) -> None:
    """Nor between the requests of a connection that is kept."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as http:
        for path in ("/slow", "/"):
            response = await http.post(path, content=b"x" * 10_000)
            assert response.text == "ok"
            await asyncio.sleep(1.5)
