"""Providers by name."""

from importlib.metadata import EntryPoint

import pytest

from realtime_ui.providers import factory
from realtime_ui.providers.base import RealtimeProvider
from realtime_ui.providers.factory import ENTRY_POINT_GROUP, create_realtime_client
from realtime_ui.providers.memory import MemoryProvider
from realtime_ui.providers.pusher import PusherProvider
from realtime_ui.settings import Settings


@pytest.mark.parametrize("name", ["memory", "mock"])
def test_the_memory_provider_has_two_names(name: str) -> None:
    """`mock` is what the specification calls it."""
    assert isinstance(create_realtime_client(name, Settings()), MemoryProvider)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """So that the start can end with one clear sentence."""
    with pytest.raises(ValueError, match=r"'carrier-pigeon'.*memory, mock, pusher, redis"):
        create_realtime_client("carrier-pigeon", Settings())


def test_ably_needs_a_key_and_takes_an_address() -> None:
    """What is missing or malformed is named in one sentence, without the secret."""
    assert create_realtime_client("ably", Settings(ably_api_key="app.key:secret", ably_endpoint="h:1/")).name == "ably"
    for wrong in ("", "secret", "app:secret"):
        with pytest.raises(ValueError, match="ABLY_API_KEY is missing or not of the form") as caught:
            create_realtime_client("ably", Settings(ably_api_key=wrong))
        assert "secret;" not in str(caught.value)
    with pytest.raises(ValueError, match="ABLY_ENDPOINT is 'http://h'"):
        create_realtime_client("ably", Settings(ably_api_key="app.key:secret", ably_endpoint="http://h"))


def pigeon(settings: Settings) -> RealtimeProvider:
    """A third party's provider."""
    return MemoryProvider()


def test_a_package_can_bring_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the entry-point group."""
    point = EntryPoint("carrier-pigeon", f"{__name__}:pigeon", ENTRY_POINT_GROUP)
    monkeypatch.setattr(factory, "entry_points", lambda group: [point] if group == ENTRY_POINT_GROUP else [])
    assert isinstance(create_realtime_client("carrier-pigeon", Settings()), MemoryProvider)


def test_a_provider_says_which_of_its_settings_is_missing() -> None:
    """So that the start can end with that, too."""
    with pytest.raises(ValueError, match="REDIS_URL is not set"):
        create_realtime_client("redis", Settings(redis_url="", _env_file=None))


PUSHER = {"pusher_app_id": "1", "pusher_key": "k", "pusher_secret": "s", "pusher_cluster": "eu"}


def test_a_whole_set_of_pusher_settings_is_taken() -> None:
    """With a cluster, or another server in its place."""
    assert create_realtime_client("pusher", Settings.model_validate(PUSHER)).name == "pusher"
    elsewhere = {**PUSHER, "pusher_cluster": "", "pusher_host": "127.0.0.1:6001"}
    assert create_realtime_client("pusher", Settings.model_validate(elsewhere)).name == "pusher"


def test_pusher_itself_is_never_asked_in_the_clear() -> None:
    """PUSHER_TLS is about another server."""
    provider = PusherProvider.from_settings(Settings.model_validate({**PUSHER, "pusher_tls": False}))
    assert provider._line._url.startswith("wss://ws-eu.pusher.com/app/k?")
    assert provider._api._url == "https://api-eu.pusher.com"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pusher_app_id": ""}, "PUSHER_APP_ID is not set"),
        ({"pusher_app_id": "one"}, "PUSHER_APP_ID is not a number"),
        ({"pusher_key": ""}, "PUSHER_KEY is not set"),
        ({"pusher_key": "k/?x"}, "PUSHER_KEY is not made of"),
        ({"pusher_secret": ""}, "PUSHER_SECRET is not set"),
        ({"pusher_cluster": ""}, "PUSHER_CLUSTER is not set"),
        ({"pusher_cluster": "eu/x"}, "PUSHER_CLUSTER is not a cluster"),
        ({"pusher_host": "http://h"}, "PUSHER_HOST is not HOST"),
    ],
)
def test_what_is_missing_or_wrong_of_pusher_is_named(change: dict[str, str], sentence: str) -> None:
    """In one sentence, without the secret."""
    with pytest.raises(ValueError, match=sentence):
        create_realtime_client("pusher", Settings.model_validate({**PUSHER, **change}))
