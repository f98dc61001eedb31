"""`EventClient` against transports that fail."""

import json
from collections.abc import Callable

import httpx
import pytest

from realtime_ui import client as module
from realtime_ui.client import EmitError, EventClient

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
