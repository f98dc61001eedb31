"""Beats, answers and silence, with a clock moved by hand."""

import uuid
from itertools import pairwise
from typing import Any

from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.heartbeat import DEFAULTS, HeartbeatConfig, Liveness
from realtime_ui.core.principals import Person, Role
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.connection_stats import ConnectionStats
from realtime_ui.hub.heartbeat import CONFIG_S, HANG_UP_S, Heartbeats
from realtime_ui.persistence.event_log import ChannelKey
from tests.clock import ManualClock

TENANT = uuid.UUID(int=1)
PERSON = Person(uuid.UUID(int=2), TENANT, "Northwind", "Max", "max@northwind.test", Role.MEMBER, uuid.UUID(int=3))
INFO = ClientInfo("Chrome 120", "Linux", "desktop", "websocket", "")
PROJECT: ChannelKey = (TENANT, ChannelName.parse("project:x"))
OTHER: ChannelKey = (TENANT, ChannelName.parse("project:y"))
SYSTEM: ChannelKey = (TENANT, ChannelName.parse("system:jobs"))


class Tab:
    """A tab, as far as heartbeats look at it."""

    person = PERSON
    info = INFO

    def __init__(self, sid: str) -> None:
        self.sid = sid


class Stage:
    """Heartbeats with a namespace that remembers, and a table that says what it is told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.table = dict(DEFAULTS)
        self.away = False
        self.rooms: dict[str, set[str]] = {}
        self.beats: list[tuple[float, str, dict[str, Any]]] = []
        self.timeouts: list[tuple[float, str, str]] = []
        self.hung_up: list[tuple[float, str]] = []
        self.begun = self.clock.monotonic()
        self.stats = ConnectionStats(
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            lambda key: 0,
            worker="w",
            provider="memory",
            kept_days=7,
            clock=self.clock,
        )
        self.heartbeats = Heartbeats(self.read, self.stats, self, self.timed_out, self.clock)

    async def __aenter__(self) -> "Stage":
        await self.heartbeats.start()
        await self.clock.advance(0)
        self.beats.clear()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.heartbeats.stop()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.clock.monotonic() - self.begun

    async def read(self) -> dict[ChannelType, HeartbeatConfig]:
        """The table."""
        if self.away:
            raise DatabaseUnavailable("away")
        return dict(self.table)

    async def enter_room(self, sid: str, room: str) -> None:
        """Remember."""
        self.rooms.setdefault(room, set()).add(sid)

    async def leave_room(self, sid: str, room: str) -> None:
        """Remember."""
        self.rooms[room].discard(sid)

    def send_beat(self, room: str, beat: Any) -> int:
        """Remember."""
        self.beats.append((self.now, room, beat))
        return len(self.rooms.get(room, ())) or 1

    def cut(self, sid: str) -> None:
        """An admin's wish; not here."""

    async def hang_up(self, sid: str) -> None:
        """Remember."""
        self.hung_up.append((self.now, sid))

    def timed_out(self, sid: str, key: ChannelKey) -> None:
        """Remember."""
        self.timeouts.append((self.now, sid, str(key[1])))

    def beats_of(self, room: str) -> list[float]:
        """When a room got one."""
        return [when for when, where, _ in self.beats if where == room]

    async def pass_time(self, seconds: int, *answering: Tab, kind: ChannelType = ChannelType.PROJECT) -> None:
        """Let seconds pass; tabs answer every beat that comes meanwhile."""
        for _ in range(seconds):
            known = len(self.beats)
            await self.clock.advance(1)
            for _, room, beat in self.beats[known:]:
                for tab in answering:
                    if room in (f"beat/{kind}", tab.sid):
                        self.heartbeats.answered(tab.sid, kind, beat["timestamp"])


async def test_one_beat_an_interval_goes_to_the_room_of_all_tabs_that_watch_such_a_channel() -> None:
    """However many they are; each type at its own pace."""
    async with Stage() as stage:
        for number in range(50):
            await stage.heartbeats.began(Tab(f"tab-{number}"), PROJECT)
        await stage.heartbeats.began(Tab("tab-0"), SYSTEM)
        assert len(stage.rooms["beat/project"]) == 50
        stage.beats.clear()
        await stage.clock.advance(121)
        assert stage.beats_of("beat/project") == [30, 60, 90, 120]
        assert stage.beats_of("beat/system") == [60, 120]
        beat = next(beat for _, room, beat in stage.beats if room == "beat/project")
        assert (beat["type"], beat["interval"], beat["timeout"]) == ("project", 30_000, 90_000)


async def test_whoever_begins_to_watch_gets_a_beat_at_once() -> None:
    """Nobody else does."""
    async with Stage() as stage:
        await stage.heartbeats.began(Tab("a"), PROJECT)
        assert [(room, beat["type"]) for _, room, beat in stage.beats] == [("a", "project")]


async def test_the_room_is_left_with_the_last_channel_of_its_type() -> None:
    """Not with the first."""
    async with Stage() as stage:
        tab = Tab("a")
        for key in (PROJECT, OTHER, SYSTEM):
            await stage.heartbeats.began(tab, key)
        await stage.heartbeats.ended(tab, PROJECT)
        assert stage.rooms["beat/project"] == {"a"}
        await stage.heartbeats.ended(tab, OTHER)
        assert stage.rooms == {"beat/project": set(), "beat/system": {"a"}}
        assert [str(entry.key[1]) for entry in stage.stats.entries] == ["system:jobs"]


