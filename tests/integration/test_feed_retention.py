"""`/feed` over a log whose beginning is gone, or that was restored; and a channel's fields."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from realtime_ui.core.clock import SystemClock
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from tests.ageing import let_go
from tests.app import App
from tests.integration.test_feed import channel, emit, update
from tests.tab import open_tab


def change(identity: str, **changes: Any) -> tuple[str, dict[str, object]]:
    """An event that sets fields of a project."""
    return ("project.updated", {"projectId": identity, "changes": changes})


async def test_a_resume_below_the_first_kept_message_tells_what_is_missing(app: App) -> None:
    """`after` less what the tab had is the gap's size; and how long messages are kept."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(20)))
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        epoch = (await tab.sub(name, rewind=0))["epoch"]
        await let_go(app.database_url, name, upto=15)
        answer = await tab.sub(name, last=5, epoch=epoch)
        assert (answer["first"], answer["after"], answer["reset"], answer["kept_days"]) == (16, 15, False, 30)
        assert [row["seq"] for row in answer["rows"]] == list(range(16, 21))
        fresh = await tab.sub(name, last=None, rewind=50)
        assert (fresh["first"], fresh["after"]) == (16, 15)


async def test_pages_stay_whole_while_the_log_is_pruned(app: App) -> None:
    """Wherever the pruning catches a page, its rows follow on its `after`, up to the head."""
    identity, name = channel()
    await emit(app, *(update(identity, n) for n in range(300)))
    database = Database(app.database_url, pool=1)
    prune = sa.text("""
        SELECT realtime_prune(id, now() + interval '1 hour', 1) FROM realtime_channels WHERE channel_name = :name
    """)

    async def shrink() -> None:
        pruned = 1
        while pruned:
            async with database.single() as connection:
                pruned = (await connection.execute(prune, {"name": name})).scalar_one()
        await database.close()

    async with asyncio.TaskGroup() as tasks, open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        epoch = (await tab.sub(name, rewind=0))["epoch"]
        shrinking = tasks.create_task(shrink())
        while not shrinking.done():
            last, more = 0, True
            while more:
                answer = await tab.sub(name, last=last, epoch=epoch)
                seqs = [row["seq"] for row in answer["rows"]]
                assert seqs == list(range(answer["after"] + 1, answer["after"] + 1 + len(seqs)))
                assert answer["first"] <= answer["after"] + 1
                last, more = answer["after"] + len(seqs), answer["more"]
            assert last == 300


async def test_fields_are_as_all_of_the_log_left_them(app: App) -> None:
    """Also what was set in messages that are no longer kept."""
    identity, name = channel()
    await emit(app, change(identity, owner="Ada", status="open"), change(identity, status="done"), update(identity))
    await let_go(app.database_url, name, upto=1)
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.call("fields", {"channel": name})
        epoch = (await tab.sub(name))["epoch"]
        assert answer == {
            "ok": True,
            "epoch": epoch,
            "seq": 3,
            "head": 3,
            "fields": {"owner": ["Ada", 1], "status": ["done", 2]},
            "more": False,
        }
        nobody = await tab.call("fields", {"channel": channel()[1]})
        assert nobody == {"ok": True, "epoch": "", "seq": 0, "head": 0, "fields": {}, "more": False}


async def test_fields_are_for_those_who_may_read(app: App) -> None:
    """Of another tenant's channel there are none."""
    identity, name = channel()
    await emit(app, change(identity, owner="Ada"))
    async with open_tab(app.url, app.cookie("eve@contoso.test")) as eve:
        assert (await eve.call("fields", {"channel": name}))["fields"] == {}
    async with open_tab(app.url, app.cookie("max@northwind.test")) as max_:
        assert (await max_.call("fields", {"channel": "system:x"}))["error"]["status"] == 403


@pytest.mark.parametrize("wish", [None, "project:x", {}, {"channel": "planet:x"}, {"channel": 7}])
async def test_a_wrong_wish_for_fields_is_answered_with_a_problem(app: App, wish: Any) -> None:
    """That names the field."""
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.call("fields", wish)
        assert (answer["ok"], answer["error"]["status"], answer["error"]["field"]) == (False, 422, "channel")


async def test_new_epochs_reach_a_tab_by_themselves(app: App) -> None:
    """An empty frame of the new epoch comes within a sweep; what the tab has is void."""
    identity, name = channel()
    await emit(app, *(update(identity) for _ in range(3)))
    database = Database(app.database_url, pool=1)
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        before = await tab.sub(name)
        await EventLog(database, database, SystemClock()).new_epochs()
        await tab.until(lambda: any(frame["epoch"] != before["epoch"] for frame in tab.frames))
        assert tab.frames[-1]["rows"] == []
        after = await tab.sub(name, last=3, epoch=before["epoch"])
        assert after["reset"]
        assert after["epoch"] == tab.frames[-1]["epoch"]
    await database.close()
