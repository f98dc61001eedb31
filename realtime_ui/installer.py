"""`install(app)`: puts the realtime parts into a Reflex app."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import reflex as rx
from reflex_base import constants
from reflex_base.config import get_config
from starlette.types import ASGIApp

from realtime_ui.api.app import beside
from realtime_ui.api.guard import Guard
from realtime_ui.api.site import Site
from realtime_ui.api.sockets import SocketDoor, SocketLimits
from realtime_ui.build import MissingModules, in_production
from realtime_ui.components.views import connection_banner, missing_assets_script
from realtime_ui.core.logs import configure_logging, log_loop_errors
from realtime_ui.events.routes import Route, Routes
from realtime_ui.extras import needs
from realtime_ui.former_assets import FormerAssets
from realtime_ui.hub.namespace import MAX_FRAME_BYTES
from realtime_ui.pages import set_up, sign_in  # noqa: F401  (every app needs a way in)
from realtime_ui.runtime import Runtime, current
from realtime_ui.settings import load_settings
from realtime_ui.states.errors import log_errors
from realtime_ui.states.presence import PresenceSinks
from realtime_ui.states.sinks import StateSinks
from realtime_ui.states.strangers import StrangerStates
from realtime_ui.states.tokens import keep_tokens

BUILT = Path(constants.Dirs.WEB) / constants.Dirs.STATIC
"""The folder of the built pages."""


def install(app: rx.App, *, routes: Sequence[Route] = ()) -> rx.App:
    """Give an app the API, the `/feed` namespace, the guard, the sign-in pages and the connection banner.

    Args:
        app: made by `rx.App(…)`; its `api_transformer` is taken.
        routes: which channels the app's own event types go to, beside the default routes.

    Returns:
        the same app.

    Raises:
        ValueError: one of the routes could never take an event.
    """
    Routes(routes)  # a wrong one ends the start, and not the first emit
    settings = load_settings()
    assert app.sio is not None
    server = app.sio
    # The guard checks every origin, this socket's included, and knows the request's own host as well.
    server.eio.cors_allowed_origins = "*"
    server.eio.max_http_buffer_size = MAX_FRAME_BYTES

    _trace_where_asked()
    strangers = StrangerStates(app)
    keep_tokens(app, settings.secret_key, strangers.left)
    log_errors(app)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        configure_logging(settings.log_format, settings.log_level)
        log_loop_errors(asyncio.get_running_loop())
        sinks, presence = StateSinks(app), PresenceSinks(app)
        async with Runtime(settings, server, sinks, routes=routes, sink_for_presence=presence), strangers:
            yield

    app.register_lifespan_task(lifespan)
    app.api_transformer = [beside, _with_former_assets, _door, _guard]
    app.head_components.append(missing_assets_script())
    _add_plugin(get_config())
    app.extra_app_wraps = {**app.extra_app_wraps, (5, "Overlay"): lambda stateful: rx.fragment(connection_banner())}
    return app


def _add_plugin(config: rx.Config) -> None:
    """Have built pages ask our script what to do about a missing module; once, however often the app is loaded."""
    if not any(isinstance(plugin, MissingModules) for plugin in config.plugins):
        config.plugins.append(MissingModules())


def _trace_where_asked() -> None:
    """Turn OpenTelemetry on where its own variables name an exporter; nothing of it is loaded otherwise."""
    if not any(os.environ.get(name) for name in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")):
        return
    with needs("otel", "OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER"):
        from reflex_otel import ReflexInstrumentor

    os.environ.setdefault("OTEL_SERVICE_NAME", "realtime-ui")
    os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")  # the exporter that we bring
    ReflexInstrumentor().instrument()


def _with_former_assets(inner: ASGIApp) -> ASGIApp:
    if not in_production():
        return inner
    return FormerAssets(inner, BUILT / "assets", load_settings().former_assets_dir)


def _door(inner: ASGIApp) -> ASGIApp:
    settings = load_settings()
    limits = SocketLimits(per_person=settings.sockets_per_person, per_address=settings.sockets_per_address)
    return SocketDoor(inner, lambda token: current().gate.by_token(token), limits)


def _guard(inner: ASGIApp) -> ASGIApp:
    settings = load_settings()
    return Guard(
        inner,
        site=Site((settings.url, *settings.allowed_origins), settings.allowed_hosts),
        max_body_bytes=settings.max_body_bytes,
        pages=BUILT if in_production() else None,
        secure=settings.secure_cookies,
    )
