"""The servers that are compared, each a Reflex app on uvicorn; `BENCH` in the environment says which.

ours    `install(app)`: bus, log, hub, feed; the commit of every event is in the figure
idiom   what Reflex's documentation suggests: a background task per tab, a list var of 50
bare    a second namespace whose room gets the same bytes by python-socketio's own emit
reflex  a Reflex app and nothing else, for the memory of a tab
"""

import asyncio
import itertools
import os
import time
import uuid
from typing import Any

import reflex as rx
from socketio import AsyncNamespace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

KIND = os.environ["BENCH"]
PROJECT = "bench"
KEEP = 50

seqs = itertools.count(1)
queues: set["asyncio.Queue[dict[str, Any]]"] = set()


def row(seq: int) -> dict[str, Any]:
    """An event as a tab of ours gets it, about 330 bytes in its frame."""
    now = time.time()
    return {
        "seq": seq,
        "id": uuid.uuid4().hex,
        "type": "project.updated",
        "data": payload(now),
        "timestamp": round(now * 1000),
    }


def payload(now: float) -> dict[str, Any]:
    """What happens at `now` (s since the epoch)."""
    return {
        "projectId": PROJECT,
        "at": now,
        "changes": {"status": "in progress", "owner": "Ada"},
        "by": {"name": "Grace"},
    }


class Idiom(rx.State):
    """A list in every tab's state, filled by a task for every tab."""

    items: list[dict[str, Any]] = []  # noqa: RUF012  (a state var)

    @rx.event(background=True)
    async def follow(self) -> None:
        """Append what comes, for as long as the tab is there."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                item = await queue.get()
                async with self:
                    self.items = [*self.items[1 - KEEP :], item]
        finally:
            queues.discard(queue)


class Room(AsyncNamespace):
    """A room that everybody is in."""

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        """Enter."""
        await self.enter_room(sid, "all")

    async def on_sub(self, sid: str, data: object) -> dict[str, Any]:
        """Answer as ours does, so that the same client fits."""
        return {"ok": True, "rows": []}


def page() -> rx.Component:
    """A page with the list on it."""
    return rx.box(rx.foreach(Idiom.items, lambda item: rx.text(item["seq"])))


app = rx.App()
app.add_page(page, route="/", on_load=Idiom.follow if KIND == "idiom" else None)
if KIND == "ours":
    from realtime_ui import install

    install(app)
elif KIND == "bare":
    assert app.sio is not None
    app.sio.register_namespace(Room("/feed"))


async def emit_one(seq: int) -> None:
    """Make one event happen, in the contender's way."""
    if KIND == "ours":
        from realtime_ui.runtime import current

        await current().bus.emit("project.updated", payload(time.time()), uuid.UUID(os.environ["BENCH_TENANT"]))
    elif KIND == "idiom":
        for queue in queues:
            queue.put_nowait(row(seq))
    elif KIND == "bare":
        assert app.sio is not None
        frame = {"channel": f"project:{PROJECT}", "epoch": str(uuid.UUID(int=1)), "rows": [row(seq)]}
        await app.sio.emit("frame", frame, room="all", namespace="/feed")


async def run(request: Request) -> JSONResponse:
    """Emit at a rate for some seconds; answers when done."""
    rate, seconds = float(request.query_params["rate"]), float(request.query_params["seconds"])
    loop = asyncio.get_running_loop()
    begun = loop.time()
    total = round(rate * seconds)
    for number in range(total):
        await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
        await emit_one(next(seqs))
    return JSONResponse({"emitted": total})


control = Starlette(routes=[Route("/bench/run", run, methods=["POST"])])
given = app.api_transformer if isinstance(app.api_transformer, list) else []
app.api_transformer = [control, *given]
