"""Every error that Ably and its SDK know becomes one of ours."""

import re
from pathlib import Path

import ably
import httpx
import pytest
from ably import AblyException
from ably.util.exceptions import AblyAuthException, IncompatibleClientIdException
from websockets.exceptions import ConnectionClosedError, InvalidURI

from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RateLimited, RealtimeError, TooLarge
from realtime_ui.providers.ably_errors import code_of, translate

FAMILIES: dict[type[RealtimeError], tuple[int, ...]] = {
    TooLarge: (40009,),
    RateLimited: (42910, 42911, 42912, 42920, 42926, 80020),
    ProviderRefused: (
        *(
            40003,
            40005,
            40011,
            40012,
            40018,
            40019,
            40031,
            40101,
            40102,
            40103,
            40104,
            40105,
            40106,
            40150,
            40160,
            40165,
            40171,
        ),
        *(40300, 40310, 40400, 40401, 90010, 91000, 91003),
    ),
    ProviderUnavailable: (
        *(40000, 40001, 40140, 40142, 40143, 40144, 40170, 50000, 50001, 50003, 50310),
        *(80000, 80002, 80003, 80008, 80017, 80018, 80019, 90000, 90001, 90003, 90007, 91005, 12345, 0),
    ),
}


@pytest.mark.parametrize(("wanted", "code"), [(kind, code) for kind, codes in FAMILIES.items() for code in codes])
def test_every_code_has_a_meaning(wanted: type[RealtimeError], code: int) -> None:
    """The code is told, the original is the cause, and only what can succeed later is retryable."""
    error = AblyException("that was wrong", 400, code)
    found = translate(error, "Publishing")
    assert type(found) is wanted
    assert found.__cause__ is error
    assert found.retryable is (wanted in (ProviderUnavailable, RateLimited))
    assert str(code or 400) in found.detail
    assert found.detail.startswith("Publishing failed")


def test_no_code_of_the_sdk_is_forgotten() -> None:
    """Each that stands in its source is in the table above: a later version may bring others."""
    sources = [file.read_text() for file in Path(ably.__file__).parent.rglob("*.py")]
    known = {int(code) for text in sources for code in re.findall(r"(?<![\d.])([4589]\d{4})(?!\d)", text)}
    assert len(known) > 20
    assert known <= {code for codes in FAMILIES.values() for code in codes}


@pytest.mark.parametrize("swapped", [AblyException("m", 40160, 401), AblyException("m", 80000, 500)])
def test_a_status_in_the_codes_place_is_seen_through(swapped: AblyException) -> None:
    """The SDK mixes them up in some of its own errors."""
    assert code_of(swapped) in (40160, 80000)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        OSError(111, "Connection refused"),
        ConnectionClosedError(None, None),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        TypeError("exceptions must derive from BaseException"),
        KeyError("channel"),
        None,
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_error_of_ablys_may_pass(error: Exception | None) -> None:
    """The network, the clock, the SDK's own slips, and no reason at all."""
    found = translate(error, "Connecting")
    assert type(found) is ProviderUnavailable
    assert found.__cause__ is error


@pytest.mark.parametrize("kind", [AblyException, AblyAuthException, IncompatibleClientIdException])
def test_every_exception_of_the_sdk_is_read_by_its_code(kind: type[AblyException]) -> None:
    """Whichever class it chose."""
    assert type(translate(kind("m", 401, 40101), "Connecting")) is ProviderRefused


def test_no_secret_is_told() -> None:
    """The SDK and websockets put the whole address into some of their errors."""
    address = "ws://h?key=app.key:topsecret&accessToken=topsecret&v=5"
    for error in (AblyException(f"Error opening {address}", 400, 40000), InvalidURI(address, "no")):
        assert "topsecret" not in translate(error, "Connecting").detail


def test_one_of_ours_stays_what_it_is() -> None:
    """It was translated before."""
    error = TooLarge("large")
    assert translate(error, "Publishing") is error
