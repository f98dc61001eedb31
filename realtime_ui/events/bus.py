"""The bus: `emit` returns when the event is committed. An id came back, so it will be shown."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.policy import require_emit
from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import Conflict, InvalidEvent
from realtime_ui.core.messages import Ephemeral, Event, Json, Message, Placement, Receipt
from realtime_ui.core.principals import Person, Principal
from realtime_ui.events.bridge import Bridge
from realtime_ui.events.routes import Routes, Routing
from realtime_ui.persistence.append_requests import Entry, Stored
from realtime_ui.persistence.event_log import EventLog

logger = logging.getLogger(__name__)

Handler = Callable[[Event], Awaitable[None]]


class EventBus:
    """Routes, stores and shows events; then tells the handlers of this process.

    Args:
        routes: which channels an event goes to.
        log: stores it.
        bridge: shows it.
        post_limit: how often a person may have an event stored, over all their tabs of this worker.
    """

    def __init__(self, routes: Routes, log: EventLog, bridge: Bridge, post_limit: RateLimiter) -> None:
        self._routes = routes
        self._log = log
        self._bridge = bridge
        self._post_limit = post_limit
        self._handlers: list[tuple[str, Handler]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Let the handlers that run now finish, for at most 5 s."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=5)
            for task in late:
                task.cancel()

    def on(self, pattern: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` after the commit of every event of a type, in the process that emitted it.

        Args:
            pattern: a type, or a prefix followed by `*`: `project.*`.
            handler: runs in a task of its own, at most once per event; its error is logged, harms nobody.

        Returns:
            a function that takes the handler away again.
        """
        entry = (pattern, handler)
        self._handlers.append(entry)
        return lambda: self._handlers.remove(entry) if entry in self._handlers else None

    async def emit(
        self,
        type: str,
        payload: Mapping[str, Json],
        tenant: uuid.UUID,
        *,
        id: str | None = None,
        emitted_by: str = "app",
    ) -> Receipt:
        """Store one event and show it on its channels. Checks no permission: see `emit_as`.

        Args:
            type: such as `project.updated`.
            payload: a JSON object that names the ids its route needs.
            tenant: whose event it is.
            id: the caller's own id, under which a repeat is stored once; made when None.
            emitted_by: who emitted it, as `core.emitters` says; shown with the event.

        Raises:
            InvalidEvent, Conflict, DatabaseUnavailable: nothing was stored (or, in the last case, nothing
                is known: emit again under the same id).
        """
        with metrics.failed_emits_counted(1):
            event = Event.create(type, payload, tenant, id=id, emitted_by=emitted_by)
        return (await self.emit_many([event]))[0]

    async def emit_many(self, events: Sequence[Event]) -> list[Receipt]:
        """Store events, all or none, and show them; one receipt each, in order. Raises as `emit` does.

        Ephemeral ones among them are shown after the rest is stored.
        """
        with metrics.failed_emits_counted(len(events)):
            routed = self._resolve(events)
        return await self._emit(routed)

    async def emit_as(
        self,
        principal: Principal,
        type: str,
        payload: Mapping[str, Json],
        *,
        id: str | None = None,
        chosen_by_app: bool = False,
    ) -> Receipt:
        """Like `emit`, in the principal's tenant and name, if they may emit it on every channel that its route gives.

        Args:
            principal: who emits.
            type: such as `session.message`.
            payload: a JSON object that names the ids its route needs.
            id: the caller's own id, under which a repeat is stored once; made when None.
            chosen_by_app: whether the app's code chose the type, as in a handler; else the principal did, and
                somebody who may only post is bound to the types that the route lists in `posts`.

        Raises:
            NotAllowed: they may not, on one of the channels; nothing was stored.
            RateLimited: a person emitted too many events lately (`POST_RATE_PER_PERSON`); nothing was stored.
            InvalidEvent, Conflict, DatabaseUnavailable: as `emit`.
        """
        with metrics.failed_emits_counted(1):
            event = Event.create(type, payload, principal.tenant, id=id, emitted_by=principal.stamp)
        return (await self.emit_many_as(principal, [event], chosen_by_app=chosen_by_app))[0]

    async def emit_many_as(
        self, principal: Principal, events: Sequence[Event], *, chosen_by_app: bool = False
    ) -> list[Receipt]:
        """Like `emit_many`, as `emit_as` does for one: every channel of every event is checked before any is stored.

        Events are stored under the principal's name, whatever their `emitted_by` says.
        """
        with metrics.failed_emits_counted(len(events)):
            routed = self._resolve(
                [
                    event if event.emitted_by == principal.stamp else replace(event, emitted_by=principal.stamp)
                    for event in events
                ]
            )
            for event, routing in routed:
                for channel in routing.channels:
                    require_emit(principal, channel, event.tenant, postable=chosen_by_app or routing.postable)
            if isinstance(principal, Person):
                # What the app's code only shows, such as a cursor, it may show as often as it wants.
                counted = sum(routing.durable or not chosen_by_app for _, routing in routed)
                self._post_limit.spend(principal.label, counted)
        return await self._emit(routed)

    def _resolve(self, events: Sequence[Event]) -> list[tuple[Event, Routing]]:
        if not events:
            raise InvalidEvent("The list is empty.", remedy="Send at least one event.")
        prefixes = [f"[{number}]." if len(events) > 1 else "" for number in range(len(events))]
        return [(event, self._routes.resolve(event, prefix=p)) for event, p in zip(events, prefixes, strict=True)]

    async def _emit(self, routed: Sequence[tuple[Event, Routing]]) -> list[Receipt]:
        with metrics.failed_emits_counted(len(routed)):
            durable = [(event, routing.channels) for event, routing in routed if routing.durable]
            stored = await self._store(durable) if durable else {}
        self._bridge.publish(_ephemeral(routed))
        receipts = [_receipt(event, routing, stored) for event, routing in routed]
        fresh = {event.id: event for receipt, (event, _) in zip(receipts, routed, strict=True) if not receipt.duplicate}
        duplicates = sum(receipt.duplicate for receipt in receipts)
        metrics.EMITS.labels("ephemeral").inc(len(routed) - len(durable))
        metrics.EMITS.labels("duplicate").inc(duplicates)
        metrics.EMITS.labels("stored").inc(len(durable) - duplicates)
        for event in fresh.values():
            self._tell(event)
        return receipts

    async def record_foreign(self, event: Event, channel: ChannelName, *, everywhere: bool) -> None:
        """Store what somebody else published on a channel, and show it like any other.

        Args:
            event: under the provider's id.
            channel: where it was heard.
            everywhere: whether every worker records what it hears under the same id; else this one does for all.

        Raises:
            Conflict: the id is taken.
            DatabaseUnavailable: nothing was stored.
        """
        stored = await self._log.append([Entry(event, channel)])
        if everywhere:
            self._bridge.take_over([each.message for each in stored])
        else:
            self._bridge.publish(_fresh(stored))

    async def _store(
        self, routed: Sequence[tuple[Event, tuple[ChannelName, ...]]]
    ) -> dict[tuple[str, ChannelName], Stored]:
        entries: dict[tuple[str, ChannelName], Entry] = {}
        for event, channels in routed:
            for channel in channels:
                known = entries.setdefault((event.id, channel), Entry(event, channel)).event
                if known is not event and (known.type, known.payload_json) != (event.type, event.payload_json):
                    raise Conflict(
                        f"The id {event.id!r} stands twice in the list with different content.",
                        field="id",
                        remedy="Give each event its own id.",
                    )
        stored = await self._log.append(list(entries.values()))
        self._bridge.publish(_fresh(stored))
        return dict(zip(entries, stored, strict=True))

    def _tell(self, event: Event) -> None:
        for pattern, handler in self._handlers:
            if event.type == pattern or (pattern.endswith("*") and event.type.startswith(pattern[:-1])):
                task = asyncio.create_task(_run(handler, event), name=f"on {event.type}")
                self._running.add(task)
                task.add_done_callback(self._running.discard)


async def _run(handler: Handler, event: Event) -> None:
    try:
        await handler(event)
    except Exception:
        logger.exception("A handler of %s failed on event %s", event.type, event.id)


def _receipt(event: Event, routing: Routing, stored: Mapping[tuple[str, ChannelName], Stored]) -> Receipt:
    if not routing.durable:
        nowhere = tuple(Placement(channel, None, None) for channel in routing.channels)
        return Receipt(event.id, event.type, nowhere, duplicate=False)
    found = [stored[event.id, channel] for channel in routing.channels]
    placements = tuple(Placement(s.message.channel, s.message.seq, s.message.epoch) for s in found)
    return Receipt(event.id, event.type, placements, all(s.duplicate for s in found))


def _ephemeral(routed: Sequence[tuple[Event, Routing]]) -> list[Ephemeral]:
    now = round(time.time() * 1000)
    return [
        Ephemeral(event.tenant, channel, event.id, event.type, event.payload, now, event.emitted_by)
        for event, routing in routed
        if not routing.durable
        for channel in routing.channels
    ]


def _fresh(stored: Sequence[Stored]) -> list[Message]:
    return [item.message for item in stored if not item.duplicate]
