"""Lists of channels: page by page, searched in all of them, and no more than somebody may see."""

import asyncio
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.hub.channel_feed import BURST
from realtime_ui.persistence.channels import CANDIDATES, FOUND, LOOK_THROUGH, ChannelRepository
from realtime_ui.persistence.database import Database
from tests.app import App, command
from tests.tab import Tab, open_tab

TENANT, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
ALL = tuple(ChannelType)
_ADD = sa.text("""
    INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type, title, last_activity_at, created_at)
    SELECT gen_random_uuid(), :tenant, x.name, split_part(x.name, ':', 1), x.title,
           CAST(:now AS timestamptz) - x.ord * interval '1 minute', CAST(:now AS timestamptz) - interval '1 year'
    FROM unnest(CAST(:names AS text[]), CAST(:titles AS text[])) WITH ORDINALITY AS x (name, title, ord)
""")


@pytest.fixture
def channels(database: Database) -> ChannelRepository:
    """The channels of the test's database."""
    return ChannelRepository(database)


async def add(database: Database, *rows: tuple[str, str | None], tenant: uuid.UUID = TENANT) -> None:
    """Make channels with their titles, each active a minute before the one before it."""
    values = {"names": [name for name, _ in rows], "titles": [title for _, title in rows]}
    async with database.single() as connection:
        await connection.execute(_ADD, {**values, "tenant": tenant, "now": datetime.now(UTC)})


async def found(channels: ChannelRepository, query: str, types: Collection[ChannelType] = ALL) -> list[str]:
    """The names that a search gives."""
    return [str(each.name) for each in (await channels.search(TENANT, types, query))[0]]


async def test_pages_join_on_and_come_to_every_channel(database: Database, channels: ChannelRepository) -> None:
    """Most recently active first, of several types, each once, also where moments are the same."""
    names = [f"{'project' if n % 3 else 'session'}:c{n}" for n in range(25)]
    await add(database, *((name, None) for name in names))
    async with database.single() as connection:
        await connection.execute(
            sa.text("UPDATE realtime_channels SET last_activity_at = now() WHERE channel_name < 'project:c2'")
        )
    seen: list[str] = []
    place = None
    while page := await channels.page(TENANT, ALL, below=place, limit=4):
        moments = [each.moment_us for each in page]
        assert moments == sorted(moments, reverse=True)
        seen += [str(each.name) for each in page]
        place = page[-1].place
    assert sorted(seen) == sorted(names)


async def test_types_that_somebody_may_not_list_take_no_place_on_a_page(
    database: Database, channels: ChannelRepository
) -> None:
    """The page is full of the others, however many came later."""
    await add(database, *((f"user:u{n}", None) for n in range(30)), *((f"project:p{n}", None) for n in range(3)))
    page = await channels.page(TENANT, [ChannelType.PROJECT], limit=3)
    assert [str(each.name) for each in page] == ["project:p0", "project:p1", "project:p2"]
    assert await found(channels, "u", [ChannelType.PROJECT]) == []


async def test_a_channel_that_was_only_named_stands_by_when_it_was_made(
    database: Database, channels: ChannelRepository
) -> None:
    """So that a new one is on top."""
    await add(database, ("project:old", None))
    await channels.set_title(TENANT, ChannelName.parse("project:new"), "New")
    page = await channels.page(TENANT, ALL)
    assert [(str(each.name), each.last_activity_at is None) for each in page] == [
        ("project:new", True),
        ("project:old", False),
    ]


async def test_a_search_finds_words_and_their_beginnings_in_title_and_id(
    database: Database, channels: ChannelRepository
) -> None:
    """All words of the query, in any order, whatever their case."""
    await add(
        database,
        ("project:alpha-7", "Harbour bridge"),
        ("session:beta", "Brücke am HAFEN"),
        ("project:gamma.x_9", None),
    )
    assert await found(channels, "bridge harbour") == ["project:alpha-7"]
    assert await found(channels, "harb") == ["project:alpha-7"]
    assert await found(channels, "ALPHA-7") == ["project:alpha-7"]
    assert await found(channels, "brücke haf") == ["session:beta"]
    assert await found(channels, "x_9") == ["project:gamma.x_9"]
    assert await found(channels, "arbour") == []
    assert await found(channels, "bridge hafen") == []


