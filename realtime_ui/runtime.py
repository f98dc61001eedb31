"""One worker's parts, built from Settings, started and stopped in order."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType

from socketio import AsyncServer

from realtime_ui.access.gate import Gate
from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.revocations import Revocations
from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person
from realtime_ui.events.bridge import Bridge
from realtime_ui.events.bus import EventBus
from realtime_ui.events.foreign import ForeignMessages
from realtime_ui.events.foreign_senders import ForeignSenders
from realtime_ui.events.routes import Route, Routes
from realtime_ui.events.wire import Signer
from realtime_ui.hub.connection_stats import ConnectionStats
from realtime_ui.hub.fanout import install_direct_writes, send_to_room, sockets_in
from realtime_ui.hub.feed import EVENT_NAMESPACE, NAMESPACE, FeedNamespace, token_of_socket
from realtime_ui.hub.health import Health
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.inbound import Inbound
from realtime_ui.hub.line import LineParts
from realtime_ui.hub.packets import bound_packets
from realtime_ui.hub.posts import Posts
from realtime_ui.hub.presence import Presence
from realtime_ui.hub.presence_feed import PresenceSinkFactory
from realtime_ui.hub.report import WorkerReport
from realtime_ui.hub.samples import Samples
from realtime_ui.hub.streams import StreamLimits, Streams
from realtime_ui.hub.subscriptions import SinkFactory
from realtime_ui.persistence.access_changes import AccessChangeRepository
from realtime_ui.persistence.channels import ChannelRepository
from realtime_ui.persistence.connection_stats import ConnectionStatsRepository
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from realtime_ui.persistence.field_folder import FieldFolder
from realtime_ui.persistence.fields import FieldRepository
from realtime_ui.persistence.health_samples import HealthSampleRepository
from realtime_ui.persistence.heartbeat_config import HeartbeatConfigRepository
from realtime_ui.persistence.leases import Lease
from realtime_ui.persistence.people import PeopleRepository
from realtime_ui.persistence.readiness import DatabaseCheck
from realtime_ui.persistence.retention import Retention
from realtime_ui.providers.base import Capability
from realtime_ui.providers.factory import create_realtime_client
from realtime_ui.settings import Settings

logger = logging.getLogger(__name__)

CONNECT_PATIENCE_S = 1.0
"""How long the start waits for the provider; then feeds begin from the log alone."""
KEYS_PER_S, KEY_BURST = 1 / 60, 10
"""How often one admin may make an API key."""
POST_BURST_S = 12
"""A person may post at once what would take so many seconds at their rate: an offline browser sends what it kept."""
TOKENS_PER_S, TOKEN_BURST = 5, 200
"""How often one caller may ask for tokens: a page on Pusher asks once for each channel."""


class Runtime:
    """An async context manager: all parts run inside the block and are stopped, in reverse, at its end.

    Args:
        settings: with `database_url` and `secret_key` set (the parent process sees to both).
        server: the Socket.IO server that tabs connect to.
        sink_for_state: makes sinks for state classes that want messages.
        routes: an app's own routes, beside the default ones.
        sink_for_presence: makes sinks for state classes that want to know who comes and goes.
        clock: tells the time.
    """

    def __init__(
        self,
        settings: Settings,
        server: AsyncServer,
        sink_for_state: SinkFactory,
        *,
        routes: Sequence[Route] = (),
        sink_for_presence: PresenceSinkFactory = lambda token, state, channel: None,
        clock: Clock | None = None,
    ) -> None:
        if not settings.database_url or not settings.secret_key:
            raise RuntimeError(
                "DATABASE_URL and SECRET_KEY are not set; start with `python -m realtime_ui serve`, "
                "which starts a database and makes a key where they are missing."
            )
        self.settings = settings
        self._clock = clock = clock or SystemClock()
        client_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        signer = Signer(settings.secret_key)
        self._client_id = client_id
        self._server = server
        self._stack = AsyncExitStack()

        most = settings.channels_per_tenant
        self.database = Database(settings.database_url, pool=settings.database_pool, channels_per_tenant=most)
        self._writer = Database(
            settings.database_url, pool=1, lock_timeout_s=4, statement_timeout_s=5, channels_per_tenant=most
        )
        self.fields = FieldRepository(self.database)
        self._fields_lease = Lease(self.database, "current fields", client_id, clock)
        self._folder = FieldFolder(self.fields, self._fields_lease, clock)
        self.log = EventLog(self.database, self._writer, clock, self._folder.appended)
        self.retention = Retention(self.database, settings.retention, clock)
        self.channels = ChannelRepository(self.database)
        self.people = PeopleRepository(self.database, settings.operator_tenant)
        self.gate = Gate(self.people, clock, sign_in_days=settings.sign_in_days, setup_code=settings.setup_code)
        rate = settings.emit_rate_per_key
        self.emit_limit = RateLimiter(rate, burst=2 * rate, clock=clock)
        self.token_limit = RateLimiter(TOKENS_PER_S, burst=TOKEN_BURST, clock=clock)
        self.key_limit = RateLimiter(KEYS_PER_S, burst=KEY_BURST, clock=clock)
        self.provider = create_realtime_client(settings.realtime_provider, settings)
        self._foreign_lease = Lease(self.database, "foreign messages", client_id, clock)
        self._ids_are_shared = Capability.MESSAGE_IDS in self.provider.capabilities
        table = Routes(routes)
        senders = ForeignSenders(self.gate.by_identity, table, lambda *about: self._inbound.accepts(*about))
        self._foreign = ForeignMessages(
            senders.event,
            lambda event, channel: self.bus.record_foreign(event, channel, everywhere=self._ids_are_shared),
            lambda: self._ids_are_shared or self._foreign_lease.held,
            clock,
        )
        self.hub = RealtimeHub(
            self.log,
            self.provider,
            signer,
            clock,
            self._foreign.take,
            frame_window_s=settings.frame_window_ms / 1000,
            gap_wait_s=settings.gap_wait_ms / 1000,
            sweep_interval_s=settings.sweep_interval_s,
        )
        self.bridge = Bridge(self.log, self.provider, signer, self.hub.deliver, client_id=client_id, clock=clock)
        posts = settings.post_rate_per_person
        post_limit = RateLimiter(posts, burst=POST_BURST_S * posts, clock=clock)
        self.bus = EventBus(table, self.log, self.bridge, post_limit)
        self._inbound = Inbound(self.channels, self.hub, clock)
        connections, samples = ConnectionStatsRepository(self.database), HealthSampleRepository(self.database)
        self.stats = ConnectionStats(
            connections,
            samples,
            self.hub.delivered,
            worker=client_id,
            provider=self.provider.name,
            kept_days=settings.connection_stats_days,
            clock=clock,
        )
        self._samples = Samples(samples, self.stats.traffic, lambda: self.stats.entries, worker=client_id, clock=clock)
        self.presence = Presence(self.provider, signer, client_id, clock, self._send_presence)
        self.feed = FeedNamespace(
            self.hub,
            self.log,
            self.fields,
            self._folder,
            self.gate,
            sink_for_state,
            self.channels,
            clock,
            self.presence,
            sink_for_presence,
            Posts(self.bus, table),
            max_channels=settings.subscriptions_per_socket,
            max_queued_bytes=settings.socket_queue_bytes,
            kept_days=settings.retention,
            address_privacy=settings.address_privacy,
            line=LineParts(HeartbeatConfigRepository(self.database), connections, samples, self.stats),
        )
        self.streams = Streams(
            self.hub,
            self.log,
            lambda kind: self.feed.heartbeats.config[kind].interval_ms / 1000,
            self.stats,
            clock,
            StreamLimits(
                per_person=settings.streams_per_person,
                per_key=settings.streams_per_key,
                per_address=settings.streams_per_address,
                channels=settings.subscriptions_per_socket,
                queued_bytes=settings.socket_queue_bytes,
                seconds=settings.stream_seconds,
            ),
        )
        self._revocations = Revocations(
            AccessChangeRepository(self.database), self.gate, (self.feed.recheck, self.streams.recheck), clock
        )
        self.health = Health(DatabaseCheck(self.database), self.provider, self.hub, self.feed, clock)
        self.report = WorkerReport(self.health, self.feed.heartbeats, self.streams, self.stats, clock)

    async def __aenter__(self) -> "Runtime":
        """Start everything, the lowest first."""
        enter = self._stack.push_async_callback
        enter(self.database.close)
        enter(self._writer.close)
        await self.log.start()
        enter(self.log.stop)
        await self._fields_lease.start()
        enter(self._fields_lease.stop)
        await self._folder.start()
        enter(self._folder.stop)
        await self.retention.start()
        enter(self.retention.stop)
        enter(self.provider.disconnect)
        connecting = asyncio.create_task(self._connect(), name="provider-connect")
        self._stack.callback(connecting.cancel)
        await asyncio.wait({connecting}, timeout=CONNECT_PATIENCE_S)
        await self.hub.start()
        enter(self.hub.stop)
        await self.bridge.start()
        enter(self.bridge.stop)
        enter(self.bus.stop)
        if not self._ids_are_shared:
            await self._foreign_lease.start()
            enter(self._foreign_lease.stop)
        await self._foreign.start()
        enter(self._foreign.stop)
        await self._inbound.start()
        enter(self._inbound.stop)
        await self.stats.start(self.report.state)
        enter(self.stats.stop)
        install_direct_writes(self._server)
        bound_packets(self._server)
        await self.presence.start()
        enter(self.presence.stop)
        self._server.register_namespace(self.feed)
        await self.feed.start()
        enter(self.feed.stop)
        await self.streams.start()
        enter(self.streams.stop)
        await self._revocations.start()
        enter(self._revocations.stop)
        await self.health.start()
        enter(self.health.stop)
        await self.feed.monitor.start(self.report.state)
        enter(self.feed.monitor.stop)
        await self._samples.start(self.report.sample)
        enter(self._samples.stop)
        await self.report.start()
        enter(self.report.stop)
        _running.append(self)
        self._stack.callback(_running.remove, self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, the highest first."""
        await self._stack.aclose()

    async def _connect(self) -> None:
        try:
            await self.provider.connect(self._client_id)
        except RealtimeError as error:  # which health tells; the provider goes on trying
            logger.debug("The provider is away at the start: %s", error)
        except Exception:
            logger.exception("The provider could not be connected")

    async def person_of_socket(self, sid: str) -> Person | None:
        """Who is behind a Reflex event socket of this worker, or None."""
        return await self.gate.by_token(token_of_socket(self._server.get_environ(sid, EVENT_NAMESPACE)))

    def _send_presence(self, room: str, data: Json) -> int:
        if data is None:
            return sockets_in(self._server, NAMESPACE, room)
        return send_to_room(self._server, NAMESPACE, room, "presence", data)


_running: list[Runtime] = []


def tell_going_away() -> None:
    """Tell every socket and stream of this process that it stops, and end the streams.

    This is the first step of a shutdown: the server waits for open answers, and closes sockets without a reason.
    """
    for runtime in _running:
        runtime.feed.tell_going_away()
        runtime.streams.end_all()


def current() -> Runtime:
    """The runtime of this worker.

    Raises:
        RuntimeError: the app has not started, or `install(app)` was not called.
    """
    if not _running:
        raise RuntimeError("No runtime: call install(app), and use it only while the app runs.")
    return _running[-1]
