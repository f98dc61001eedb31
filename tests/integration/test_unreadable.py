"""Rows that no entrance would take today: each is shown as unreadable, and costs no other row anything."""

import asyncio
import json
import uuid
from typing import Any

import httpx

from tests.app import App
from tests.integration.test_feed import channel, emit, update
from tests.sse import listen
from tests.stored import UNREADABLE, store_raw
from tests.tab import Tab, open_tab

PAYLOADS = [payload for _, payload in UNREADABLE.values()]
REASONS = [reason for reason, _ in UNREADABLE.values()]
SEQS = list(range(2, 2 + len(PAYLOADS)))
"""Of the unreadable ones, between two others."""
ALL = [1, *SEQS, SEQS[-1] + 1]


async def stage(app: App) -> tuple[str, str]:
    """A channel with the unreadable rows between two readable ones."""
    identity, name = channel()
    await emit(app, update(identity, 1))
    await store_raw(app.database_url, name, *PAYLOADS)
    await emit(app, update(identity, 2))
    return identity, name


def assert_shown(identity: str, rows: list[dict[str, Any]]) -> None:
    """The readable rows are whole; the others say why and how large they are, and nothing else."""
    assert [row["seq"] for row in rows] == ALL
    assert [rows[at]["data"] for at in (0, -1)] == [{"projectId": identity, "n": n} for n in (1, 2)]
    assert not any("unreadable" in rows[at] for at in (0, -1))
    hidden = rows[1:-1]
    assert [row["data"] for row in hidden] == [None] * len(hidden)
    assert [row["unreadable"]["reason"] for row in hidden] == REASONS
    for row, payload in zip(hidden, PAYLOADS, strict=True):
        assert row["unreadable"]["bytes"] >= len(payload.replace(" ", ""))
        assert row["type"] == "project.updated"
        assert row["id"]
        assert row["timestamp"] > 0


async def assert_answers(app: App) -> None:
    """The worker answers other questions."""
    async with httpx.AsyncClient(timeout=60) as http:
        assert (await http.get(f"{app.url}/ping")).is_success


async def test_a_page_of_the_feed_shows_the_other_rows(app: App) -> None:
    """The whole page, the next one, and other channels of the same tab."""
    identity, name = await stage(app)
    other_identity, other_name = channel()
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.sub(name)
        assert_shown(identity, answer["rows"])
        await assert_answers(app)
        assert (await tab.sub(name, last=3, epoch=answer["epoch"]))["rows"] == answer["rows"][3:]
        await tab.sub(other_name)
        await emit(app, update(other_identity, 1), update(identity, 3))
        await tab.until(lambda: tab.seqs(other_name) == [1] and tab.seqs(name) == [ALL[-1] + 1])


async def test_live_frames_show_the_other_rows(app: App) -> None:
    """For a tab that watches while they come, and for a second one on another channel of the organization."""
    identity, name = channel()
    other_identity, other_name = channel()
    await emit(app, update(identity, 1))
    cookie = app.cookie("max@northwind.test")
    async with open_tab(app.url, cookie) as tab, open_tab(app.url, cookie) as other:
        first = (await tab.sub(name))["rows"]
        await other.sub(other_name)
        await store_raw(app.database_url, name, *PAYLOADS)
        await emit(app, update(identity, 2), update(other_identity))
        await tab.until(lambda: tab.seqs(name) == ALL[1:])
        await other.until(lambda: other.seqs(other_name) == [1])
        await assert_answers(app)
        assert_shown(identity, first + rows_of(tab, name))
        assert (await tab.call("echo"))["ok"]


def rows_of(tab: Tab, name: str) -> list[dict[str, Any]]:
    """What came in frames of a channel."""
    return [row for frame in tab.frames if frame["channel"] == name for row in frame["rows"]]


async def test_history_shows_the_other_rows(app: App) -> None:
    """Forwards and backwards; a readable message has no further member."""
    identity, name = await stage(app)
    headers = {"Authorization": f"Bearer {app.key}"}
    async with httpx.AsyncClient(base_url=app.url, headers=headers, timeout=60) as http:
        for params in ({}, {"after": 0}, {"before": ALL[-1] + 1}):
            response = await http.get(f"/api/channels/{name}/history", params=params)
            assert response.status_code == 200, response.text
            assert_shown(identity, response.json()["messages"])


