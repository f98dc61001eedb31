"""Looking something up while the database comes and goes."""

import pytest

from realtime_ui.core.errors import DatabaseUnavailable, NotAllowed
from realtime_ui.states import patience


async def test_it_asks_again_until_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives what was found then."""
    monkeypatch.setattr(patience, "RETRY_MIN_S", 0.01)
    tries = 0

    async def look_up() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DatabaseUnavailable("away")
        return "found"

    assert await patience.patiently(look_up) == "found"
    assert tries == 3


async def test_a_refusal_is_not_asked_again() -> None:
    """It is the answer."""

    async def look_up() -> str:
        raise NotAllowed("no")

    with pytest.raises(NotAllowed):
        await patience.patiently(look_up)
