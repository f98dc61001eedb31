"""Passwords."""

import asyncio
import threading

import pytest

from realtime_ui.access.passwords import (
    HASHING_THREADS,
    MAX_WAITING,
    check_strength,
    hash_password,
    verify_password,
)
from realtime_ui.core.errors import InvalidRequest, RateLimited


async def test_only_the_right_password_fits_its_hash() -> None:
    """And the hash tells nothing of it."""
    stored = await hash_password("correct horse")
    assert "correct" not in stored
    assert await verify_password(stored, "correct horse")
    assert not await verify_password(stored, "wrong horse")


async def test_nobody_signs_in_without_a_hash() -> None:
    """Not even with the password behind the stand-in that makes both cases take equally long."""
    assert not await verify_password(None, "nobody has this password")


@pytest.mark.parametrize(
    "password",
    [
        *("short", "x" * 257),
        *("aaaaaaaaaaaa", "abababababab", "Aaaaaaaaaaaa", "1234567890", "0123456789", "9876543210", "abcdefghijkl"),
        *("grace.hopper1", "my GRACE.HOPPER password"),
    ],
)
def test_a_password_is_neither_short_nor_endless_nor_the_first_that_one_tries(password: str) -> None:
    """All are refused, naming the field."""
    with pytest.raises(InvalidRequest) as caught:
        check_strength(password, "Grace.Hopper@navy.test")
    assert caught.value.field == "password"


@pytest.mark.parametrize("password", ["correct horse", "canada dry 99", "1029384756"])
def test_other_passwords_are_taken(password: str) -> None:
    """A short name before the @ may stand in them, as it does in many words."""
    check_strength(password, "ada@northwind.test")


async def test_the_number_of_passwords_under_way_is_bounded() -> None:
    """Those beyond it are told when to come again, at once; room is made by those that are done."""
    most = HASHING_THREADS + MAX_WAITING
    tasks = [asyncio.create_task(verify_password(None, "wrong horse")) for _ in range(most)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as caught:
        await verify_password(None, "wrong horse")
    assert caught.value.retry_after_s > 0
    assert await asyncio.gather(*tasks) == [False] * most
    assert not await verify_password(None, "wrong horse")


async def test_passwords_hold_up_no_other_thread() -> None:
    """They have threads of their own."""
    tasks = [asyncio.create_task(verify_password(None, "wrong horse")) for _ in range(HASHING_THREADS + MAX_WAITING)]
    await asyncio.sleep(0)
    assert "password" not in await asyncio.to_thread(lambda: threading.current_thread().name)
    assert not all(task.done() for task in tasks)
    await asyncio.gather(*tasks)
