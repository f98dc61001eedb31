"""What goes wrong: each fault begins, holds for a while, and is healed, whatever happens meanwhile."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from tests.chaos.browser import BrowserWatcher
from tests.chaos.stage import Stage
from tests.proxy import Proxy
from tests.services import Service

STEADY = "steady"
"""The line of the watchers that nobody cuts."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What faults can strike.

    Args:
        stage: the app.
        lines: the networks of the raw watchers, by name.
        browsers: each behind a network of its own.
        wire: what carries messages between workers; None where it lives inside the one worker.
    """

    stage: Stage
    lines: dict[str, Proxy]
    browsers: Sequence[BrowserWatcher]
    wire: Service | None = None

    @property
    def networks(self) -> dict[str, Proxy]:
        """Every network, by the name of the line or browser behind it."""
        return self.lines | {browser.name: browser.proxy for browser in self.browsers}


Strike = Callable[[Scene, random.Random], AbstractAsyncContextManager[str]]
"""A fault: in force inside the block; gives the name of the line or browser that it strikes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Args:
        name: for reports.
        strike: what it does.
        longest_s: for how long at most (a run may bound it further); 0 for what is done at once.
        weight: how often beside the others.
        shortest_s: for how long at least, whatever the run's bound.
    """

    name: str
    strike: Strike
    longest_s: float
    weight: float = 1.0
    shortest_s: float = 0.5


def _killed(processes: Callable[[Stage, random.Random], Iterable[psutil.Process]]) -> Strike:
    @asynccontextmanager
    async def strike(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
        _signal(processes(scene.stage, dice), signal.SIGKILL)
        yield STEADY

    return strike


def _frozen(processes: Callable[[Stage, random.Random], Sequence[psutil.Process]]) -> Strike:
    @asynccontextmanager
    async def strike(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
        frozen = processes(scene.stage, dice)
        _signal(frozen, signal.SIGSTOP)
        try:
            yield STEADY
        finally:
            _signal(frozen, signal.SIGCONT)

    return strike


@asynccontextmanager
async def _kill_worker_beside_frozen_postgres(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """Every page loads its state anew, with no database to load it from."""
    async with _frozen(_postgres)(scene, dice):
        _signal(_a_worker(scene.stage, dice), signal.SIGKILL)
        yield STEADY


@asynccontextmanager
async def _cut(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """A network is gone: connections break, new ones are refused."""
    name = dice.choice(sorted(scene.networks))
    scene.networks[name].cut()
    try:
        yield name
    finally:
        scene.networks[name].restore()


@asynccontextmanager
async def _hang(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """A network carries nothing: connections stay open on both sides, as when a train enters a tunnel."""
    name = dice.choice(sorted(scene.networks))
    scene.networks[name].hang()
    try:
        yield name
    finally:
        scene.networks[name].restore()


@asynccontextmanager
async def _forget(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """A network loses track of its connections, as when a router is replaced: both sides wait for nothing."""
    name = dice.choice(sorted(scene.networks))
    scene.networks[name].forget()
    yield name


@asynccontextmanager
async def _freeze_browser(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """A laptop is closed: the browser stands still, its connections open."""
    browser = dice.choice(scene.browsers)
    frozen = await asyncio.to_thread(browser.processes)
    _signal(frozen, signal.SIGSTOP)
    try:
        yield browser.name
    finally:
        _signal(frozen, signal.SIGCONT)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@asynccontextmanager
async def _kill_wire(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """The provider's server dies with all that it held, and is started again later."""
    assert scene.wire is not None
    await scene.wire.kill()
    try:
        yield STEADY
    finally:
        await scene.wire.start()


@asynccontextmanager
async def _freeze_wire(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """The provider's server stands still, its connections open."""
    assert scene.wire is not None
    _signal(scene.wire.processes(), signal.SIGSTOP)
    try:
        yield STEADY
    finally:
        _signal(scene.wire.processes(), signal.SIGCONT)


@asynccontextmanager
async def _cut_wire(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """The workers cannot reach the provider."""
    assert scene.wire is not None
    scene.wire.network.cut()
    try:
        yield STEADY
    finally:
        scene.wire.network.restore()


@asynccontextmanager
async def _forget_wire(scene: Scene, dice: random.Random) -> AsyncIterator[str]:
    """The connections to the provider are half-open for good."""
    assert scene.wire is not None
    scene.wire.network.forget()
    yield STEADY


def _postgres(stage: Stage, dice: random.Random) -> Sequence[psutil.Process]:
    return [*stage.postmaster(), *stage.backends()]


def _a_worker(stage: Stage, dice: random.Random) -> Sequence[psutil.Process]:
    return _one_of(stage.workers(), dice)


def _one_of(processes: Sequence[psutil.Process], dice: random.Random) -> Sequence[psutil.Process]:
    return [dice.choice(processes)] if processes else []


SERVER_FAULTS = (
    Fault("SIGKILL of the parent", _killed(lambda stage, dice: stage.parent()), 0),
    Fault("SIGKILL of a worker", _killed(_a_worker), 0, weight=2),
    Fault("SIGKILL of PostgreSQL", _killed(lambda stage, dice: stage.postmaster()), 0),
    Fault(
        "SIGKILL of a PostgreSQL backend",
        _killed(lambda stage, dice: _one_of(stage.backends(), dice)),
        0,
    ),
    Fault("SIGSTOP of the parent", _frozen(lambda stage, dice: stage.parent()), 8),
    Fault("SIGSTOP of a worker", _frozen(_a_worker), 8, weight=2),
    Fault("SIGSTOP of PostgreSQL", _frozen(_postgres), 8, weight=2),
    Fault("SIGKILL of a worker, PostgreSQL stopped", _kill_worker_beside_frozen_postgres, 15, 0.5, shortest_s=10),
)
"""Felt by every watcher."""

WIRE_FAULTS = (
    Fault("SIGKILL of the provider's server", _kill_wire, 20, weight=2),
    Fault("SIGSTOP of the provider's server", _freeze_wire, 20),
    Fault("provider cut off", _cut_wire, 20, weight=2),
    Fault("connections to the provider forgotten", _forget_wire, 0),
)
"""Felt, a little, by whoever watches what another worker emitted."""

NETWORK_FAULTS = (
    Fault("network cut", _cut, 60, weight=3),
    Fault("network hung", _hang, 60, weight=2),
    Fault("browser frozen", _freeze_browser, 30),
    Fault("connections forgotten", _forget, 0),
)
"""Felt by those on one line."""
