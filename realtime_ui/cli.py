"""The command line: `python -m realtime_ui …`."""

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from realtime_ui.cli_accounts import ACCOUNT_COMMANDS
from realtime_ui.cli_tools import database_address, errors_reported, fail, settings, with_database
from realtime_ui.client import EventClient
from realtime_ui.core.clock import SystemClock
from realtime_ui.extras import MissingExtra
from realtime_ui.persistence.event_log import EventLog
from realtime_ui.persistence.migrate import upgrade

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Realtime UI: live updates for Reflex apps.",
)
log = typer.Typer(no_args_is_help=True, help="The log of events.")
for command_name, commands in ACCOUNT_COMMANDS.items():
    app.add_typer(commands, name=command_name)
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
    except (CannotStart, MissingExtra) as error:
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

    with errors_reported():
        typer.echo(json.dumps(asyncio.run(send()), indent=2))


@app.command()
def demo(
    key: Key,
    url: Url = "http://localhost:3000",
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Events a second.")] = 2.0,
) -> None:
    """Send lifelike project, session and obligation traffic until Ctrl-C."""
    from realtime_ui.demo import run_demo

    with errors_reported():
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

    with errors_reported():
        asyncio.run(_until_interrupted(follow()))


def _as_json(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _for_people(message: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(message["timestamp"] / 1000).strftime("%H:%M:%S")
    place = f"{message['channel']} {message.get('seq', '·')}"
    instead = ("first", "last", "after", "unreadable")
    rest = message.get("data") or {name: message[name] for name in instead if name in message}
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


@app.command()
def migrate() -> None:
    """Bring the database to this release's revision, as the start does."""
    with database_address() as url, errors_reported():
        upgrade(url)
    typer.echo("The database has the tables of this release.")


@log.command("new-epochs")
def new_epochs() -> None:
    """After a restore: give every channel a new epoch, so that open tabs begin again with what the log has."""
    count = with_database(lambda database: EventLog(database, database, SystemClock()).new_epochs())
    typer.echo(f"{count:,} channel{' has' if count == 1 else 's have'} a new epoch.")
