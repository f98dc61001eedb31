"""What is revoked ends on every worker: two of them on one database, with clocks moved by hand."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from socketio import AsyncServer
from sqlalchemy.exc import IntegrityError

from realtime_ui.access.accounts import Accounts
from realtime_ui.access.revocations import INTERVAL_S, WINDOW_S, Revocations
from realtime_ui.core.errors import Conflict, DatabaseUnavailable, NotAuthenticated, NotFound
from realtime_ui.core.principals import Person, Role, Scope
from realtime_ui.persistence.access_changes import AccessChangeRepository
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.persistence.database import Database
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.clock import ManualClock
from tests.conftest import no_sink
from tests.people import PASSWORD, have_person, tenants

ADA, MAX = "ada@northwind.test", "max@northwind.test"
EFFECTIVE_S = 5.0


@dataclass
class Worker:
    """A worker with its clock, and what its sockets and streams were told to check."""

    runtime: Runtime
    clock: ManualClock

    async def person(self, token: str) -> Person | None:
        """Who a token belongs to here."""
        return await self.runtime.gate.by_token(token)


@pytest.fixture
async def pair(settings: Settings) -> AsyncIterator[list[Worker]]:
    """Two workers; Ada is an admin, Max a member."""
    clocks = ManualClock(), ManualClock()
    first, second = (Runtime(settings, AsyncServer(async_mode="asgi"), no_sink, clock=clock) for clock in clocks)
    async with first, second:
        await have_person(first.database, "Northwind", ADA, "Ada", Role.ADMIN)
        await have_person(first.database, "Northwind", MAX, "Max", Role.MEMBER)
        yield [Worker(first, clocks[0]), Worker(second, clocks[1])]


@pytest.fixture
async def accounts(database: Database) -> Accounts:
    """The command line's view of the same database."""
    return Accounts(AccountRepository(database))


async def effective(pair: list[Worker], condition: Callable[[Worker], Awaitable[bool]]) -> None:
    """Let less time pass than a cached answer lives, and see that the revocation holds then."""
    assert INTERVAL_S < EFFECTIVE_S
    for worker in pair:
        await worker.clock.advance(INTERVAL_S)
        async with asyncio.timeout(60):
            while not await condition(worker):
                await asyncio.sleep(0.01)


def unknown(*tokens: str) -> Callable[[Worker], Awaitable[bool]]:
    """The condition that these tokens are nobody's."""

    async def holds(worker: Worker) -> bool:
        return not any([await worker.person(token) for token in tokens])

    return holds


async def test_a_removed_persons_sessions_are_forgotten_everywhere(pair: list[Worker], accounts: Accounts) -> None:
    """Although every worker had just asked."""
    token = await pair[0].runtime.gate.sign_in(MAX, PASSWORD, "tests")
    other = await pair[0].runtime.gate.sign_in(ADA, PASSWORD, "tests")
    for worker in pair:
        assert (await worker.person(token)) is not None
    await accounts.remove_person(MAX)
    await effective(pair, unknown(token))
    for worker in pair:
        assert (await worker.person(other)) is not None
    with pytest.raises(NotAuthenticated):
        await pair[1].runtime.gate.sign_in(MAX, PASSWORD, "tests")


async def test_another_password_ends_all_sessions_of_that_person(pair: list[Worker], accounts: Accounts) -> None:
    """The old one opens none again."""
    gate = pair[0].runtime.gate
    tokens = [await gate.sign_in(MAX, PASSWORD, "tests") for _ in range(2)]
    for worker in pair:
        assert all([await worker.person(token) for token in tokens])
    await accounts.set_password(MAX, "another long password")
    await effective(pair, unknown(*tokens))
    with pytest.raises(NotAuthenticated):
        await gate.sign_in(MAX, PASSWORD, "tests")
    assert await gate.sign_in(MAX, "another long password", "tests")


async def test_one_session_ends_by_its_id_and_the_others_stay(pair: list[Worker], accounts: Accounts) -> None:
    """As `sessions list` shows it."""
    tokens = [await pair[0].runtime.gate.sign_in(MAX, PASSWORD, "tests") for _ in range(2)]
    found = [await worker.person(token) for worker in pair for token in tokens]
    assert found[0] is not None
    assert await accounts.end_sessions(str(found[0].session_id)) == 1
    await effective(pair, unknown(tokens[0]))
    for worker in pair:
        assert await worker.person(tokens[1])
    with pytest.raises(NotFound):
        await accounts.end_sessions(str(found[0].session_id))


async def test_a_revoked_key_is_refused_everywhere(pair: list[Worker], accounts: Accounts) -> None:
    """By its name, and once only."""
    [(tenant, _)] = await tenants(pair[0].runtime.database)
    secret = await pair[0].runtime.gate.add_key(tenant, "billing-bot", frozenset({Scope.EMIT}))
    for worker in pair:
        assert await worker.runtime.gate.by_headers(f"Bearer {secret}", None)
    await accounts.revoke_key("billing-bot")

    async def refused(worker: Worker) -> bool:
        try:
            await worker.runtime.gate.by_headers(f"Bearer {secret}", None)
        except NotAuthenticated:
            return True
        return False

    await effective(pair, refused)
    with pytest.raises(NotFound):
        await accounts.revoke_key("billing-bot")


