"""Finds out who is asking: from a cookie's token, an API key, or a name and password.

A token's answer is remembered for a few seconds, so a tab's events do not each cost a query; signing out
forgets it at once in this worker, and `revocations.py` about a second after it changed anywhere. While the
database is away the last answer stands for some minutes more, so that open pages stay and metrics can be read;
whatever needs the database fails by itself.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Awaitable, Callable, Collection

from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.networks import network_of
from realtime_ui.access.passwords import check_strength, hash_password, needs_rehash, verify_password
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import Conflict, DatabaseUnavailable, InvalidRequest, NotAllowed, NotAuthenticated
from realtime_ui.core.names import checked_name, is_plain
from realtime_ui.core.principals import ApiKey, Person, Principal, Scope
from realtime_ui.persistence.people import PeopleRepository

COOKIE = "realtime_session"
SCOPE_TOKEN = "realtime_ui.session_token"  # noqa: S105  (a name, no secret)
"""Where a WebSocket's ASGI scope holds the token: taken out of its headers, which Reflex shows to the browser."""
KEY_PREFIX = "rk_"
CACHE_S = 5.0
AWAY_S = 600.0
CACHE_SIZE = 10_000


class Gate:
    """Sign-in, sign-out, keys, and the answer to 'who is this?'.

    Args:
        people: the repository.
        clock: tells the time.
        sign_in_days: how long a session lasts.
        setup_code: what the terminal printed while no person exists; "" closes the set-up.
    """

    def __init__(self, people: PeopleRepository, clock: Clock, *, sign_in_days: int, setup_code: str) -> None:
        self._people = people
        self._clock = clock
        self._days = sign_in_days
        self._setup_code = setup_code
        self._known: dict[str, tuple[float, Principal | None]] = {}
        self._forgotten = 0
        # 10 wrong tries at once, then one every 6 s, for an account from one network: guessing from elsewhere does
        # not lock its owner out. A network may try 100 times, then once a second, at all accounts together.
        self._tries = RateLimiter(rate=1 / 6, burst=10, clock=clock)
        self._network_tries = RateLimiter(rate=1, burst=100, clock=clock)

    async def by_token(self, token: str | None) -> Person | None:
        """Who a session's token belongs to, or None."""
        found = await self._lookup(token) if token else None
        return found if isinstance(found, Person) else None

    async def by_headers(self, authorization: str | None, cookie: str | None) -> Principal | None:
        """Who a request's headers belong to: the key of `Authorization: Bearer` where given, else the cookie.

        Raises:
            NotAuthenticated: a key was given and is not valid.
        """
        if authorization is None:
            return await self.by_token(session_token(cookie))
        scheme, _, secret = authorization.partition(" ")
        found = await self._lookup(secret.strip()) if scheme.lower() == "bearer" else None
        if not isinstance(found, ApiKey):
            raise NotAuthenticated(
                "The API key is not valid.",
                field="Authorization",
                remedy="Send Authorization: Bearer KEY with a key that was not revoked.",
            )
        return found

    async def by_identity(self, tenant: uuid.UUID, kind: str, identity: uuid.UUID) -> Principal | None:
        """Who a person or a key is now, for what somebody vouches for who sent it.

        Args:
            tenant: whose they are.
            kind: "person" or "key".
            identity: their id.

        Returns:
            the principal; None when there is none, or it was revoked.
        """

        async def ask() -> Principal | None:
            if kind == "key":
                return await self._people.key_by_id(tenant, identity)
            return await self._people.person_by_id(tenant, identity)

        return await self._remembered(f"{tenant}:{kind}:{identity}", ask)

    async def _lookup(self, secret: str) -> Principal | None:
        digest = hash_secret(secret)
        return await self._remembered(digest, lambda: self._ask(secret, digest))

    async def _remembered(self, name: str, ask: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        """The answer to a question, not older than `CACHE_S`; while the database is away, than `AWAY_S`."""
        now = self._clock.monotonic()
        known = self._known.get(name)
        if known is not None and known[0] > now:
            return known[1]
        forgotten = self._forgotten
        try:
            found = await ask()
        except DatabaseUnavailable:
            if known is not None and known[0] + AWAY_S > now:
                return known[1]
            raise
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        if forgotten == self._forgotten:  # else the answer may be older than the change
            self._known[name] = (now + CACHE_S, found)
        return found

    def forget(self, subjects: Collection[uuid.UUID] | None) -> None:
        """Ask the database again for these people, sessions and keys; for everybody when None."""
        self._forgotten += 1
        for digest, (_, principal) in list(self._known.items()):
            if subjects is None:
                self._known[digest] = (self._clock.monotonic(), principal)  # stands while the database is away
            elif principal is not None and not identities(principal).isdisjoint(subjects):
                del self._known[digest]

    async def _ask(self, secret: str, digest: str) -> Principal | None:
        if secret.startswith(KEY_PREFIX):
            return await self._people.key_by_hash(digest)
        return await self._people.person_by_token(digest)

    async def sign_in(self, email: str, password: str, client: str) -> str:
        """Check a password and open a session.

        Args:
            email: the person's address, in any case.
            password: as typed.
            client: the caller's network address, for the limit on tries.

        Returns:
            the token for the cookie.

        Raises:
            NotAuthenticated: the address is unknown or the password wrong; which one is not told.
            RateLimited: too many tries at this account from this network, or at all accounts from it; or more
                passwords are being checked than the server has room for.
        """
        email, network = email.strip().lower(), network_of(client)
        account = f"{network} {email}"
        self._network_tries.spend(network)
        self._tries.spend(account)
        credentials = await self._people.credentials(email) if is_plain(email) else None
        right = await verify_password(credentials.password_hash if credentials else None, password)
        if credentials is None or not right:
            raise NotAuthenticated("The address or the password is wrong.", remedy="Try again.")
        self._network_tries.give_back(network)  # only wrong ones count: a whole office may sign in from one address
        self._tries.give_back(account)
        if needs_rehash(credentials.password_hash):
            await self._people.set_password(credentials.person, await hash_password(password))
        return await self._open_session(credentials.person, credentials.tenant)

    async def sign_out(self, token: str | None) -> uuid.UUID | None:
        """End the token's session; returns its id, or None when there was none."""
        person = await self.by_token(token)
        if token is None or person is None:
            return None
        await self._people.close_session(person.session_id)
        self._known.pop(hash_secret(token), None)
        return person.session_id

    async def needs_setup(self) -> bool:
        """Whether nobody can sign in yet."""
        return bool(self._setup_code) and not await self._people.any_person()

    async def set_up(self, code: str, tenant_name: str, email: str, name: str, password: str, client: str) -> str:
        """Make the first tenant and its admin, and sign them in.

        Returns:
            the token for the cookie.

        Raises:
            NotAllowed: the code is not the terminal's.
            Conflict: somebody was set up before.
            InvalidRequest: a field is empty, too long or too weak.
        """
        self._tries.spend(network_of(client))
        if not self._setup_code or not hmac.compare_digest(code.strip().encode(), self._setup_code.encode()):
            raise NotAllowed("The code is not the one in the terminal.", field="code", remedy="Copy it from there.")
        tenant_name, email, name = (
            checked_name(tenant_name, field="tenant"),
            checked_email(email),
            checked_name(name, field="name"),
        )
        check_strength(password, email)
        person = await self._people.add_first_person(tenant_name, email, name, await hash_password(password))
        if person is None:
            raise Conflict("The set-up was done before.", remedy="Sign in.")
        credentials = await self._people.credentials(email)
        assert credentials is not None
        return await self._open_session(person, credentials.tenant)

    async def add_key(self, tenant: uuid.UUID, name: str, scopes: frozenset[Scope]) -> str:
        """Make a key; returns its secret, which is shown this once and stored as a hash."""
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        await self._people.add_key(tenant, checked_name(name, field="name"), hash_secret(secret), scopes)
        return secret

    async def _open_session(self, person: uuid.UUID, tenant: uuid.UUID) -> str:
        token = secrets.token_urlsafe(32)
        await self._people.open_session(person, tenant, hash_secret(token), days=self._days)
        return token


def identities(principal: Principal) -> set[uuid.UUID]:
    """The ids under which a principal's access can be revoked: its own, and its session's."""
    return {principal.id, principal.session_id} if isinstance(principal, Person) else {principal.id}


def hash_secret(secret: str) -> str:
    """SHA-256 in hex: enough for 256-bit random secrets, which cannot be guessed from it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def session_token(header: str | None) -> str | None:
    """The session's token in a `Cookie` header, or None; whatever other cookies stand beside it."""
    for pair in (header or "").split(";"):
        name, _, value = pair.partition("=")
        if name.strip() == COOKIE:
            return value.strip() or None
    return None


def without_session(header: str) -> str:
    """The `Cookie` header without the session's cookie."""
    pairs = (pair for pair in header.split(";") if pair.partition("=")[0].strip() != COOKIE)
    return ";".join(pairs).strip()


def checked_email(value: str) -> str:
    """An address to sign in with, in lower case.

    Raises:
        InvalidRequest: it has no @ with something on both sides.
    """
    value = checked_name(value, field="email").lower()
    local, at, host = value.partition("@")
    if not (local and at and host) or " " in value:
        raise InvalidRequest("email is not an address.", field="email", remedy="Write it like ada@example.org.")
    return value
