"""What the workers tell each other of who is present: pure merge logic, which neither waits nor sends.

Each worker alone says what its own tabs are. It numbers its diffs; a beat tells the number. A worker that missed
one asks for the whole state. A worker that is not heard of for a lease is forgotten with all its tabs. So
whatever is lost, doubled or comes in another order, all agree once beats come through.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.hub.members import Meta

logger = logging.getLogger(__name__)

BEAT_S = 5.0
LEASE_S = 15.0
PARTING_S = 5.0
"""The tabs of a worker that said goodbye come back elsewhere within it."""
ASK_AGAIN_S = 1.0
CHUNK_BYTES = 7_000
"""The tightest provider, Pusher, takes messages of 10 kB; headers want some of it."""
MAX_PARTS = 10_000

Said = dict[str, Json]
Changed = Callable[[Meta | None, Meta | None], None]
"""(before, after) of one tab; None where it was not, or is no more."""


@dataclass(slots=True)
class _Peer:
    """Another worker, as far as this one has heard."""

    heard: float  # when something new came of it
    number: int = -1  # of the newest message heard
    version: int = 0
    metas: dict[str, Meta] = field(default_factory=dict)
    asked: float = float("-inf")
    parts: dict[int, list[Json]] = field(default_factory=dict)  # of a full state that is coming in
    parts_of: int = -1  # its version


class Roster:
    """All tabs of all workers, as this worker knows them.

    Args:
        worker: this worker's name, another one after every start.
        changed: told of every change; must not block.
    """

    def __init__(self, worker: str, changed: Changed) -> None:
        self._worker = worker
        self._changed = changed
        self._number = 0
        self._version = 0
        self._own: dict[str, Meta] = {}
        self._dirty: dict[str, None] = {}  # in the order in which they changed
        self._peers: dict[str, _Peer] = {}
        self._asks: set[str] = {""}  # whose full state to ask for; "" is everybody's
        self._asked = False  # somebody wants ours
        self._next_beat = float("-inf")

    def own(self, tab: str) -> Meta | None:
        """One of this worker's tabs."""
        return self._own.get(tab)

    def put(self, meta: Meta) -> None:
        """One of this worker's tabs is there, or is another way."""
        before = self._own.get(meta.tab)
        if before == meta:
            return
        self._own[meta.tab] = meta
        self._dirty[meta.tab] = None
        self._changed(before, meta)

    def drop(self, tab: str) -> None:
        """One of this worker's tabs is gone; to repeat it changes nothing."""
        before = self._own.pop(tab, None)
        if before is not None:
            self._dirty[tab] = None
            self._changed(before, None)

    def outgoing(self, now: float) -> Iterator[Said]:
        """What is to be told the others now, in this order, each by a message of its own.

        Args:
            now: on the clock, in s.
        """
        dirty, self._dirty = list(self._dirty), {}
        entries = [[tab, self._own[tab].to_json() if tab in self._own else None] for tab in dirty]
        for part in _chunks(entries):
            self._version += 1
            yield self._say("diff", tabs=part)
        if self._asked:
            self._asked = False
            parts = list(_chunks([meta.to_json() for meta in self._own.values()])) or [[]]
            for index, part in enumerate(parts):
                yield self._say("full", part=index, parts=len(parts), tabs=part)
        asks, self._asks = self._asks, set()
        for worker in asks:
            yield self._say("ask", of=worker)
        if now >= self._next_beat:
            self._next_beat = now + BEAT_S
            yield self._say("beat")

    def goodbye(self) -> Said:
        """What a worker says at its end."""
        return self._say("bye")

    def receive(self, said: Json, now: float) -> None:
        """Take what another worker told, in whatever order; what cannot be read is logged and dropped.

        Args:
            said: as `outgoing` made it.
            now: on the clock, in s.
        """
        try:
            if said["worker"] != self._worker:
                self._receive(said["worker"], said, now)
        except (KeyError, TypeError, ValueError, RealtimeError) as error:
            logger.warning("What another worker told of presence cannot be read: %r", error)

    def expire(self, now: float) -> None:
        """Forget the workers that have been silent for their lease, with all their tabs."""
        for worker, peer in list(self._peers.items()):
            if now - peer.heard > LEASE_S:
                del self._peers[worker]
                self._replace(peer, {})
                logger.info("The worker %s is silent; its tabs are no longer present", worker)

    def _say(self, kind: str, **more: Json) -> Said:
        self._number += 1
        return {"kind": kind, "worker": self._worker, "number": self._number, "version": self._version, **more}

    def _receive(self, worker: str, said: Said, now: float) -> None:
        peer = self._peers.setdefault(worker, _Peer(now))
        kind, version = said["kind"], int(said["version"])
        if said["number"] > peer.number:  # what comes late or twice proves nothing about now
            peer.number, peer.heard = int(said["number"]), now
            if kind == "bye":
                peer.heard = now - LEASE_S + PARTING_S
        if kind == "ask" and said["of"] in ("", self._worker):
            self._asked = True
        if kind == "diff" and version == peer.version + 1:
            self._apply(peer, said["tabs"])
            peer.version = version
        elif kind == "full" and version >= peer.version:
            self._collect(peer, version, said)
        if version > peer.version and now - peer.asked >= ASK_AGAIN_S:
            peer.asked = now
            self._asks.add(worker)

    def _apply(self, peer: _Peer, entries: list[Json]) -> None:
        for tab, entry in entries:
            after = Meta.from_json(entry) if entry is not None else None
            before = peer.metas.pop(tab, None)
            if after is not None:
                peer.metas[tab] = after
            if before != after:
                self._changed(before, after)

    def _collect(self, peer: _Peer, version: int, said: Said) -> None:
        part, parts = int(said["part"]), int(said["parts"])
        if not 0 <= part < parts <= MAX_PARTS or version < peer.parts_of:
            return
        if version > peer.parts_of:
            peer.parts, peer.parts_of = {}, version
        peer.parts[part] = said["tabs"]
        if len(peer.parts) == parts:
            metas = [Meta.from_json(entry) for entries in peer.parts.values() for entry in entries]
            peer.parts = {}
            peer.version = version
            self._replace(peer, {meta.tab: meta for meta in metas})

    def _replace(self, peer: _Peer, metas: dict[str, Meta]) -> None:
        before, peer.metas = peer.metas, metas
        for tab in {**before, **metas}:
            if before.get(tab) != metas.get(tab):
                self._changed(before.get(tab), metas.get(tab))


def _chunks(entries: list[list[Json]]) -> Iterator[list[Json]]:
    """The entries in parts of at most `CHUNK_BYTES`."""
    part: list[Json] = []
    size = 0
    for entry in entries:
        length = len(json.dumps(entry))
        if part and size + length > CHUNK_BYTES:
            yield part
            part, size = [], 0
        part.append(entry)
        size += length
    if part:
        yield part
