"""Passwords: argon2id by argon2-cffi with its defaults (RFC 9106, low-memory profile)."""

import asyncio
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from realtime_ui.core.errors import InvalidRequest

MIN_LENGTH = 10
MAX_LENGTH = 256
MIN_DIFFERENT = 4
MIN_LOCAL = 4
"""A shorter name stands in too many words."""

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
    """The argon2id hash to store; takes tens of ms, in a thread."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` is the one behind `stored`; None, as for an unknown person, never is."""
    return await asyncio.to_thread(_verify, stored, password)


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _verify(stored: str | None, password: str) -> bool:
    try:
        matches = _hasher.verify(stored or _NOBODY, password[: MAX_LENGTH + 1])
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None
