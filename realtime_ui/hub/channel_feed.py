"""The `/feed` namespace's events about channels as such: the list, a search in it, titles, current fields."""

import math
from typing import Any

from socketio import AsyncNamespace

from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.policy import Action, may, require
from realtime_ui.core.channels import ChannelName, clip
from realtime_ui.core.errors import InvalidRequest, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.hub.lobby import LIST, TITLES, Lobby, Viewer
from realtime_ui.hub.subscriptions import Tab
from realtime_ui.persistence.channels import ChannelRepository, ListPlace
from realtime_ui.persistence.field_folder import FieldFolder
from realtime_ui.persistence.fields import FieldRepository

RATE, BURST = 10.0, 100.0
"""So many pages, searches, lists of titles and fields a second a tab may ask for, and so many at once."""
MAX_QUERY = 200
MAX_TITLES = 200
MAX_MOMENT_US = 2**62


class ChannelEvents(AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """What the namespace does for lists of channels; the rest of it says who a socket is."""

    lobby: Lobby
    _channels: ChannelRepository
    _list_limit: RateLimiter
    _fields: FieldRepository
    _folder: FieldFolder

    async def on_lobby(self, sid: str, data: object = None) -> Json:
        """Look at the tenant's list of channels, live, or at a further page of it.

        `{below?: [moment, channel]}` in, where `below` is the `end` of the page before.

        Returns:
            `{ok: true, rows, end}`, where `end` is null at the end of the list, or `{ok: false, error}` with an
            RFC 9457 problem. Then `lobby` events come with rows that changed, whole or `{channel, watching}`, also of
            pages further down, and `titles` events `{channel: title}`.
        """
        try:
            tab = await self._list_tab(sid)
            below = _place((data or {}).get("below") if isinstance(data, dict) else None)
            viewer = Viewer.of(tab.person)
            for room in viewer.rooms(LIST):
                await self.enter_room(sid, room)
            self.lobby.follow(viewer)
            page = await self.lobby.page(viewer, below)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        return {"ok": True, "rows": page.rows, "end": page.end and [page.end.moment_us, page.end.name]}

    async def on_search(self, sid: str, data: object = None) -> Json:
        """Search the tenant's channels by words of title and id, and their beginnings.

        `{query}` in, at most 200 characters; `{ok: true, rows, more}` or `{ok: false, error}` out, the best first.
        """
        try:
            tab = await self._list_tab(sid)
            query = data.get("query") if isinstance(data, dict) else None
            if not isinstance(query, str) or len(query) > MAX_QUERY or "\0" in query or not query.isprintable():
                raise InvalidRequest(
                    f"query is {clip(query)}.", field="query", remedy=f"Send up to {MAX_QUERY} printable characters."
                )
            rows, more = await self.lobby.search(Viewer.of(tab.person), query.strip())
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        return {"ok": True, "rows": rows, "more": more}

    async def on_titles(self, sid: str, data: object = None) -> Json:
        """Get some channels' titles, and hear of new ones.

        `{channels: [name, …]}` in, at most 200; `{ok: true, titles: {name: title or null}}` or a problem out, without
        channels that the person may not read. Then `titles` events come `{name: title or null}`, for all channels
        that the person's list has.
        """
        try:
            tab = await self._list_tab(sid)
            names = data.get("channels") if isinstance(data, dict) else None
            if not isinstance(names, list) or len(names) > MAX_TITLES:
                raise InvalidRequest(
                    f"channels is {clip(names)}.", field="channels", remedy=f"Send up to {MAX_TITLES} channel names."
                )
            tenant = tab.person.tenant
            asked = {ChannelName.parse(name, field="channels") for name in names}
            readable = [name for name in asked if may(tab.person, Action.READ, name, tenant)]
            viewer = Viewer.of(tab.person)
            for room in viewer.rooms(TITLES):
                await self.enter_room(sid, room)
            self.lobby.follow_titles(viewer)
            found = await self._channels.titles(tenant, readable)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        return {"ok": True, "titles": {str(name): found.get(name) for name in readable}}

    async def on_fields(self, sid: str, data: object = None) -> Json:
        """A channel's current fields; `{channel}` in.

        Returns:
            `{ok: true, epoch, seq, head, fields, more}`: `fields` `{name: [value, seq]}` as the events up to `seq`
            left them, `[text, seq, bytes]` for a value of that many bytes of which only the beginning is kept;
            `seq` is below `head` while a long log is still being read, and a later request brings more; `more`
            says that there are fields beyond the bounds. Or `{ok: false, error}` with an RFC 9457 problem.
        """
        try:
            tab = await self._tab(sid)
            self._list_limit.spend(sid)
            channel = ChannelName.parse(data.get("channel") if isinstance(data, dict) else None)
            require(tab.person, Action.READ, channel)
            key = (tab.person.tenant, channel)
            found = await self._fields.read(*key)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        if found.seq < found.head:
            self._folder.request(key)
        return {
            "ok": True,
            "epoch": found.epoch,
            "seq": found.seq,
            "head": found.head,
            "fields": {name: each.row() for name, each in found.values.items()},
            "more": found.more,
        }

    async def leave_lists(self, tab: Tab) -> None:
        """Take a tab out of its rooms for lists and titles."""
        viewer = Viewer.of(tab.person)
        for room in viewer.rooms(LIST) + viewer.rooms(TITLES):
            await self.leave_room(tab.sid, room)

    async def _list_tab(self, sid: str) -> Tab:
        """The socket's tab, if it may ask for lists now.

        Raises:
            NotAuthenticated, NotAllowed, RateLimited: it may not.
        """
        tab: Tab = await self._tab(sid)
        require(tab.person, Action.LIST, None)
        self._list_limit.spend(sid)
        return tab


def _place(value: Any) -> ListPlace | None:
    if value is None:
        return None
    match value:
        case [int(moment), str(name)] if not isinstance(moment, bool) and math.fabs(moment) < MAX_MOMENT_US:
            return ListPlace(moment, str(ChannelName.parse(name, field="below")))
    raise InvalidRequest(f"below is {clip(value)}.", field="below", remedy="Send the end of the page before.")