@pytest.mark.parametrize("query", ["'", "a' | b", ":*", "!x", "a & (b", "\\", "=", f"={OTHER}", "%", "-", "𝕏", ""])
async def test_signs_in_a_query_are_no_operators(database: Database, channels: ChannelRepository, query: str) -> None:
    """It is never an error, and never another tenant's channel."""
    await add(database, ("project:theirs", "x b"), tenant=OTHER)
    await add(database, ("project:mine", "none of it"))
    assert "project:theirs" not in await found(channels, query)


async def test_what_fits_best_comes_first(database: Database, channels: ChannelRepository) -> None:
    """Exact, then beginning with it, then whole words, then the latest."""
    await add(
        database,
        ("project:1", "A planner"),
        ("project:2", "The plan"),
        ("project:3", "Plan of action"),
        ("project:4", "Planned parts"),
        ("project:5", "Plan"),
        ("project:plan", "Something"),
    )
    assert await found(channels, "plan") == [
        "project:5",
        "project:plan",
        "project:3",
        "project:4",
        "project:2",
        "project:1",
    ]


async def test_a_word_that_very_many_channels_have_finds_the_latest_and_says_that_there_are_more(
    database: Database, channels: ChannelRepository
) -> None:
    """And one that is rare among them is found however long ago it was active."""
    many = LOOK_THROUGH + 2 * CANDIDATES
    await add(database, *((f"project:p{n}", f"Plan {n}") for n in range(many)), ("project:rare", "Rare plan"))
    rows, more = await channels.search(TENANT, ALL, "plan")
    assert (len(rows), more) == (FOUND, True)
    assert [str(each.name) for each in rows[:3]] == ["project:p0", "project:p1", "project:p2"]
    assert await found(channels, "plan rare") == ["project:rare"]
    assert await found(channels, f"p{many - 1}") == [f"project:p{many - 1}"]


async def test_a_new_title_is_what_is_searched(database: Database, channels: ChannelRepository) -> None:
    """The old one is not any more; the id stays."""
    name = ChannelName.parse("project:x1")
    await channels.set_title(TENANT, name, "First")
    await channels.set_title(TENANT, name, "Second")
    assert (await found(channels, "first"), await found(channels, "second")) == ([], ["project:x1"])
    await channels.set_title(TENANT, name, None)
    assert (await found(channels, "second"), await found(channels, "x1")) == ([], ["project:x1"])
    assert await channels.renamed(within_s=60) == {(TENANT, name): None}


def unique() -> str:
    """An id that no other test uses."""
    return uuid.uuid4().hex[:12]


async def rename(app: App, channel: str, title: str | None) -> None:
    """Give a channel another title over HTTP."""
    async with httpx.AsyncClient(timeout=60) as http:
        headers = {"Authorization": f"Bearer {app.key}"}
        response = await http.put(f"{app.url}/api/channels/{channel}", json={"title": title}, headers=headers)
        assert response.status_code == 200, response.text


async def test_a_tab_pages_and_searches(app: App) -> None:
    """Beyond what the first page has."""
    word = unique()
    made: list[tuple[str, dict[str, object]]] = [
        ("project.updated", {"projectId": f"{word}-{n:03}"}) for n in range(230)
    ]
    await asyncio.to_thread(app.emit, *made)
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        listed: list[str] = []
        wish: dict[str, Any] = {}
        while True:
            answer = await tab.call("lobby", wish)
            listed += [row["channel"] for row in answer["rows"]]
            if answer["end"] is None:
                break
            wish = {"below": answer["end"]}
        assert len(listed) == len(set(listed))
        assert {f"project:{word}-{n:03}" for n in range(230)} <= set(listed)
        answer = await tab.call("search", {"query": f"{word} 007"})
        assert [row["channel"] for row in answer["rows"]] == [f"project:{word}-007"]
        assert (answer["rows"][0]["events"], answer["more"]) == (1, False)
        assert (await tab.call("search", {"query": word}))["more"]