async def test_the_fields_of_a_project_show_the_beginning_of_such_a_value(app: App) -> None:
    """With its size; the other fields are as they are."""
    identity, name = channel()
    await emit(app, ("project.updated", {"projectId": identity, "changes": {"status": "open"}}))
    await store_raw(app.database_url, name, UNREADABLE["900 levels"][1])
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        fields = (await tab.call("fields", {"channel": name}))["fields"]
        assert fields["status"] == ["open", 1]
        beginning, seq, size = fields["x"]
        assert (set(beginning), seq, size) == ({"["}, 2, 2 * 898)


async def test_streams_show_the_other_rows(app: App) -> None:
    """Those of the past and those that come."""
    identity, name = await stage(app)
    async with listen(app.url, {"Authorization": f"Bearer {app.key}"}, name, rewind=100) as heard:
        await heard.until(lambda: heard.seqs(name) == ALL)
        assert_shown(identity, heard.data)
        await store_raw(app.database_url, name, PAYLOADS[0])
        await emit(app, update(identity, 3))
        await heard.until(lambda: heard.seqs(name) == [*ALL, ALL[-1] + 1, ALL[-1] + 2])
        assert heard.data[-2]["unreadable"]["reason"] == "depth"
        assert heard.data[-1]["data"]["n"] == 3


async def test_a_deep_payload_is_refused_wherever_it_comes_in(app: App) -> None:
    """Alone or in a list, up to what the body may hold; the problem names the field and the limit."""
    identity, name = channel()
    headers = {"Authorization": f"Bearer {app.key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=app.url, headers=headers, timeout=60) as http:
        for levels in (65, 260, 900, 5_000, 100_000):
            deep = (
                f'{{"type":"project.updated","payload":{{"projectId":"{identity}","x":{"[" * levels}{"]" * levels}}}}}'
            )
            for body in (
                deep,
                f"[{json.dumps({'type': 'project.updated', 'payload': {'projectId': identity}})},{deep}]",
            ):
                response = await http.post("/api/events", content=body)
                assert response.status_code == 422, response.text
                assert response.json()["field"].endswith("payload")
                assert "64 levels" in response.json()["detail"]
            await assert_answers(app)
        deep = "[" * 62 + "]" * 62
        body = f'{{"type":"project.updated","payload":{{"projectId":"{identity}","x":{deep}}}}}'
        assert (await http.post("/api/events", content=body)).status_code == 202
        assert (await http.get(f"/api/channels/{name}/history")).json()["messages"][0]["seq"] == 1
        assert (await http.post("/api/events", content="[" * 100_000)).status_code == 422  # nobody looks for its end
        response = await http.put(f"/api/channels/{name}", content='{"title":' + "[" * 900 + "]" * 900 + "}")
        assert 400 <= response.status_code < 500


async def test_a_packet_of_any_depth_is_answered(app: App) -> None:
    """It is not parsed, and the same socket goes on."""
    _, name = channel()
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        for levels in (100, 5_000, 20_000):
            deep: Any = []
            await send_raw(tab, f'2/feed,["sub",{{"channel":{"[" * levels}{"]" * levels}}}]')
            await send_raw(tab, f'2/_event,["event",{{"name":{"[" * levels}{"]" * levels}}}]')
            for _ in range(90):
                deep = [deep]
            post = {"id": str(uuid.uuid4()), "channel": name, "type": "project.updated", "payload": {"x": deep}}
            for event, data in (("sub", {"channel": name, "last": deep}), ("post", post)):
                answer = await tab.call(event, data)
                assert (answer["ok"], answer["error"]["field"]) == (False, "payload")
                assert "64 levels" in answer["error"]["detail"]
        assert (await tab.sub(name))["ok"]


async def send_raw(tab: Tab, packet: str) -> None:
    """Send a Socket.IO packet as written."""
    await asyncio.wait_for(tab.client.eio.send(packet), 60)
