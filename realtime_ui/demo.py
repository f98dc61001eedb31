"""Lifelike traffic for looking at: a few projects, sessions with conversations, obligations that move on."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from realtime_ui.client import EventClient

PEOPLE = ("Ada", "Grace", "Linus", "Margaret", "Edsger", "Barbara")
PROJECTS = {
    "apollo": "Apollo: launch page",
    "beacon": "Beacon: billing move",
    "cedar": "Cedar: mobile app",
    "delta": "Delta: data import",
}
SESSIONS = {"kickoff": "Kick-off with Northwind", "discovery": "Discovery: pricing", "retro": "Retro, week 47"}
STATUSES = ("planned", "in progress", "in review", "blocked", "done")
LINES = (
    "I have pushed the new draft, have a look.",
    "Numbers look right to me now.",
    "Can we move the review to Thursday?",
    "The client signed. Nice work, everybody.",
    "Who owns the import step?",
    "I'll take it, should be done by noon.",
    "Found the cause: a missing index.",
    "Tests are green again.",
)
OBLIGATIONS = ("Send the proposal", "Legal review", "Security questionnaire", "Invoice for October")
OBLIGATION_STATES = ("open", "waiting for the client", "in work", "done")

REPLIES = (
    "Here is where we stand: the draft is approved, the numbers are checked, and the review is on Thursday at ten.",
    "I went through the import logs. Two of forty batches failed, both for the same reason: a date without a zone. "
    "A fix is ready; running them again takes about a minute.",
    "Three points for the agenda: pricing for the pilot, who signs off on the copy, and what we leave out.",
)
CHUNK_PAUSE_S = 0.08
REPLY_PAUSE_S = 12.0

Event = dict[str, Any]


@dataclass
class World:
    """What the traffic is about, as far as it has come."""

    dice: random.Random

    def events(self) -> Iterator[Event]:
        """Events without end."""
        while True:
            yield self.dice.choices((self._project, self._message, self._obligation), (5, 4, 2))[0]()

    def _project(self) -> Event:
        changes = self.dice.choice(
            (
                {"status": self.dice.choice(STATUSES)},
                {"progress": f"{self.dice.randrange(0, 101, 5)} %"},
                {"owner": self.dice.choice(PEOPLE)},
                {"status": self.dice.choice(STATUSES), "risk": self.dice.choice(("low", "medium", "high"))},
            )
        )
        by = {"name": self.dice.choice(PEOPLE)}
        payload = {"projectId": self.dice.choice(list(PROJECTS)), "changes": changes, "by": by}
        return {"type": "project.updated", "payload": payload}

    def _message(self) -> Event:
        author = {"name": self.dice.choice(PEOPLE)}
        payload = {"sessionId": self.dice.choice(list(SESSIONS)), "text": self.dice.choice(LINES), "author": author}
        return {"type": "session.message", "payload": payload}

    def _obligation(self) -> Event:
        changes = {"status": self.dice.choice(OBLIGATION_STATES)}
        title = self.dice.choice(OBLIGATIONS)
        payload = {"sessionId": self.dice.choice(list(SESSIONS)), "title": title, "changes": changes}
        return {"type": "obligation.changed", "payload": payload}


async def run_demo(url: str, key: str, rate: float, tell: Callable[[str], None]) -> None:
    """Name the channels, then emit until cancelled.

    Args:
        url: the app's address.
        key: an API key.
        rate: events a second, on average; they come unevenly, as in life.
        tell: takes a line for the terminal.
    """
    dice = random.Random()
    async with EventClient(url, key) as client, asyncio.TaskGroup() as tasks:
        for kind, names in (("project", PROJECTS), ("session", SESSIONS)):
            for identity, title in names.items():
                await client.set_title(f"{kind}:{identity}", title)
        tasks.create_task(_write_replies(client, dice))
        tell(f"Sending about {rate:g} events a second to {url}. Ctrl-C stops.")
        for number, event in enumerate(World(dice).events(), start=1):
            await client.emit_many([event])
            if number % 100 == 0:
                tell(f"{number} events sent")
            await asyncio.sleep(dice.expovariate(rate))


async def _write_replies(client: EventClient, dice: random.Random) -> None:
    """Now and then an assistant writes a message word by word, as language models do."""
    while True:
        await asyncio.sleep(dice.uniform(0.5, 1.5) * REPLY_PAUSE_S)
        about = {
            "sessionId": dice.choice(list(SESSIONS)),
            "messageId": uuid.uuid4().hex,
            "author": {"name": "Assistant"},
        }
        reply = dice.choice(REPLIES)
        for index, word in enumerate(reply.split()):
            await client.emit("session.message.delta", {**about, "index": index, "text": word + " "})
            await asyncio.sleep(CHUNK_PAUSE_S)
        await client.emit("session.message", {**about, "text": reply})