async def test_an_answer_tells_the_latency_by_the_servers_own_clock() -> None:
    """A timestamp that nobody sent is a sign of life, and no more."""
    async with Stage() as stage:
        await stage.heartbeats.began(Tab("a"), PROJECT)
        [entry] = stage.stats.entries
        assert entry.last_beat_at is None
        sent = stage.beats[0][2]["timestamp"]
        await stage.clock.advance(0.25)
        stage.heartbeats.answered("a", ChannelType.PROJECT, sent)
        assert list(entry.latencies) == [250]
        assert entry.last_beat_at is not None
        stage.heartbeats.answered("a", ChannelType.PROJECT, sent - 1_000_000)
        assert list(entry.latencies) == [250]
        stage.heartbeats.answered("nobody", ChannelType.PROJECT, sent)


async def test_who_answers_is_never_late() -> None:
    """Over many intervals."""
    async with Stage() as stage:
        tab = Tab("a")
        await stage.heartbeats.began(tab, PROJECT)
        await stage.pass_time(1_000, tab)
        assert (stage.timeouts, stage.hung_up, stage.heartbeats.stale) == ([], [], 0)


async def test_silence_is_late_after_one_and_a_half_intervals_and_stale_after_the_timeout() -> None:
    """Its states hear of it once, at the timeout; the socket is hung up if it stays silent."""
    async with Stage() as stage:
        await stage.heartbeats.began(Tab("a"), PROJECT)
        [entry] = stage.stats.entries
        missed = metrics.total(metrics.BEATS, "missed")
        stands = []
        for _ in range(100):
            await stage.clock.advance(1)
            stands.append(stage.heartbeats.liveness(PROJECT[1], entry.signed_at))
        assert (stands.index(Liveness.LATE) + 1, stands.index(Liveness.STALE) + 1) == (46, 91)
        assert stage.timeouts == [(91, "a", "project:x")]
        assert stage.hung_up == [(91 + HANG_UP_S, "a")]
        assert metrics.total(metrics.BEATS, "missed") - missed == 1


async def test_a_tab_that_speaks_again_is_not_hung_up_and_its_next_silence_is_told_anew() -> None:
    """Also when it was stale for a moment."""
    async with Stage() as stage:
        tab = Tab("a")
        await stage.heartbeats.began(tab, PROJECT)
        await stage.clock.advance(92)
        assert stage.heartbeats.stale == 1
        stage.heartbeats.answered("a", ChannelType.PROJECT, stage.beats[-1][2]["timestamp"])
        assert stage.heartbeats.stale == 0
        await stage.pass_time(60, tab)
        assert stage.hung_up == []
        await stage.clock.advance(100)
        assert [sid for _, sid, _ in stage.timeouts] == ["a", "a"]


async def test_a_tab_is_hung_up_only_when_all_of_it_is_silent() -> None:
    """One type's silence alone is told and no more."""
    async with Stage() as stage:
        tab = Tab("a")
        await stage.heartbeats.began(tab, PROJECT)
        await stage.heartbeats.began(tab, SYSTEM)
        await stage.pass_time(300, tab, kind=ChannelType.SYSTEM)
        assert [channel for _, _, channel in stage.timeouts] == ["project:x"]
        assert stage.hung_up == []


async def test_a_change_in_the_table_takes_effect_within_seconds() -> None:
    """A shorter interval beats at once, not after the longer one."""
    async with Stage() as stage:
        tab = Tab("a")
        await stage.heartbeats.began(tab, PROJECT)
        await stage.pass_time(10, tab)
        stage.table[ChannelType.PROJECT] = HeartbeatConfig(2_000, 4_000)
        stage.beats.clear()
        await stage.pass_time(20, tab)
        beats = stage.beats_of("beat/project")
        assert beats[0] <= 10 + CONFIG_S + 1
        assert {later - earlier for earlier, later in pairwise(beats)} == {2}
        assert stage.timeouts == []


async def test_a_shorter_timeout_makes_nobody_stale_who_could_not_have_known() -> None:
    """Silence counts from when the rule changed."""
    async with Stage() as stage:
        tab = Tab("a")
        await stage.heartbeats.began(tab, SYSTEM)
        await stage.clock.advance(50)  # it has answered nothing yet, and is not late
        stage.heartbeats.apply({ChannelType.SYSTEM: HeartbeatConfig(1_000, 2_000)})
        stage.table[ChannelType.SYSTEM] = HeartbeatConfig(1_000, 2_000)
        assert stage.timeouts == []
        await stage.pass_time(30, tab, kind=ChannelType.SYSTEM)
        assert stage.timeouts == []


async def test_a_worker_that_stood_still_blames_nobody() -> None:
    """While it was frozen no answer could be heard."""
    async with Stage() as stage:
        tab = Tab("a")
        await stage.heartbeats.began(tab, PROJECT)
        await stage.pass_time(10, tab)
        stage.clock.stand_still(500)
        await stage.pass_time(60, tab)
        assert (stage.timeouts, stage.hung_up) == ([], [])


async def test_without_the_database_the_beats_go_on() -> None:
    """As they were; what the table says is read when it is back."""
    async with Stage() as stage:
        stage.away = True
        await stage.heartbeats.began(Tab("a"), PROJECT)
        stage.beats.clear()
        await stage.clock.advance(61)
        assert stage.beats_of("beat/project") == [30, 60]
        stage.away, stage.table[ChannelType.PROJECT] = False, HeartbeatConfig(1_000, 2_000)
        await stage.clock.advance(CONFIG_S + 1)
        assert stage.heartbeats.config[ChannelType.PROJECT].interval_ms == 1_000
