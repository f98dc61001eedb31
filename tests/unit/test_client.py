"""`EventClient` against transports that fail."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from realtime_ui import client as module
from realtime_ui.client import EmitError, EventClient, NotOurAnswer
from realtime_ui.core.endings import Ending
from tests.clock import settle

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.001)
    monkeypatch.setattr(module, "BACKOFF_MAX_S", 0.001)


def client(answer: Answer, *, patience_s: float = 5) -> EventClient:
    """A client whose server is `answer`."""
    return EventClient("http://server.test", "rk_x", patience_s=patience_s, transport=httpx.MockTransport(answer))


def accepted(request: httpx.Request) -> httpx.Response:
    """A receipt for every event."""
    events = [
        {"id": e["id"], "type": e["type"], "channels": [], "duplicate": False} for e in json.loads(request.content)
    ]
    return httpx.Response(202, json={"events": events})


async def test_a_failed_try_is_repeated_under_the_same_id() -> None:
    """So the server can store it once, whatever became of the first try."""
    ids: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        ids.append(json.loads(request.content)[0]["id"])
        if len(ids) == 1:
            raise httpx.ConnectError("refused")
        if len(ids) == 2:
            return httpx.Response(503, json={"detail": "away"}, headers={"Retry-After": "0"})
        return accepted(request)

    async with client(answer) as emitter:
        receipt = await emitter.emit("project.updated", {"projectId": "x"})
    assert ids == [receipt["id"]] * 3


async def test_a_refusal_is_told_at_once() -> None:
    """With what was wrong, where, and what to do."""
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        problem = {"detail": "projectId is missing.", "field": "payload.projectId", "remedy": "Send it."}
        return httpx.Response(422, json=problem)

    async with client(answer) as emitter:
        with pytest.raises(EmitError, match=r"projectId is missing\. Send it\. \(at payload\.projectId\)") as caught:
            await emitter.emit("project.updated", {})
    assert (caught.value.status, tries) == (422, 1)


async def test_patience_has_an_end() -> None:
    """Then the transport's own error comes through."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with client(answer, patience_s=0.05) as emitter:
        with pytest.raises(httpx.ConnectError):
            await emitter.emit("project.updated", {"projectId": "x"})


async def test_an_answer_that_is_no_json_is_shown_as_it_is() -> None:
    """A proxy's error page, for instance."""
    async with client(lambda request: httpx.Response(418, text="I am a teapot")) as emitter:
        with pytest.raises(EmitError, match="teapot"):
            await emitter.emit("project.updated", {"projectId": "x"})


async def test_every_event_of_a_list_has_an_id_before_it_is_sent() -> None:
    """Given ones are kept."""
    async with client(accepted) as emitter:
        receipts = await emitter.emit_many(
            [{"type": "a.b", "payload": {}, "id": "mine"}, {"type": "a.b", "payload": {}}]
        )
    assert receipts[0]["id"] == "mine"
    assert len(receipts[1]["id"]) == 32


HEART = b'data: {"type":"heartbeat","timestamp":1}\n\n'


def event(seq: int) -> bytes:
    """A message as a stream has it."""
    return f'id: cursor-{seq}\ndata: {{"type":"project.updated","channel":"project:x","seq":{seq}}}\n\n'.encode()


def streamed(*pieces: bytes) -> httpx.Response:
    """A stream that ends after so much."""
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(pieces))


