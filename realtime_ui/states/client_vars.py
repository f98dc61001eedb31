"""Vars that live in the browser: what must be true while the socket is down cannot be server state.

Each is an ordinary Var for components (`rx.badge(Project.status)`); its value comes from a React hook of
the JavaScript beside this file.
"""

from typing import Any, Generic, TypeVar, overload

import reflex as rx
from reflex_base.utils.imports import ImportVar
from reflex_base.vars import VarData

T = TypeVar("T")

CONNECTION = rx.asset("connection.js", shared=True).importable_path
FEED_CLIENT = rx.asset("feed_client.js", shared=True).importable_path
for _imported in (  # by those above and below
    "absence.js",
    "api.js",
    "backoff.js",
    "drafts.js",
    "feed.js",
    "identity.js",
    "lateness.js",
    "outbox_queue.js",
    "outbox_store.js",
    "reach.js",
    "row_window.js",
    "server_time.js",
    "store.js",
):
    rx.asset(_imported, shared=True)
OUTBOX = rx.asset("outbox.js", shared=True).importable_path
HEARTBEAT = rx.asset("heartbeat.js", shared=True).importable_path
MONITOR = rx.asset("monitor.js", shared=True).importable_path
LOBBY = rx.asset("lobby.js", shared=True).importable_path
TITLES = rx.asset("titles.js", shared=True).importable_path
PRESENCE = rx.asset("presence.js", shared=True).importable_path
_LIBRARIES = {
    "useConnection": CONNECTION,
    "useFeed": FEED_CLIENT,
    "useHeartbeat": HEARTBEAT,
    "usePresence": PRESENCE,
}


class ClientVar(Generic[T]):
    """Declared on a state class, gives a Var of that class.

    Args:
        hook: the React hook that gives the object: `useConnection`, `useFeed`, `useHeartbeat` or `usePresence`.
        field: which of its fields; also the type's name in JavaScript.
        type_: the Python type of the value.
        of_channel: whether the hook takes the class's channel.
        channel: which Var of the class names it.
    """

    def __init__(
        self, hook: str, field: str, type_: type[T], *, of_channel: bool = False, channel: str = "channel"
    ) -> None:
        self._hook = hook
        self._field = field
        self._type = type_
        self._of_channel = of_channel
        self._channel = channel

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> "rx.Var[T]": ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Any:
        """The Var, on the class; an instance on the server has no such value."""
        if instance is not None:
            raise AttributeError(
                f"{self._field} lives in the browser; use it in components, as {owner.__name__}.{self._field}."
            )
        name = self._hook
        argument, data = "", None
        if self._of_channel:
            channel = getattr(owner, self._channel)
            argument, data = str(channel), channel._get_all_var_data()
            name = f"{self._hook}_{owner.get_full_name().replace('.', '_')}"
        hooks = {f"const {name}_ = {self._hook}({argument})": None}
        own = VarData(imports={_LIBRARIES[self._hook]: [ImportVar(tag=self._hook)]}, hooks=hooks)
        # The channel's own hooks come first: the call above reads what they declare.
        var_data = VarData.merge(data, own)
        return rx.Var(f"{name}_.{self._field}", _var_type=self._type, _var_data=var_data).guess_type()