async def test_a_tab_that_asks_too_often_is_told_to_wait(app: App) -> None:
    """For fields too, whose answers may be large."""
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        asked = (tab.call("fields", {"channel": "project:x"}) for _ in range(round(BURST) + 50))
        refused = [answer["error"]["status"] for answer in await asyncio.gather(*asked) if not answer["ok"]]
        assert set(refused) == {429}


async def test_nobody_finds_what_they_may_not_see(app: App) -> None:
    """Neither another tenant's channels nor, as a member, the system's; not even their titles."""
    word = unique()
    await asyncio.to_thread(
        app.emit, ("project.updated", {"projectId": word}), ("system.notice", {"name": word, "text": "x"})
    )
    both = [f"project:{word}", f"system:{word}"]
    await rename(app, both[0], f"Title {word}")
    await rename(app, both[1], f"Title {word}")
    for email, seen in (("ada@northwind.test", both), ("max@northwind.test", both[:1]), ("eve@contoso.test", [])):
        async with open_tab(app.url, app.cookie(email)) as tab:
            assert sorted(row["channel"] for row in (await tab.call("search", {"query": word}))["rows"]) == seen
            titles = (await tab.call("titles", {"channels": both}))["titles"]
            assert sorted(name for name, title in titles.items() if title) == seen


async def test_a_single_channel_is_listed_and_found_besides_those_of_the_types(
    database: Database, channels: ChannelRepository
) -> None:
    """In its place, on whichever page; others of its type are not, nor another tenant's of the same name."""
    own = ChannelName.parse("user:me")
    await add(database, ("project:a", "Plan"), ("user:me", "My plan"), ("user:you", "Your plan"), ("project:b", "Plan"))
    await add(database, ("user:me", "Their plan"), tenant=OTHER)
    types = [ChannelType.PROJECT]
    page = await channels.page(TENANT, types, [own], limit=2)
    assert [str(each.name) for each in page] == ["project:a", "user:me"]
    page = await channels.page(TENANT, types, [own], below=page[0].place, limit=2)
    assert [(str(each.name), each.title) for each in page] == [("user:me", "My plan"), ("project:b", "Plan")]
    assert [str(each.name) for each in await channels.page(TENANT, types, [own], below=page[0].place)] == ["project:b"]
    assert {str(each.name) for each in await channels.changed(TENANT, types, [own], within_s=3600)} == {
        "project:a",
        "user:me",
        "project:b",
    }
    for query, names in (("plan", ["project:a", "project:b", "user:me"]), ("me", ["user:me"]), ("you", [])):
        rows, _ = await channels.search(TENANT, types, query, [own])
        assert sorted(str(each.name) for each in rows) == names


def watchers(tab: Tab, channel: str) -> int | None:
    """How many watch a channel, as a tab's list was told last; None if it was not."""
    told = [row["watching"] for rows in tab.lobby for row in rows if row["channel"] == channel]
    return told[-1] if told else None


async def test_a_members_own_channel_is_in_their_list_and_search(app: App) -> None:
    """With its title, and live: for its owner and for admins, and for no other member."""
    word = unique()
    member = f"{word}@northwind.test"
    await asyncio.to_thread(command, app.database_url, "users", "add", member, "--tenant", "Northwind")
    async with (
        open_tab(app.url, app.cookie("max@northwind.test")) as max_,
        open_tab(app.url, app.cookie("max@northwind.test")) as other_tab,
        open_tab(app.url, app.cookie("ada@northwind.test")) as ada,
        open_tab(app.url, app.cookie(member)) as mia,
    ):
        for tab in (max_, ada, mia):
            await tab.call("lobby")
        for tab in (max_, mia):
            await tab.until(lambda tab=tab: tab.you)
        mine, theirs = f"user:{max_.you['person']}", f"user:{mia.you['person']}"
        await other_tab.call("titles", {"channels": [mine]})
        await asyncio.to_thread(app.emit, ("user.notified", {"userId": max_.you["person"], "text": "x"}))
        for tab in (max_, ada):
            await tab.until(lambda tab=tab: mine in str(tab.lobby))
        await rename(app, mine, f"Mine {word}")
        for tab in (max_, ada, other_tab):
            await tab.until(lambda tab=tab: tab.titles.get(mine) == f"Mine {word}")
        await max_.sub(mine)
        for tab in (max_, ada):
            await tab.until(lambda tab=tab: watchers(tab, mine) == 1)
        for tab, seen in ((max_, [mine]), (ada, [mine]), (mia, [])):
            listed = {row["channel"] for row in (await tab.call("lobby"))["rows"]}
            assert sorted({mine} & listed) == seen
            assert [row["channel"] for row in (await tab.call("search", {"query": word}))["rows"]] == seen
        await asyncio.to_thread(app.emit, ("user.notified", {"userId": mia.you["person"], "text": "x"}))
        await mia.until(lambda: theirs in str(mia.lobby))
        assert (theirs in str(max_.lobby), mine in str(mia.lobby), mine in mia.titles) == (False, False, False)


