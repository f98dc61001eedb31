"""An open list of channels stays as the log is, also where the log went back or could not be read for a while."""

import asyncio
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.messages import Json
from realtime_ui.hub.lobby import INTERVAL_S, LOOK_BACK_S, Audience, Lobby, Viewer
from realtime_ui.persistence.channels import ChannelRepository, ChannelSummary
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from tests.ageing import go_back
from tests.app import App
from tests.bulk import fill_log
from tests.clock import ManualClock
from tests.integration.test_feed import channel, emit, update
from tests.tab import DEADLINE_S, open_tab

TENANT = uuid.UUID(int=1)
_AGE = sa.text("""
    UPDATE realtime_channels SET last_activity_at = now() - make_interval(secs => :seconds) WHERE channel_name = :name
""")


async def age(database: Database, name: str, seconds: float) -> None:
    """Have a channel been active last so many seconds ago."""
    async with database.single() as connection:
        await connection.execute(_AGE, {"name": name, "seconds": seconds})


async def test_an_open_list_shows_how_many_events_are_left_when_the_log_goes_back(app: App) -> None:
    """And when the last of them was, although nothing is emitted after that."""
    identity, name = channel()
    await emit(app, *(update(identity) for _ in range(5)))
    database = Database(app.database_url, pool=1)
    async with (
        open_tab(app.url, app.cookie("max@northwind.test")) as reader,
        open_tab(app.url, app.cookie("ada@northwind.test")) as tab,
    ):
        await reader.sub(name)
        [before] = [row for row in (await tab.call("lobby"))["rows"] if row["channel"] == name]
        assert before["events"] == 5
        await age(database, name, 3600)
        await go_back(app.database_url, name, 3)

        def shown() -> dict[str, Any]:
            rows = [row for rows in tab.lobby for row in rows if row["channel"] == name]
            return {key: value for row in [before, *rows] for key, value in row.items()}

        await tab.until(lambda: shown()["events"] == 3)
        assert shown()["lastActivity"] < before["lastActivity"] - 3_000_000
    await database.close()


async def test_channels_whose_epoch_began_are_found_for_a_while(database: Database) -> None:
    """Of all tenants, whichever way it began; those in their first epoch are not."""
    other, channels = uuid.UUID(int=2), ChannelRepository(database)
    log = EventLog(database, database, SystemClock())
    await fill_log(database, TENANT, "project:x", 7)
    await fill_log(database, other, "user:y", 2)
    assert await channels.epoch_began(within_s=3600) == {}
    await log.new_epochs()
    await fill_log(database, TENANT, "project:z", 1)
    found = await channels.epoch_began(within_s=3600)
    assert {(tenant, str(name)): each.last_seq for (tenant, name), each in found.items()} == {
        (TENANT, "project:x"): 7,
        (other, "user:y"): 2,
    }
    assert await channels.epoch_began(within_s=0) == {}


class Away(ChannelRepository):
    """The registry, with a database that can be away."""

    away = False

    async def changed(
        self, tenant: uuid.UUID, types: Collection[ChannelType], names: Collection[ChannelName] = (), *, within_s: float
    ) -> list[ChannelSummary]:
        """As the real one, unless the database is away."""
        if self.away:
            raise DatabaseUnavailable("It is away.")
        return await super().changed(tenant, types, names, within_s=within_s)


async def test_what_was_active_while_the_database_was_away_is_shown_afterwards(database: Database) -> None:
    """Other workers may have reached it all the time."""
    channels, clock = Away(database), ManualClock()
    sent: list[Json] = []

    def send(room: str, event: str, data: Json) -> int:
        if data:
            sent.append(data)
        return 1

    lobby = Lobby(channels, lambda _: {}, send, clock)
    await fill_log(database, TENANT, "project:x", 1)
    await age(database, "project:x", 10 * LOOK_BACK_S)
    await lobby.start()
    try:
        lobby.follow(Viewer(Audience(TENANT, frozenset(ChannelType)), frozenset()))
        channels.away = True
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(20):
                await clock.advance(LOOK_BACK_S)
                await asyncio.sleep(0.01)
            channels.away = False
            while not sent:
                await clock.advance(INTERVAL_S)
                await asyncio.sleep(0.01)
    finally:
        await lobby.stop()
    assert [row["channel"] for [row] in sent] == ["project:x"]
