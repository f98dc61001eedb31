"""Realtime UI: live project and session updates for Reflex apps.

The public face. Names are loaded when first used, so that a program that only emits events
(`from realtime_ui import EventClient`) does not load Reflex.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from realtime_ui.extras import needs
from realtime_ui.version import __version__ as __version__

if TYPE_CHECKING:
    from realtime_ui.client import EventClient
    from realtime_ui.components.live_feed import live_feed
    from realtime_ui.components.message_form import message_form, unsent_at_sign_out, unsent_messages
    from realtime_ui.components.presence import avatar_stack, presence_roster, typing_line
    from realtime_ui.components.subscription import subscription
    from realtime_ui.components.views import channel_list, connection_banner, connection_dot, current_fields
    from realtime_ui.core.messages import Ephemeral, Message
    from realtime_ui.events.routes import Route
    from realtime_ui.hub.members import Member, PresenceDiff
    from realtime_ui.installer import install
    from realtime_ui.providers.factory import create_realtime_client
    from realtime_ui.states.channel import ChannelState
    from realtime_ui.states.connection import ConnectionState
    from realtime_ui.states.heartbeat import HeartbeatState
    from realtime_ui.states.outbox import post
    from realtime_ui.states.presence import PresenceState
    from realtime_ui.states.session import SessionState

_HOMES = {
    "ChannelState": "states.channel",
    "ConnectionState": "states.connection",
    "Ephemeral": "core.messages",
    "EventClient": "client",
    "HeartbeatState": "states.heartbeat",
    "Member": "hub.members",
    "Message": "core.messages",
    "PresenceDiff": "hub.members",
    "PresenceState": "states.presence",
    "Route": "events.routes",
    "SessionState": "states.session",
    "avatar_stack": "components.presence",
    "channel_list": "components.views",
    "connection_banner": "components.views",
    "connection_dot": "components.views",
    "create_realtime_client": "providers.factory",
    "current_fields": "components.views",
    "install": "installer",
    "live_feed": "components.live_feed",
    "message_form": "components.message_form",
    "post": "states.outbox",
    "presence_roster": "components.presence",
    "subscription": "components.subscription",
    "typing_line": "components.presence",
    "unsent_at_sign_out": "components.message_form",
    "unsent_messages": "components.message_form",
}

__all__ = [
    "ChannelState",
    "ConnectionState",
    "Ephemeral",
    "EventClient",
    "HeartbeatState",
    "Member",
    "Message",
    "PresenceDiff",
    "PresenceState",
    "Route",
    "SessionState",
    "avatar_stack",
    "channel_list",
    "connection_banner",
    "connection_dot",
    "create_realtime_client",
    "current_fields",
    "install",
    "live_feed",
    "message_form",
    "post",
    "presence_roster",
    "subscription",
    "typing_line",
    "unsent_at_sign_out",
    "unsent_messages",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs("server", f"{__name__}.{name}"):
        return getattr(import_module(f"{__name__}.{home}"), name)