async def test_a_stream_comes_back_from_where_it_was() -> None:
    """After an end, a refused connection and a 503; the cursor is that of the last message."""
    asked: list[str | None] = []
    answers = [
        streamed(b": hello\nretry: 1\n\nid: cursor-0\n\n", HEART, event(1), event(2)),
        None,
        httpx.Response(503, json={"detail": "away"}),
        streamed(HEART, event(3)),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        found = answers.pop(0)
        if found is None:
            raise httpx.ConnectError("refused")
        return found

    async with client(answer) as follower:
        stream = follower.stream("project:x", "session:y", rewind=5)
        seen: list[tuple[int, str | None]] = []
        messages = stream.follow()
        async for message in messages:
            seen.append((message["seq"], stream.cursor))
            if len(seen) == 3:
                break
        await messages.aclose()
    await settle()  # httpx-sse leaves an iterator to Python
    assert seen == [(1, "cursor-1"), (2, "cursor-2"), (3, "cursor-3")]
    assert asked == [None, "cursor-2", "cursor-2", "cursor-2"]


async def test_a_stream_that_is_refused_ends_with_what_was_wrong() -> None:
    """Also later on, such as after the key was revoked."""
    answers = [streamed(b"retry: 1\n\n", event(1)), httpx.Response(401, json={"detail": "The key is not valid."})]
    async with client(lambda request: answers.pop(0)) as follower:
        with pytest.raises(EmitError, match="The key is not valid"):
            assert [message["seq"] async for message in follower.stream("project:x")] == [1]


async def test_a_stream_that_never_begins_is_given_up() -> None:
    """After the client's patience; once begun, it comes back for as long as it takes."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with client(answer, patience_s=0.05) as follower:
        with pytest.raises(httpx.ConnectError):
            assert [message async for message in follower.stream("project:x")] == []


HTML: dict[str, Any] = {"text": "<form>Please sign in</form>", "headers": {"content-type": "text/html; charset=utf-8"}}
NOT_OURS: list[dict[str, Any]] = [
    {"status_code": 200, **HTML},
    {"status_code": 204},
    {"status_code": 200, "content": b'{"events": [{"id"', "headers": {"content-type": "application/json"}},
    {"status_code": 200, "json": []},
    {"status_code": 200, "json": {"status": "ok"}},
    {"status_code": 202, "json": {"events": []}},
    {"status_code": 200, "content": b"[" * 100_000},
]


@pytest.mark.parametrize("strange", NOT_OURS)
async def test_what_another_server_answers_is_no_receipt(strange: dict[str, Any]) -> None:
    """The event is sent again under its id, since the next answer may be the server's."""
    answers = [httpx.Response(**strange)]

    async with client(lambda request: answers.pop(0) if answers else accepted(request)) as emitter:
        assert (await emitter.emit("project.updated", {"projectId": "x"}, id="mine"))["id"] == "mine"
    async with client(lambda request: httpx.Response(**strange), patience_s=0.02) as emitter:
        with pytest.raises(NotOurAnswer, match="in place of the server"):
            await emitter.emit("project.updated", {"projectId": "x"})
        if "json" not in strange or not isinstance(strange["json"], dict):
            with pytest.raises(NotOurAnswer):
                await emitter.history("project:x")
            with pytest.raises(NotOurAnswer):
                await emitter.set_title("project:x", "X")


@pytest.mark.parametrize("status", [302, 401])
async def test_a_sign_in_page_in_front_of_the_server_is_told_at_once(status: int) -> None:
    """With where it leads."""
    page = {"content-type": "text/html", "location": "https://login.example.org/start"}
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        return httpx.Response(status, text="Please sign in", headers=page)

    async with client(answer) as emitter:
        with pytest.raises(NotOurAnswer, match=r"login\.example\.org") as caught:
            await emitter.emit("project.updated", {"projectId": "x"})
        assert (caught.value.status, tries) == (status, 1)
        with pytest.raises(NotOurAnswer):
            await anext(aiter(emitter.stream("project:x")))


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_a_wait_beyond_the_patience_is_not_begun(status: int) -> None:
    """The caller is told how long it would have been."""
    refusal = httpx.Response(status, json={"detail": "busy"}, headers={"Retry-After": "3600"})
    async with client(lambda request: refusal) as emitter:
        with pytest.raises(EmitError, match="busy") as caught:
            await emitter.emit("project.updated", {"projectId": "x"})
        assert caught.value.retry_after_s == 3600
        with pytest.raises(EmitError, match="busy"):
            await anext(aiter(emitter.stream("project:x")))


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "abc", ""])
async def test_a_senseless_wait_is_none(value: str) -> None:
    """Nor does it hide the server's answer."""
    answers = [httpx.Response(503, json={"detail": "away"}, headers={"Retry-After": value})]
    async with client(lambda request: answers.pop(0) if answers else accepted(request)) as emitter:
        assert await emitter.emit("project.updated", {"projectId": "x"})


@pytest.mark.parametrize(
    "strange",
    [
        {"status_code": 200, **HTML},
        {"status_code": 204},
        {"status_code": 200, "text": "retry: 1\ndata: hello\n\n", "headers": {"content-type": "text/event-stream"}},
        {"status_code": 200, "text": "retry: 1\ndata: {}\n\n", "headers": {"content-type": "text/event-stream"}},
    ],
)
async def test_what_another_server_streams_is_no_message(strange: dict[str, Any]) -> None:
    """It is passed over, and told when it goes on for longer than the patience; the place is kept."""
    answers = [streamed(b"retry: 1\n\n", event(1)), httpx.Response(**strange)]
    cursors: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        cursors.append(request.headers.get("last-event-id"))
        return answers.pop(0) if answers else streamed(event(2))

    async with client(answer) as follower:
        stream = follower.stream("project:x")
        messages = stream.follow()
        assert [(await anext(messages))["seq"] for _ in range(2)] == [1, 2]
        await messages.aclose()
    assert cursors == [None, "cursor-1", "cursor-1"]
    async with client(lambda request: httpx.Response(**strange), patience_s=0.02) as follower:
        with pytest.raises(NotOurAnswer):
            await anext(aiter(follower.stream("project:x")))
    await settle()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_proxy_that_says_that_the_server_is_away_ends_no_stream(status: int) -> None:
    """With a page of its own and for longer than the patience: the status says enough."""
    away = [httpx.Response(status, **HTML) for _ in range(3)]
    answers = [streamed(b"retry: 1\n\n", event(1)), *away]

    def answer(request: httpx.Request) -> httpx.Response:
        return answers.pop(0) if answers else streamed(event(2))

    async with client(answer, patience_s=0.001) as follower:
        messages = follower.stream("project:x").follow()
        assert [(await anext(messages))["seq"] for _ in range(2)] == [1, 2]
        await messages.aclose()
    await settle()


async def test_a_stream_that_the_server_ends_for_good_is_over() -> None:
    """With the reason that it gives; nobody comes back to be ended again."""
    said = json.dumps(
        {"type": "closed", "code": 4004, "detail": "An admin closed this connection.", "reconnect": False}
    )
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        return streamed(event(1), f"data: {said}\n\n".encode())

    async with client(answer) as follower:
        with pytest.raises(EmitError, match="An admin closed") as caught:
            assert [message["seq"] async for message in follower.stream("project:x")] == [1]
    await settle()
    assert (caught.value.status, tries) == (Ending.CLOSED_BY_ADMIN.value.code, 1)
