"""Who is on which channel of the Pusher server, and what they may be told; no network."""

import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,164}")

Send = Callable[[str], None]
"""Puts a frame on its way to a socket."""


@dataclass(eq=False)
class Socket:
    """A connected client."""

    id: str
    send: Send
    channels: set[str] = field(default_factory=set)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)  # what it says of itself, by presence channel
    spent: list[float] = field(default_factory=list)  # when it sent client events

    def event(self, event: str, data: Any, channel: str | None = None, **more: Any) -> None:
        """Send an event; `data` goes as a string, as Pusher sends its own."""
        frame = {"event": event, "data": data if isinstance(data, str) else json.dumps(data), **more}
        if channel is not None:
            frame["channel"] = channel
        self.send(json.dumps(frame))


def sign(secret: str, text: str) -> str:
    """HMAC-SHA256 in hex, as all of Pusher's signatures are."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Channels:
    """Subscriptions, and the presence that goes with them."""

    def __init__(self) -> None:
        self._sockets: dict[str, dict[str, Socket]] = defaultdict(dict)

    def names(self) -> list[str]:
        """Channels that somebody is on."""
        return sorted(name for name, sockets in self._sockets.items() if sockets)

    def count(self, name: str) -> int:
        """How many sockets are on a channel."""
        return len(self._sockets[name])

    def members(self, name: str) -> dict[str, Any]:
        """Who is on a presence channel, by user id."""
        found = (socket.members[name] for socket in self._sockets[name].values())
        return {str(each["user_id"]): each.get("user_info") for each in found}

    def join(self, socket: Socket, name: str, member: dict[str, Any] | None) -> None:
        """Subscribe a socket that may."""
        newcomer = member is not None and str(member["user_id"]) not in self.members(name)
        socket.channels.add(name)
        if member is not None:
            socket.members[name] = member
        self._sockets[name][socket.id] = socket
        if member is None:
            socket.event("pusher_internal:subscription_succeeded", {}, name)
            return
        members = self.members(name)
        roster = {"count": len(members), "ids": list(members), "hash": members}
        socket.event("pusher_internal:subscription_succeeded", {"presence": roster}, name)
        if newcomer:
            told = {"user_id": str(member["user_id"]), "user_info": member.get("user_info")}
            self.tell(name, "pusher_internal:member_added", told, without=socket.id)

    def leave(self, socket: Socket, name: str) -> None:
        """Unsubscribe a socket, if it is subscribed."""
        if name not in socket.channels:
            return
        socket.channels.discard(name)
        del self._sockets[name][socket.id]
        member = socket.members.pop(name, None)
        if member is not None and str(member["user_id"]) not in self.members(name):
            self.tell(name, "pusher_internal:member_removed", {"user_id": str(member["user_id"])})

    def tell(self, name: str, event: str, data: Any, *, without: str | None = None, **more: Any) -> None:
        """Send an event to everybody on a channel but one."""
        for socket in list(self._sockets[name].values()):
            if socket.id != without:
                socket.event(event, data, name, **more)
