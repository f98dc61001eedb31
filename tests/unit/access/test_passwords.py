"""Passwords."""

import pytest

from realtime_ui.access.passwords import check_strength, hash_password, verify_password
from realtime_ui.core.errors import InvalidRequest


async def test_only_the_right_password_fits_its_hash() -> None:
    """And the hash tells nothing of it."""
    stored = await hash_password("correct horse")
    assert "correct" not in stored
    assert await verify_password(stored, "correct horse")
    assert not await verify_password(stored, "wrong horse")


async def test_nobody_signs_in_without_a_hash() -> None:
    """Not even with the password behind the stand-in that makes both cases take equally long."""
    assert not await verify_password(None, "nobody has this password")


@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_a_password_is_neither_short_nor_endless(password: str) -> None:
    """Both are refused, naming the field."""
    with pytest.raises(InvalidRequest) as caught:
        check_strength(password)
    assert caught.value.field == "password"
