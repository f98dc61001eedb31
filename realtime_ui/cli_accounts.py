"""The commands `tenants`, `users`, `keys` and `sessions`: accounts, listed and changed in the database.

What they revoke ends on every worker within seconds, open pages and streams included.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from realtime_ui.access.accounts import Accounts
from realtime_ui.access.gate import Gate
from realtime_ui.cli_tools import fail, settings, with_database
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.principals import TENANT_SCOPES, Role, Scope
from realtime_ui.persistence.accounts import AccountRepository
from realtime_ui.persistence.people import PeopleRepository

tenants = typer.Typer(no_args_is_help=True, help="Organizations.")
users = typer.Typer(no_args_is_help=True, help="People who sign in.")
keys = typer.Typer(no_args_is_help=True, help="API keys of programs.")
sessions = typer.Typer(no_args_is_help=True, help="Browsers that are signed in.")
ACCOUNT_COMMANDS = {"tenants": tenants, "users": users, "keys": keys, "sessions": sessions}

Tenant = Annotated[str, typer.Option(help="The organization's name.")]
Password = Annotated[
    str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="REALTIME_PASSWORD")
]


@tenants.command("list")
def list_tenants() -> None:
    """Show each organization, with its people and valid keys; the one whose admins operate the server is marked."""
    found = _with_repository(lambda repository: repository.tenants())
    wanted = settings().operator_tenant
    operator = next((each.id for each in found if wanted in ("", each.name)), None)
    _table(
        ("NAME", "PEOPLE", "KEYS", "CREATED", "OPERATES"),
        [
            (each.name, each.people, each.keys, _day(each.created_at), "yes" if each.id == operator else "")
            for each in found
        ],
    )


@users.command("add")
def add_user(
    email: str,
    tenant: Annotated[str, typer.Option(help="The organization's name, which exists.")] = "",
    new_tenant: Annotated[str, typer.Option(help="The name of a new organization, in place of --tenant.")] = "",
    name: Annotated[str, typer.Option(help="The person's name; the address's first part when empty.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="An admin in place of a member.")] = False,
    password: Password = "",
) -> None:
    """Add a person who is new. Who exists is never changed: see `users role` and `users passwd`."""
    if bool(tenant) == bool(new_tenant):
        fail("Name the organization, with --tenant where it exists, or with --new-tenant to make one.")
    role = Role.ADMIN if admin else Role.MEMBER
    where, person = tenant or new_tenant, name or email.partition("@")[0]
    _with_accounts(
        lambda accounts: accounts.add_person(where, email, person, password, role, new_tenant=bool(new_tenant))
    )
    typer.echo(f"{email} is {_a(role)} of {where}.")


@users.command("list")
def list_users(tenant: Tenant = "") -> None:
    """Show everybody, or the people of one organization."""
    found = _with_repository(lambda repository: repository.people(tenant=tenant))
    _table(
        ("EMAIL", "NAME", "ROLE", "ORGANIZATION", "SINCE"),
        [(each.email, each.name, each.role.value, each.tenant_name, _day(each.since)) for each in found],
    )


@users.command("role")
def set_role(email: str, role: Role, tenant: Tenant = "") -> None:
    """Make somebody an admin, or a member again; pages that they have open reload."""
    before = _with_accounts(lambda accounts: accounts.set_role(email, role, tenant=tenant))
    typer.echo(f"{before.email} was {_a(before.role)} of {before.tenant_name} and is {_a(role)} now.")


@users.command("passwd")
def set_password(email: str, password: Password = "") -> None:
    """Give somebody another password, and end all their sessions."""
    _with_accounts(lambda accounts: accounts.set_password(email, password))
    typer.echo(f"{email} has another password and is signed out everywhere.")


@users.command("remove")
def remove_user(email: str, tenant: Tenant = "") -> None:
    """Remove somebody from their organization, and end their sessions. What they wrote stays."""
    person = _with_accounts(lambda accounts: accounts.remove_person(email, tenant=tenant))
    typer.echo(f"{person.email} is removed from {person.tenant_name} and signed out everywhere.")


@keys.command("add")
def add_key(
    name: str,
    tenant: Annotated[str, typer.Option(help="Whose key; not needed while there is one organization.")] = "",
    scope: Annotated[list[Scope] | None, typer.Option(help="What it is for; emit and read when not given.")] = None,
) -> None:
    """Make an API key and print it, this once."""

    async def add(repository: AccountRepository, gate: Gate) -> str:
        found = await repository.tenants()
        if not tenant and len(found) > 1:
            fail("Name the organization with --tenant.")
        if not found:
            fail("There is no organization; add a user first, with `users add --new-tenant`.")
        identity = await Accounts(repository).tenant(tenant) if tenant else found[0].id
        return await gate.add_key(identity, name, frozenset(scope or TENANT_SCOPES))

    typer.echo(
        with_database(
            lambda database: add(
                AccountRepository(database),
                Gate(PeopleRepository(database), SystemClock(), sign_in_days=1, setup_code=""),
            )
        )
    )


@keys.command("list")
def list_keys(tenant: Tenant = "") -> None:
    """Show all keys, or those of one organization; never their secrets, which nobody has."""
    found = _with_repository(lambda repository: repository.keys(tenant=tenant))
    _table(
        ("ID", "NAME", "SCOPES", "ORGANIZATION", "CREATED", "REVOKED"),
        [
            (
                each.id,
                each.name,
                ",".join(sorted(each.scopes)),
                each.tenant_name,
                _day(each.created_at),
                _day(each.revoked_at),
            )
            for each in found
        ],
    )


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Its id, or its name.")], tenant: Tenant = "") -> None:
    """Make a key invalid for good; what was opened with it ends within seconds."""
    revoked = _with_accounts(lambda accounts: accounts.revoke_key(key, tenant=tenant))
    typer.echo(f"The key {revoked.name} of {revoked.tenant_name} is revoked.")


@sessions.command("list")
def list_sessions(email: Annotated[str, typer.Argument(help="Whose; everybody's when empty.")] = "") -> None:
    """Show the browsers that are signed in."""
    found = _with_repository(lambda repository: repository.sessions(email=email.strip().lower()))
    _table(
        ("ID", "EMAIL", "ORGANIZATION", "SINCE", "UNTIL"),
        [(each.id, each.email, each.tenant_name, _minute(each.created_at), _minute(each.expires_at)) for each in found],
    )


@sessions.command("end")
def end_sessions(
    whose: Annotated[str, typer.Argument(help="A session's id, or an address for all of theirs.")],
) -> None:
    """Sign a browser out, or somebody everywhere; open pages and streams end within seconds."""
    count = _with_accounts(lambda accounts: accounts.end_sessions(whose))
    typer.echo(f"{count} session{' is' if count == 1 else 's are'} ended.")


def _with_accounts(work: Callable[[Accounts], Awaitable[Any]]) -> Any:
    return with_database(lambda database: work(Accounts(AccountRepository(database))))


def _with_repository(work: Callable[[AccountRepository], Awaitable[Any]]) -> Any:
    return with_database(lambda database: work(AccountRepository(database)))


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns, with two spaces between them."""
    lines = [[str(value) for value in row] for row in (names, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip())


def _a(role: Role) -> str:
    return "an admin" if role is Role.ADMIN else "a member"


def _day(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d") if time else ""


def _minute(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M")
