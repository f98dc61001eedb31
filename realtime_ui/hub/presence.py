"""Presence: which tabs this worker has, what each says of its person, and what it and the other workers tell.

A tab whose connection was closed properly, or reloads, stays for a grace; one that fell silent does not. Workers
tell each other over one channel of the provider, signed, past the hub and the log (see `roster.py`).
"""

import asyncio
import logging
import time
import uuid
from contextlib import suppress
from dataclasses import replace

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.events.wire import Signer
from realtime_ui.hub.members import Activity, Member, Meta
from realtime_ui.hub.presence_rooms import PresenceRooms, Send
from realtime_ui.hub.roster import Roster, Said
from realtime_ui.hub.subscriptions import Tab
from realtime_ui.providers.base import RealtimeProvider, WireMessage

logger = logging.getLogger(__name__)

WIRE_CHANNEL = "realtime-ui:presence"
WIRE_NAME = "presence"
TICK_S = 0.25
"""Diffs go out at most so often."""
GRACE_S = 5.0
TYPING_S = 6.0
"""Somebody types for so long after their tab last said so."""


class Presence:
    """Everybody who is present. `start` and `stop` own the tasks.

    Args:
        provider: the wire to the other workers.
        signer: marks what is told as this system's own.
        worker: this worker's name, another one after every start.
        clock: tells the time.
        send: sends to a room of sockets.
    """

    def __init__(self, provider: RealtimeProvider, signer: Signer, worker: str, clock: Clock, send: Send) -> None:
        self._provider = provider
        self._signer = signer
        self._worker = worker
        self._clock = clock
        self.rooms = PresenceRooms(send)
        self._roster = Roster(worker, self.rooms.changed)
        self._leaving: dict[str, float] = {}  # tabs that closed, and when that is told
        self._typing: dict[str, float] = {}  # tabs in which somebody types, and until when that holds
        self._attached = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to tell and to hear."""
        self._tasks = [
            asyncio.create_task(self._keep_ticking(), name="presence"),
            asyncio.create_task(self._keep_talking(), name="presence-wire"),
        ]

    async def stop(self) -> None:
        """Say goodbye to the other workers and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(RealtimeError):
            await self._publish(self._roster.goodbye())
            await self._provider.unsubscribe(WIRE_CHANNEL)

    def arrive(self, tab: Tab) -> None:
        """A signed-in person's socket connected. Where it is a tab that reloads, the person was here all the time."""
        person = tab.person
        meta = Meta(
            tab.sid,
            person.tenant,
            person.id,
            person.name,
            tab.connected_at,
            tab.connected_at,
            tab.info.device,
            tab.info.browser,
        )
        for left in self._left_by(meta):
            meta = replace(meta, since=min(meta.since, left.since))
        self._take_place_of(meta)

    def depart(self, sid: str, *, closed: bool) -> None:
        """A socket is gone; to repeat it changes nothing.

        Args:
            sid: the socket's id.
            closed: whether it was closed properly and may be a reload, so that its leave waits for the grace.
        """
        if closed:
            self._end_typing(sid)
            if self._roster.own(sid):
                self._leaving[sid] = self._clock.monotonic() + GRACE_S
        else:
            self._drop(sid)

    def enter(self, tab: Tab, channel: ChannelName, activity: Activity) -> None:
        """A tab is on a channel from now on, and on no other."""
        meta = self._roster.own(tab.sid)
        if meta is None:
            return
        meta = replace(meta, name=tab.person.name)
        if meta.channel != channel:
            self._typing.pop(meta.tab, None)
            meta = replace(meta, channel=channel, entered=round(time.time() * 1000))
            self._take_place_of(meta)
        self._become(meta, activity)

    def update(self, sid: str, activity: Activity) -> None:
        """A tab says how its person is; typing holds for a few seconds unless it is said again."""
        if meta := self._roster.own(sid):
            self._become(meta, activity)

    def leave(self, sid: str) -> None:
        """A tab is elsewhere in the app."""
        self._end_typing(sid)
        if meta := self._roster.own(sid):
            self._roster.put(replace(meta, channel=None, entered=meta.since))

    def channel_of(self, sid: str) -> ChannelName | None:
        """Which channel a tab of this worker is on."""
        meta = self._roster.own(sid)
        return meta.channel if meta else None

    def members(self, tenant: uuid.UUID, channel: ChannelName) -> list[Member]:
        """Everybody on a tenant's channel, whichever worker they are connected to."""
        return self.rooms.members(tenant, channel)

    def _become(self, meta: Meta, activity: Activity) -> None:
        if activity is Activity.TYPING and meta.channel is None:
            activity = Activity.ONLINE
        if activity is Activity.TYPING:
            self._typing[meta.tab] = self._clock.monotonic() + TYPING_S
        else:
            self._typing.pop(meta.tab, None)
        self._roster.put(replace(meta, state=activity))

    def _end_typing(self, sid: str) -> None:
        if self._typing.pop(sid, None) is not None and (meta := self._roster.own(sid)):
            self._roster.put(replace(meta, state=Activity.ONLINE))

    def _left_by(self, meta: Meta) -> list[Meta]:
        """The person's tabs that closed and are not told of yet, the oldest first."""
        left = [each for sid in self._leaving if (each := self._roster.own(sid))]
        return [each for each in left if (each.tenant, each.person) == (meta.tenant, meta.person)]

    def _take_place_of(self, meta: Meta) -> None:
        """Put a tab where it is, in the place of one that the person closed there a moment ago."""
        old = next((each for each in self._left_by(meta) if each.channel == meta.channel), None)
        if old is not None:
            meta = replace(meta, since=min(old.since, meta.since), entered=old.entered)
        self._roster.put(meta)
        if old is not None:
            self._drop(old.tab)

    def _drop(self, sid: str) -> None:
        self._leaving.pop(sid, None)
        self._typing.pop(sid, None)
        self._roster.drop(sid)

    async def _keep_ticking(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            try:
                self._tick(self._clock.monotonic())
            except Exception:
                logger.exception("Presence failed and goes on")

    def _tick(self, now: float) -> None:
        for sid in [sid for sid, until in self._leaving.items() if now >= until]:
            self._drop(sid)
        for sid in [sid for sid, until in self._typing.items() if now >= until]:
            self._end_typing(sid)
        self._roster.expire(now)
        self.rooms.flush()

    async def _keep_talking(self) -> None:
        while True:
            try:
                await self._talk()
            except RealtimeError as error:
                logger.debug("The other workers are told of presence later: %s", error)
            except Exception:
                logger.exception("The other workers were not told of presence")
            await self._clock.sleep(TICK_S)

    async def _talk(self) -> None:
        if not self._attached:
            await self._provider.subscribe(WIRE_CHANNEL, self._hear)
            self._attached = True
        for said in list(self._roster.outgoing(self._clock.monotonic())):
            await self._publish(said)

    async def _publish(self, said: Said) -> None:
        bare = WireMessage(uuid.uuid4().hex, WIRE_NAME, said, round(time.time() * 1000), self._worker)
        await self._provider.publish(WIRE_CHANNEL, self._signer.seal(WIRE_CHANNEL, bare))

    def _hear(self, channel: str, wire: WireMessage) -> None:
        if self._signer.is_own(channel, wire):
            self._roster.receive(wire.data, self._clock.monotonic())
