"""People and tenants, made for tests where they are missing."""

import uuid

from realtime_ui.access.accounts import Accounts
from realtime_ui.core.principals import Role
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.persistence.database import Database

PASSWORD = "a long enough password"


async def tenants(database: Database) -> list[tuple[uuid.UUID, str]]:
    """The tenants' ids and names, oldest first."""
    return [(each.id, each.name) for each in await AccountRepository(database).tenants()]


async def have_person(database: Database, tenant: str, email: str, name: str, role: Role) -> None:
    """See to it that there is such a person in such a tenant, with `PASSWORD` and that role."""
    repository = AccountRepository(database)
    accounts = Accounts(repository)
    if await repository.people(email=email):
        await accounts.set_role(email, role)
        return
    known = any(each.name == tenant for each in await repository.tenants())
    await accounts.add_person(tenant, email, name, PASSWORD, role, new_tenant=not known)
