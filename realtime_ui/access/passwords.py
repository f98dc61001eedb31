"""Passwords: argon2id by argon2-cffi with its defaults (RFC 9106, low-memory profile).

Each takes tens of ms of a core and 64 MiB, so they have threads of their own, few of them, and a bounded queue.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from realtime_ui.core.errors import InvalidRequest, RateLimited

MIN_LENGTH = 10
MAX_LENGTH = 256
MIN_DIFFERENT = 4
MIN_LOCAL = 4
"""Shorter names are part of too many words to be refused."""

HASHING_THREADS = 2
MAX_WAITING = 32
"""How many passwords may wait for a thread; as many take about a second."""
BUSY_RETRY_S = 2.0

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="password")
_under_way = 0
_hasher = PasswordHasher()
# Checked against when nobody has the address, so that an unknown one takes as long as a wrong password.
_NOBODY = _hasher.hash("nobody has this password")


def check_strength(password: str, email: str) -> None:
    """Refuse a password that is too short, too long, or the first that somebody would try.

    Args:
        password: as typed.
        email: whose it is; its part before the @ may not stand in the password.

    Raises:
        InvalidRequest: it has fewer than 10 or more than 256 characters, few different ones, counts up or down, or
            holds the address's own name.
    """
    lowered, local = password.lower(), email.partition("@")[0].lower()
    steps = {(ord(after) - ord(before)) % 10 for before, after in pairwise(lowered)}
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        what = f"The password has {len(password)} characters."
    elif len(set(lowered)) < MIN_DIFFERENT or len(steps) == 1:
        what = "The password repeats a few characters, or counts."
    elif len(local) >= MIN_LOCAL and local in lowered:
        what = "The password holds the name in the email address."
    else:
        return
    raise InvalidRequest(
        what, field="password", remedy=f"Use {MIN_LENGTH} to {MAX_LENGTH} characters that nobody would try first."
    )


async def hash_password(password: str) -> str:
    """The argon2id hash to store.

    Raises:
        RateLimited: too many passwords are being hashed.
    """
    return await _in_thread(_hasher.hash, password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` is the one behind `stored`; None, as for an unknown person, never is.

    Raises:
        RateLimited: too many passwords are being checked.
    """
    return await _in_thread(_verify, stored, password)


async def _in_thread(work: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
    global _under_way
    if _under_way >= HASHING_THREADS + MAX_WAITING:
        raise RateLimited("Too many people sign in at this moment.", retry_after_s=BUSY_RETRY_S)
    _under_way += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)
    finally:
        _under_way -= 1


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _verify(stored: str | None, password: str) -> bool:
    try:
        matches = _hasher.verify(stored or _NOBODY, password[: MAX_LENGTH + 1])
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None
