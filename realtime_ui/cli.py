"""The command line: `python -m realtime_ui …`."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from pydantic import ValidationError

from realtime_ui.access.gate import Gate
from realtime_ui.client import EmitError, EventClient
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.principals import TENANT_SCOPES, Role, Scope
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import EventLog
from realtime_ui.persistence.people import PeopleRepository
from realtime_ui.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Realtime UI: live updates for Reflex apps.",
)
users = typer.Typer(no_args_is_help=True, help="People who sign in.")
keys = typer.Typer(no_args_is_help=True, help="API keys of programs.")
log = typer.Typer(no_args_is_help=True, help="The log of events.")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(log, name="log")

Url = Annotated[str, typer.Option(envvar="REALTIME_URL", help="The app's address.")]
Key = Annotated[str, typer.Option(envvar="REALTIME_API_KEY", help="An API key.")]


@app.command()
def serve(
    dev: Annotated[bool, typer.Option("--dev", help="For building pages: `reflex run`, two ports.")] = False,
) -> None:
    """Start the app: database, migrations, pages, workers. Ctrl-C ends it all."""
    from realtime_ui.serve import Parent
    from realtime_ui.workers import CannotStart

    try:
        asyncio.run(Parent(settings(), Path.cwd(), development=dev).run())
    except CannotStart as error:
        fail(str(error))


@app.command()
def build() -> None:
    """Build the pages, as the start does where they changed; for images."""
    from realtime_ui.build import build_pages

    try:
        asyncio.run(build_pages(Path.cwd()))
    except RuntimeError as error:
        fail(str(error))


@app.command()
def emit(
    type: Annotated[str, typer.Argument(help="Such as project.updated.")],
    payload: Annotated[str, typer.Argument(help="A JSON object, or - to read it from standard input.")],
    key: Key,
    url: Url = "http://localhost:3000",
    id: Annotated[str | None, typer.Option(help="Your own id; a repeat under it is stored once.")] = None,
) -> None:
    """Emit one event and print its receipt."""
    try:
        value = json.loads(sys.stdin.read() if payload == "-" else payload)
    except ValueError as error:
        fail(f"The payload is not JSON: {error}")
    if not isinstance(value, dict):
        fail('The payload is not a JSON object, such as {"projectId": "abc123"}.')

    async def send() -> dict[str, Any]:
        async with EventClient(url, key) as client:
            return await client.emit(type, value, id=id)

    with _told():
        typer.echo(json.dumps(asyncio.run(send()), indent=2))


@app.command()
def demo(
    key: Key,
    url: Url = "http://localhost:3000",
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Events a second.")] = 2.0,
) -> None:
    """Send lifelike project, session and obligation traffic until Ctrl-C."""
    from realtime_ui.demo import run_demo

    with _told():
        asyncio.run(_until_interrupted(run_demo(url, key, rate, typer.echo)))
    typer.echo("Stopped.")


@app.command()
def tail(
    channels: Annotated[list[str], typer.Argument(help="Such as project:abc123.")],
    key: Key,
    url: Url = "http://localhost:3000",
    rewind: Annotated[int, typer.Option(min=0, max=500, help="How many earlier messages to begin with.")] = 0,
    named: Annotated[bool, typer.Option("--named", help="Put each message's type before its line.")] = False,
    pretty: Annotated[
        bool | None, typer.Option("--pretty/--json", help="For people or for programs; by default as the output is.")
    ] = None,
) -> None:
    """Follow channels, one line a message, until Ctrl-C; a restart of the server loses and doubles nothing."""
    show = _for_people if (sys.stdout.isatty() if pretty is None else pretty) else _as_json

    async def follow() -> None:
        async with EventClient(url, key) as client:
            async for message in client.stream(*channels, rewind=rewind):
                typer.echo(f"{message['type']} " * named + show(message))

    with _told():
        asyncio.run(_until_interrupted(follow()))


def _as_json(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _for_people(message: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(message["timestamp"] / 1000).strftime("%H:%M:%S")
    place = f"{message['channel']} {message.get('seq', '·')}"
    rest = message.get("data") or {name: message[name] for name in ("first", "last", "after") if name in message}
    return f"{at}  {place}  {message['type']}  {json.dumps(rest, ensure_ascii=False)}"


async def _until_interrupted(work: Coroutine[None, None, None]) -> None:
    """Do some work until Ctrl-C or SIGTERM. A cancellation can get lost inside an HTTP call, so it is repeated."""
    task, stop = asyncio.create_task(work), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)
    if not task.cancelled():
        task.result()


@users.command("add")
def add_user(
    email: str,
    tenant: Annotated[str, typer.Option(help="The organization's name; made when new.")],
    name: Annotated[str, typer.Option(help="The person's name; the address's first part when empty.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="An admin in place of a member.")] = False,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="REALTIME_PASSWORD")
    ] = "",
) -> None:
    """Add a person to an organization; one who is there keeps their password."""
    role = Role.ADMIN if admin else Role.MEMBER

    async def add(gate: Gate, people: PeopleRepository) -> None:
        await gate.add_person(tenant, email, name or email.partition("@")[0], password, role)

    _with_gate(add)
    typer.echo(f"{email} is {'an admin' if admin else 'a member'} of {tenant}.")


@keys.command("add")
def add_key(
    name: str,
    tenant: Annotated[str | None, typer.Option(help="Whose key; not needed while there is one organization.")] = None,
    scope: Annotated[list[Scope] | None, typer.Option(help="What it is for; emit and read when not given.")] = None,
) -> None:
    """Make an API key and print it, this once."""

    async def add(gate: Gate, people: PeopleRepository) -> str:
        found = [identity for identity, known in await people.tenants() if tenant in (None, known)]
        if len(found) != 1:
            fail(
                "Name the organization with --tenant." if found else "There is no such organization; add a user first."
            )
        return await gate.add_key(found[0], name, frozenset(scope or TENANT_SCOPES))

    typer.echo(_with_gate(add))


@log.command("new-epochs")
def new_epochs() -> None:
    """After a restore: give every channel a new epoch, so that open tabs begin again with what the log has."""
    count = _with_database(lambda database: EventLog(database, database, SystemClock()).new_epochs())
    typer.echo(f"{count:,} channel{' has' if count == 1 else 's have'} a new epoch.")


def _with_gate(work: Callable[[Gate, PeopleRepository], Awaitable[Any]]) -> Any:
    """Run `work(gate, people)` on the database."""

    async def with_gate(database: Database) -> Any:
        people = PeopleRepository(database)
        return await work(Gate(people, SystemClock(), sign_in_days=1, setup_code=""), people)

    return _with_database(with_gate)


def _with_database(work: Callable[[Database], Awaitable[Any]]) -> Any:
    """Run `work(database)`: on the configured one, or on the embedded one, started if it is not up."""
    config = settings()
    embedded = None
    url = config.database_url
    if not url:
        from realtime_ui.embedded import EmbeddedPostgres
        from realtime_ui.persistence.migrate import upgrade

        embedded = EmbeddedPostgres(config.data_dir / "postgres")
        url = embedded.url
        if not embedded.was_running:
            upgrade(url)

    async def run() -> Any:
        database = Database(url, pool=2)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        with _told():
            return asyncio.run(run())
    finally:
        if embedded is not None and not embedded.was_running:
            embedded.stop()


@contextmanager
def _told() -> Iterator[None]:
    """Errors as one sentence and exit code 1, without a traceback."""
    try:
        yield
    except (RealtimeError, EmitError) as error:
        fail(" ".join(filter(None, (str(error), getattr(error, "remedy", None)))))
    except httpx.TransportError as error:
        fail(f"The server does not answer: {error}")


def settings() -> Settings:
    """The settings, or an end with one sentence that names the wrong one."""
    try:
        return load_settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])).upper()
        fail(f"{where} is wrong: {first['msg'].removeprefix('Value error, ')}")


def fail(message: str) -> NoReturn:
    """End with a message on standard error and exit code 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)
