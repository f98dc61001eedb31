"""Administration of people, keys and sessions, with its rules: nothing that exists is changed silently."""

import uuid

from realtime_ui.access.gate import checked_email
from realtime_ui.access.passwords import check_strength, hash_password
from realtime_ui.core.errors import Conflict, NotFound
from realtime_ui.core.names import checked_name
from realtime_ui.core.principals import Role
from realtime_ui.persistence.accounts import AccountRepository, KeyEntry, PersonEntry


class Accounts:
    """What the command line does to accounts; effective on every worker within seconds (`revocations.py`).

    Args:
        repository: where they are stored.
    """

    def __init__(self, repository: AccountRepository) -> None:
        self._repository = repository

    async def tenant(self, name: str) -> uuid.UUID:
        """The id of the tenant of that name, the oldest where several have it.

        Raises:
            NotFound: there is none.
        """
        tenants = await self._repository.tenants()
        for each in tenants:
            if each.name == name:
                return each.id
        raise NotFound(
            f"There is no organization {name!r}.",
            field="tenant",
            remedy="`tenants list` shows those that exist; `users add --new-tenant NAME` makes one.",
        )

    async def add_person(
        self, tenant: str, email: str, name: str, password: str, role: Role, *, new_tenant: bool = False
    ) -> uuid.UUID:
        """Add a person who is new to a tenant that exists, or, with `new_tenant`, to one that does not.

        Raises:
            InvalidRequest: a field is empty, too long or too weak.
            Conflict: somebody has that address, or the tenant is not new.
            NotFound: there is no such tenant.
        """
        tenant, email, name = (
            checked_name(tenant, field="tenant"),
            checked_email(email),
            checked_name(name, field="name"),
        )
        check_strength(password, email)
        if known := await self._repository.people(email=email):
            [first, *_] = known
            raise Conflict(
                f"{email} is {first.role.value} of {first.tenant_name!r} already; nothing was changed.",
                field="email",
                remedy="Use `users role` or `users passwd` to change them, or `users remove` first.",
            )
        if not new_tenant:
            place: uuid.UUID | str = await self.tenant(tenant)
        elif any(each.name == tenant for each in await self._repository.tenants()):
            raise Conflict(
                f"There is an organization {tenant!r} already; nothing was changed.",
                field="tenant",
                remedy="Use --tenant to add somebody to it.",
            )
        else:
            place = tenant
        return await self._repository.add_person(place, email, name, await hash_password(password), role)

    async def set_role(self, email: str, role: Role, *, tenant: str = "") -> PersonEntry:
        """Change what somebody is in their tenant; returns the entry as it was.

        Raises:
            NotFound, Conflict: as `person`; or they are their tenant's last admin.
        """
        person = await self.person(email, tenant=tenant)
        if role is not Role.ADMIN:
            await self._refuse_last_admin(person)
        await self._repository.set_role(person, role)
        return person

    async def remove_person(self, email: str, *, tenant: str = "") -> PersonEntry:
        """Take somebody out of their tenant, and end their sessions there; returns the entry as it was.

        Raises:
            NotFound, Conflict: as `person`; or they are their tenant's last admin.
        """
        person = await self.person(email, tenant=tenant)
        await self._refuse_last_admin(person)
        await self._repository.remove(person)
        return person

    async def set_password(self, email: str, password: str) -> None:
        """Replace somebody's password, and end all their sessions.

        Raises:
            NotFound: nobody has that address.
            InvalidRequest: the password is too weak.
        """
        check_strength(password, email)
        [person, *_] = await self._people(email)
        await self._repository.set_password(person.id, await hash_password(password))

    async def end_sessions(self, email_or_id: str) -> int:
        """End all sessions of a person, or the one with an id; returns how many there were.

        Raises:
            NotFound: there is no such person or session.
        """
        if "@" in email_or_id:
            [person, *_] = await self._people(email_or_id)
            return await self._repository.end_sessions(person.id)
        try:
            found = await self._repository.end_session(uuid.UUID(email_or_id))
        except ValueError:
            found = False
        if not found:
            raise NotFound(f"There is no session {email_or_id!r}.", remedy="`sessions list` shows those that last.")
        return 1

    async def revoke_key(self, name_or_id: str, *, tenant: str = "") -> KeyEntry:
        """Make a key invalid for good; returns its entry.

        Raises:
            NotFound: no valid key has that name or id.
            Conflict: several have that name.
        """
        valid = [each for each in await self._repository.keys(tenant=tenant) if each.revoked_at is None]
        found = [each for each in valid if name_or_id in (str(each.id), each.name)]
        if not found:
            raise NotFound(f"There is no valid key {name_or_id!r}.", remedy="`keys list` shows those that exist.")
        if len(found) > 1:
            raise Conflict(
                f"{len(found)} valid keys are called {name_or_id!r}.",
                remedy="Give one's id: " + ", ".join(f"{each.id} ({each.tenant_name})" for each in found[:10]) + ".",
            )
        await self._repository.revoke_key(found[0].id)
        return found[0]

    async def person(self, email: str, *, tenant: str = "") -> PersonEntry:
        """The entry of a person in their tenant.

        Raises:
            NotFound: nobody has that address, or not in that tenant.
            Conflict: they are in several tenants and none was named.
        """
        found = await self._people(email, tenant=tenant)
        if len(found) > 1:
            names = ", ".join(each.tenant_name for each in found)
            raise Conflict(f"{found[0].email} is in several organizations: {names}.", remedy="Name one with --tenant.")
        return found[0]

    async def _people(self, email: str, *, tenant: str = "") -> list[PersonEntry]:
        found = await self._repository.people(email=email.strip().lower(), tenant=tenant)
        if not found:
            where = f" in {tenant!r}" if tenant else ""
            raise NotFound(f"Nobody has the address {email!r}{where}.", remedy="`users list` shows who exists.")
        return found

    async def _refuse_last_admin(self, person: PersonEntry) -> None:
        everybody = await self._repository.people(tenant=person.tenant_name)
        admins = [each for each in everybody if each.role is Role.ADMIN and each.tenant == person.tenant]
        if [each.id for each in admins] == [person.id] and len(everybody) > 1:
            raise Conflict(
                f"{person.email} is the last admin of {person.tenant_name!r}.",
                remedy="Make somebody else an admin first: `users role EMAIL admin`.",
            )
