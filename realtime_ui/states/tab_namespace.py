"""`/_event`, the namespace of Reflex's events, with what Reflex leaves open closed.

Reflex takes events of any form, stores what a client says of its page, logs what it cannot read, and gives the state
under a token to whoever shows it. Here an event is checked before Reflex sees it, and a token works for its owner.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import reflex as rx
from reflex.app import EventNamespace
from reflex_base import constants
from reflex_base.registry import RegistrationContext

from realtime_ui.access.limits import RateLimiter
from realtime_ui.core import metrics
from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import RateLimited
from realtime_ui.hub.feed import EVENT_NAMESPACE
from realtime_ui.hub.namespace import ClientNamespace
from realtime_ui.states.principal import STRANGER, owner_of
from realtime_ui.states.tab_tokens import TabTokens

MAX_ROUTER_DATA = 4_096
"""Bytes of what a client says of its page, as JSON: Reflex keeps it in the tab's state."""
MAX_PARAMETER = 300
STRANGERS_RATE, STRANGERS_BURST = 10, 60
"""So many events a second a stranger's socket may send, and so many at once."""
STRANGERS_WAITING = 10
PAGE_ERROR = "handle_frontend_exception"
SCHEMA = re.compile(r"[0-9A-Za-z]{1,64}")
VERSION = re.compile(r"[0-9A-Za-z.]{1,32}")


class TabNamespace(ClientNamespace, EventNamespace):
    """Takes the place of Reflex's own namespace.

    Args:
        app: the app.
        tokens: makes and checks client tokens.
        stranger_left: called with the token of each stranger whose socket has closed.
        clock: tells the time.
    """

    def __init__(
        self, app: rx.App, tokens: TabTokens, stranger_left: Callable[[str], None], clock: Clock | None = None
    ) -> None:
        super().__init__(EVENT_NAMESPACE, app)
        self._tokens = tokens
        self._stranger_left = stranger_left
        self._limit = RateLimiter(STRANGERS_RATE, STRANGERS_BURST, clock or SystemClock())
        self._owners: dict[str, str] = {}
        self._strangers: dict[str, str] = {}

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Give a socket the state of its token if that is its principal's, else a fresh one."""
        self._owners[sid] = await owner_of(environ)
        try:
            await super().on_connect(sid, _loggable(environ), _checked_auth(auth))
        except BaseException:
            self._forget(sid)
            raise

    def on_disconnect(self, sid: str, reason: str = "") -> asyncio.Task[None] | None:
        """Forget a socket."""
        task = super().on_disconnect(sid)
        self._forget(sid)
        return task

    def _forget(self, sid: str) -> None:
        self._owners.pop(sid, None)
        if token := self._strangers.pop(sid, None):
            self._stranger_left(token)

    async def link_token_to_sid(self, sid: str, token: str, *, update_state: bool = True) -> None:
        """Put a socket on record under the token that it shows, or under another one where that is not its own."""
        own = token if self._tokens.belongs(token, self._owners.get(sid, STRANGER)) else self.fresh_token(sid)
        if own != token:
            await self.emit("new_token", own, to=sid)
        if self._is_stranger(sid):
            self._strangers[sid] = own
        await super().link_token_to_sid(sid, own, update_state=update_state)
        if self._is_stranger(sid):
            self._strangers[sid] = self.sid_to_token.get(sid, own)  # a duplicate has yet another one

    def fresh_token(self, sid: str) -> str:
        """A new token for the owner of a socket."""
        return self._tokens.make(self._owners.get(sid, STRANGER))

    async def on_event(self, sid: str, data: Any) -> None:
        """Hand on an event whose form is right; others are counted, and nothing of them is kept or logged."""
        event = self._checked(sid, data)
        if event is None:
            metrics.EVENTS_REFUSED.inc()
            return
        await super().on_event(sid, event)

    async def on_client_error(self, sid: str, data: Any = None) -> None:
        """Log what a signed-in person's page says went wrong in it."""
        if self._is_stranger(sid):
            metrics.EVENTS_REFUSED.inc()
            return
        await super().on_client_error(sid, data)

    def _is_stranger(self, sid: str) -> bool:
        return self._owners.get(sid, STRANGER) == STRANGER

    def _has_room(self, sid: str) -> bool:
        """Whether a stranger's socket may send an event now: not too many, and few that wait for their handler."""
        processor: Any = self.app.event_processor
        if len(processor._token_queues.get(self.sid_to_token[sid], ())) >= STRANGERS_WAITING:
            return False
        try:
            self._limit.spend(sid)
        except RateLimited:
            return False
        return True

    def _checked(self, sid: str, data: Any) -> dict[str, Any] | None:
        """An event reduced to what Reflex takes, or None."""
        if sid not in self.sid_to_token or not isinstance(data, dict):
            return None
        if self._is_stranger(sid) and not self._has_room(sid):
            return None
        name, payload = data.get("name"), data.get("payload")
        payload, router_data = payload or {}, data.get("router_data") or {}
        if not (isinstance(name, str) and isinstance(payload, dict) and isinstance(router_data, dict)):
            return None
        handlers: Mapping[str, Any] = RegistrationContext.get().event_handlers
        if name not in handlers:
            return None
        if self._is_stranger(sid) and name.rpartition(".")[2] == PAGE_ERROR:  # which logs its payload
            return None
        page = trimmed(router_data)
        return None if page is None else {"name": name, "payload": payload, "router_data": page}


def trimmed(router_data: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a client says of its page, within the bound; None where it has no such form.

    Where it is too much, as with an address that has a long query, only the short parameters are kept: among them are
    those of the page's own path.
    """
    path, address = router_data.get("pathname", ""), router_data.get("asPath", "")
    query = router_data.get("query", {})
    if not (isinstance(path, str) and isinstance(address, str) and isinstance(query, dict)):
        return None
    if not all(_is_parameter(value) for value in query.values()):
        return None
    page = {"pathname": path, "asPath": address, "query": query}
    if _size(page) > MAX_ROUTER_DATA:
        page["asPath"] = path
        page["query"] = {name: value for name, value in query.items() if _size([name, value]) <= MAX_PARAMETER}
    return page if _size(page) <= MAX_ROUTER_DATA else None


def _is_parameter(value: Any) -> bool:
    """Text, or the list of texts that Reflex makes of the rest of an address under a catch-all route."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


def _size(value: Any) -> int:
    return len(json.dumps(value))


def _checked_auth(auth: Any) -> Any:
    """The CONNECT packet's data without a schema that no page of ours has: Reflex would log it."""
    if not isinstance(auth, dict):
        return None
    schema = auth.get(constants.CompileVars.CONNECT_AUTH_STATE_SCHEMA)
    fits = isinstance(schema, str) and SCHEMA.fullmatch(schema)
    return {
        constants.CompileVars.CONNECT_AUTH_EVENT: auth.get(constants.CompileVars.CONNECT_AUTH_EVENT),
        constants.CompileVars.CONNECT_AUTH_STATE_SCHEMA: schema if fits else None,
    }


def _loggable(environ: dict[str, Any]) -> dict[str, Any]:
    """A socket's environment without a version that is none: Reflex would log it."""
    version = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")
    return environ if version is None or VERSION.fullmatch(version) else {**environ, "HTTP_SEC_WEBSOCKET_PROTOCOL": ""}
