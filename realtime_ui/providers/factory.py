"""Makes a provider by name: the built-in ones, and others that packages bring through an entry point."""

from collections.abc import Callable
from importlib.metadata import entry_points

from realtime_ui.extras import needs
from realtime_ui.providers.base import RealtimeProvider
from realtime_ui.providers.memory import MemoryProvider
from realtime_ui.settings import Settings

ENTRY_POINT_GROUP = "realtime_ui.providers"

ProviderFactory = Callable[[Settings], RealtimeProvider]


def _ably(settings: Settings) -> RealtimeProvider:
    with needs("ably", "REALTIME_PROVIDER=ably"):
        from realtime_ui.providers.ably import AblyProvider  # only who uses it loads the SDK

    return AblyProvider.from_settings(settings)


def _pusher(settings: Settings) -> RealtimeProvider:
    with needs("pusher", "REALTIME_PROVIDER=pusher"):
        from realtime_ui.providers.pusher import PusherProvider

    return PusherProvider.from_settings(settings)


def _redis(settings: Settings) -> RealtimeProvider:
    with needs("redis", "REALTIME_PROVIDER=redis"):
        from realtime_ui.providers.redis import RedisProvider

    return RedisProvider(settings.redis_url)


_BUILT_IN: dict[str, ProviderFactory] = {
    "ably": _ably,
    "memory": lambda settings: MemoryProvider(),
    "mock": lambda settings: MemoryProvider(),
    "pusher": _pusher,
    "redis": _redis,
}


def create_realtime_client(name: str, settings: Settings) -> RealtimeProvider:
    """Make the provider called `name`, not yet connected.

    Args:
        name: a built-in name or that of an entry point in the group `realtime_ui.providers`, whose
            object takes the Settings and returns a `RealtimeProvider`.
        settings: handed to it.

    Raises:
        ValueError: no provider has that name, and the message lists those that exist; or one of its settings is
            missing or malformed, and the message names it.
        MissingExtra: its SDK is not installed.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name](settings)
    installed = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in installed:
        factory: ProviderFactory = installed[name].load()
        return factory(settings)
    known = ", ".join(sorted({*_BUILT_IN, *installed}))
    raise ValueError(f"REALTIME_PROVIDER is {name!r}, which is no provider here; the known ones are {known}.")