async def test_what_changes_in_sql_by_hand_counts_too(pair: list[Worker], database: Database) -> None:
    """Triggers record it: a role, and a session's end."""
    token = await pair[0].runtime.gate.sign_in(ADA, PASSWORD, "tests")
    for worker in pair:
        person = await worker.person(token)
        assert person is not None
        assert person.role is Role.ADMIN
    async with database.single() as connection:
        await connection.execute(sa.text("UPDATE memberships SET role = 'member'"))

    async def is_member(worker: Worker) -> bool:
        person = await worker.person(token)
        return person is not None and person.role is Role.MEMBER

    await effective(pair, is_member)


async def test_checks_that_failed_are_repeated_at_the_next_poll(pair: list[Worker], accounts: Accounts) -> None:
    """The database may go away between the poll and the checks; the next regular ones are 30 s away."""
    [worker, _] = pair
    token = await worker.runtime.gate.sign_in(MAX, PASSWORD, "tests")
    person = await worker.person(token)
    assert person is not None
    checked: list[Collection[uuid.UUID] | None] = []

    async def recheck(subjects: Collection[uuid.UUID] | None) -> None:
        checked.append(subjects)
        if len(checked) == 1:
            raise DatabaseUnavailable("It is away.")

    changes = AccessChangeRepository(worker.runtime.database)
    revocations = Revocations(changes, worker.runtime.gate, (recheck,), worker.clock)
    await revocations.start()
    await worker.clock.advance(INTERVAL_S)
    checked.clear()  # of what changed before
    await accounts.end_sessions(MAX)

    async def repeated(worker: Worker) -> bool:
        await worker.clock.advance(INTERVAL_S)
        return len(checked) >= 2

    await effective([worker], repeated)
    assert [person.session_id in (each or ()) for each in checked] == [True, True]
    await revocations.stop()


async def test_after_a_long_outage_everybody_is_asked_for_again(pair: list[Worker], accounts: Accounts) -> None:
    """Since changes of that time may have left the window that is read."""
    token = await pair[0].runtime.gate.sign_in(MAX, PASSWORD, "tests")
    [worker, _] = pair
    assert await worker.person(token)
    await accounts.end_sessions(MAX)
    async with worker.runtime.database.single() as connection:
        await connection.execute(sa.text("DELETE FROM realtime_access_changes"))
    worker.clock.stand_still(WINDOW_S)
    await effective([worker], unknown(token))


async def test_changes_are_not_kept_for_ever(pair: list[Worker], database: Database) -> None:
    """A worker deletes what all have seen long ago."""
    async with database.single() as connection:
        await connection.execute(
            sa.text(
                "INSERT INTO realtime_access_changes (subject, changed_at)"
                " VALUES (gen_random_uuid(), now() - interval '2 hours')"
            )
        )
    pair[0].clock.stand_still(700)
    async with asyncio.timeout(60):
        while True:
            await pair[0].clock.advance(INTERVAL_S)
            async with database.single() as connection:
                old = await connection.execute(
                    sa.text("SELECT 1 FROM realtime_access_changes WHERE changed_at < now() - interval '1 hour'")
                )
                if not old.all():
                    break


async def test_nothing_that_exists_is_changed_silently(accounts: Accounts) -> None:
    """Neither a person's role, password or tenant, nor a tenant; a name that is mistyped makes none."""
    repository = accounts._repository
    await accounts.add_person("Northwind", ADA, "Ada", PASSWORD, Role.ADMIN, new_tenant=True)
    before = await repository.people()
    for tenant, new in (("Northwind", False), ("Contoso", True)):
        with pytest.raises(Conflict, match="nothing was changed"):
            await accounts.add_person(tenant, ADA, "Eve", "another long password", Role.MEMBER, new_tenant=new)
    with pytest.raises(Conflict, match="nothing was changed"):
        await accounts.add_person("Northwind", MAX, "Max", PASSWORD, Role.MEMBER, new_tenant=True)
    with pytest.raises(NotFound):
        await accounts.add_person("Nortwhind", MAX, "Max", PASSWORD, Role.MEMBER)
    assert await repository.people() == before
    assert [each.name for each in await repository.tenants()] == ["Northwind"]


async def test_a_tenant_comes_with_its_first_person_or_not_at_all(accounts: Accounts) -> None:
    """Where the person cannot be stored, such as for two at the same time, no empty tenant stays."""
    repository = accounts._repository
    await accounts.add_person("Northwind", ADA, "Ada", PASSWORD, Role.ADMIN, new_tenant=True)
    with pytest.raises(IntegrityError):
        await repository.add_person("Contoso", ADA, "Ada", "hash", Role.ADMIN)
    assert [each.name for each in await repository.tenants()] == ["Northwind"]


async def test_a_tenant_with_members_keeps_an_admin(accounts: Accounts) -> None:
    """Its last one is neither removed nor made a member."""
    await accounts.add_person("Northwind", ADA, "Ada", PASSWORD, Role.ADMIN, new_tenant=True)
    await accounts.add_person("Northwind", MAX, "Max", PASSWORD, Role.MEMBER)
    for change in (accounts.remove_person(ADA), accounts.set_role(ADA, Role.MEMBER)):
        with pytest.raises(Conflict, match="last admin"):
            await change
    await accounts.set_role(MAX, Role.ADMIN)
    await accounts.remove_person(ADA)
    assert [each.email for each in await accounts._repository.people()] == [MAX]