async def test_new_titles_reach_those_who_show_them(app: App) -> None:
    """In the list and elsewhere; nobody hears of a channel that they may not list."""
    word = unique()
    async with (
        open_tab(app.url, app.cookie("max@northwind.test")) as max_,
        open_tab(app.url, app.cookie("ada@northwind.test")) as ada,
        open_tab(app.url, app.cookie("eve@contoso.test")) as eve,
    ):
        asked = {"channels": [f"project:{word}"]}
        assert (await max_.call("titles", asked))["titles"] == {f"project:{word}": None}
        await ada.call("lobby")
        await eve.call("titles", asked)
        await rename(app, f"system:{word}", "Hidden")
        await rename(app, f"project:{word}", "Bridge")
        for tab in (max_, ada):
            await tab.until(lambda tab=tab: tab.titles.get(f"project:{word}") == "Bridge")
        await rename(app, f"project:{word}", None)
        await max_.until(lambda: max_.titles.get(f"project:{word}", "") is None)
        assert f"system:{word}" not in max_.titles
        assert ada.titles[f"system:{word}"] == "Hidden"
        assert not [name for name in eve.titles if word in name]


@pytest.mark.parametrize(
    ("event", "wish", "field"),
    [
        ("lobby", {"below": [1]}, "below"),
        ("lobby", {"below": [2**80, "project:x"]}, "below"),
        ("lobby", {"below": [True, "project:x"]}, "below"),
        ("lobby", {"below": [1, "planet:x"]}, "below"),
        ("search", None, "query"),
        ("search", {"query": "x" * 201}, "query"),
        ("search", {"query": "a\0b"}, "query"),
        ("search", {"query": 7}, "query"),
        ("titles", {"channels": "project:x"}, "channels"),
        ("titles", {"channels": ["project:x"] * 201}, "channels"),
        ("titles", {"channels": ["planet:x"]}, "channels"),
    ],
)
async def test_a_wrong_wish_is_answered_with_a_problem(app: App, event: str, wish: Any, field: str) -> None:
    """That names the field."""
    async with open_tab(app.url, app.cookie("max@northwind.test")) as tab:
        answer = await tab.call(event, wish)
        assert (answer["ok"], answer["error"]["field"]) == (False, field)


async def test_a_query_of_very_many_words_counts_its_longest_ones(
    database: Database, channels: ChannelRepository
) -> None:
    """A repeated word, or one with which another begins, asks for nothing more."""
    await add(database, ("project:1", "Harbour bridge"), ("project:2", "Harbour"))
    assert await found(channels, "h ha har harbour harbour b br bri bridge") == ["project:1"]
    assert await found(channels, " ".join(["bridge", *"abcdefghijklm"])) == []
    assert await found(channels, " ".join(f"word{n}" for n in range(25))) == []


async def test_a_search_reads_no_words_of_other_tenants_and_types(
    database: Database, channels: ChannelRepository
) -> None:
    """Its candidates are found, however many channels have the word that somebody may not list."""
    await add(database, *((f"user:u{n}", f"Plan {n}") for n in range(2 * CANDIDATES)))
    await add(database, *((f"project:o{n}", f"Plan {n}") for n in range(2 * CANDIDATES)), tenant=OTHER)
    await add(database, *((f"project:p{n}", "Other") for n in range(LOOK_THROUGH)), ("project:mine", "Plan"))
    assert await found(channels, "pla", [ChannelType.PROJECT]) == ["project:mine"]
