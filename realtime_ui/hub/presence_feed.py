"""The `/feed` namespace's events for presence: a tab enters a channel, says how its person is, leaves, or looks.

A tab is in one place at a time; what it enters takes it from where it was. All of it ends with its socket.
"""

from collections.abc import Callable
from typing import Any

from realtime_ui.access.limits import RateLimiter
from realtime_ui.access.policy import Action, may, require
from realtime_ui.core.channels import ChannelName, clip
from realtime_ui.core.errors import InvalidRequest, NotAuthenticated, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.hub.lobby import Audience
from realtime_ui.hub.members import Activity
from realtime_ui.hub.namespace import ClientNamespace
from realtime_ui.hub.presence import Presence
from realtime_ui.hub.presence_rooms import PresenceSink, View
from realtime_ui.hub.subscribe import checked_states
from realtime_ui.hub.subscriptions import Tab

RATE, BURST = 2.0, 12.0
"""So many presence events a second a tab may send, and so many at once."""

PresenceSinkFactory = Callable[[str, str, ChannelName], PresenceSink | None]
"""(Reflex client token, state name, channel) → a sink for a state that wants diffs, or None."""


class PresenceEvents(ClientNamespace):
    """What the namespace does for presence; the rest of it says who a socket is."""

    _presence: Presence
    _presence_limit: RateLimiter
    _sink_for_presence: PresenceSinkFactory
    _tabs: dict[str, Tab]

    async def on_presence_enter(self, sid: str, data: object = None) -> Json:
        """Be present on a channel and see who else is.

        `{channel, state?, states?}` in: `state` is online, away or typing; `states` names the state classes that
        want the diffs. `{ok, me, n, members, count}` or a problem out; then `presence` events come, numbered
        from n + 1: `{room, n, joins, leaves, updates, count}`.
        """
        try:
            tab, wish = await self._presence_wish(sid, data)
            channel = ChannelName.parse(wish.get("channel"))
            activity, states = _activity(wish.get("state", "online")), checked_states(wish.get("states", []))
            require(tab.person, Action.READ, channel)
            view = View.of_channel(tab.person.tenant, channel)
            if self._presence.channel_of(sid) != channel:
                await self._leave_presence(tab)
            await self.enter_room(sid, view.room)
            self._presence.enter(tab, channel, activity)
            answer = self._presence.rooms.look(view)
            for state in states:
                if sink := self._sink_for_presence(self._client_token(sid), state, channel):
                    self._presence.rooms.attach(view, sid, state, sink)
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        return {"ok": True, "me": str(tab.person.id), **answer}

    async def on_presence_update(self, sid: str, data: object = None) -> Json:
        """Say how the person is: `{channel, state}` in, `{ok: true}` or a problem out.

        Whoever is elsewhere says so with channel "". What is said for a channel that the tab left meanwhile
        changes nothing.
        """
        try:
            _, wish = await self._presence_wish(sid, data)
            channel = ChannelName.parse(wish["channel"]) if wish.get("channel") else None
            activity = _activity(wish.get("state"))
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        if self._presence.channel_of(sid) == channel:
            self._presence.update(sid, activity)
        return {"ok": True}

    async def on_presence_leave(self, sid: str, data: object = None) -> Json:
        """Be elsewhere in the app: `{channel}` in, `{ok: true}` or a problem out."""
        try:
            tab, wish = await self._presence_wish(sid, data)
            channel = ChannelName.parse(wish.get("channel"))
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}
        if self._presence.channel_of(sid) == channel:
            await self._leave_presence(tab)
        return {"ok": True}

    async def on_roster(self, sid: str, data: object = None) -> Json:
        """Look at everybody in the tenant, live; answers as `presence_enter` does, and the diffs' room is ""."""
        try:
            tab, _ = await self._presence_wish(sid, {})
            require(tab.person, Action.LIST, None)
            view = View.of_audience(Audience.of(tab.person))
            await self.enter_room(sid, view.room)
            return {"ok": True, "me": str(tab.person.id), **self._presence.rooms.look(view)}
        except RealtimeError as error:
            return {"ok": False, "error": error.problem()}

    async def on_roster_leave(self, sid: str, data: object = None) -> Json:
        """Look at the roster no longer."""
        tab = self._tabs.get(sid)
        if tab is not None:
            await self._look_away(tab, View.of_audience(Audience.of(tab.person)))
        return {"ok": True}

    async def _leave_presence(self, tab: Tab) -> None:
        """Take a tab from the channel that it is on."""
        if channel := self._presence.channel_of(tab.sid):
            self._presence.leave(tab.sid)
            await self._look_away(tab, View.of_channel(tab.person.tenant, channel))

    async def _forget_presence_rooms(self, tab: Tab) -> None:
        """Send a tab no diffs for now; it stays where it is."""
        if channel := self._presence.channel_of(tab.sid):
            await self._look_away(tab, View.of_channel(tab.person.tenant, channel))
        await self._look_away(tab, View.of_audience(Audience.of(tab.person)))

    async def _check_presence(self, tab: Tab) -> None:
        """Take a tab from where its person may not be any more."""
        channel = self._presence.channel_of(tab.sid)
        if channel and not may(tab.person, Action.READ, channel, tab.person.tenant):
            await self._leave_presence(tab)

    async def _look_away(self, tab: Tab, view: View) -> None:
        if tab.sid in self._tabs:
            await self.leave_room(tab.sid, view.room)
        self._presence.rooms.detach(view, tab.sid)

    async def _presence_wish(self, sid: str, data: object) -> tuple[Tab, dict[str, Any]]:
        tab = await self._tab(sid)
        if self._tabs.get(sid) is not tab:  # the socket went while we waited
            raise NotAuthenticated("The connection has ended.", remedy="Connect again.")
        self._presence_limit.spend(sid)
        if not isinstance(data, dict):
            raise InvalidRequest("An object is needed.", remedy="Send {channel, state}.")
        return tab, data

    async def _tab(self, sid: str) -> Tab:
        raise NotImplementedError

    def _client_token(self, sid: str) -> str:
        raise NotImplementedError


def _activity(value: object) -> Activity:
    try:
        return Activity(value)  # type: ignore[arg-type]  # whatever came in
    except ValueError:
        raise InvalidRequest(
            f"state is {clip(value)}.", field="state", remedy=f"Send one of {', '.join(Activity)}."
        ) from None
