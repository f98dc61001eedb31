"""Why a connection ends: one table for sockets and streams, for the page, and for the documents.

The server sends an ending as `closed {code, name, detail, reconnect, after_ms, action}` before it disconnects. Codes
lie in 4000-4999, the range that RFC 6455 leaves to applications.
"""

from dataclasses import dataclass
from enum import Enum

from realtime_ui.core.messages import Json


@dataclass(frozen=True, slots=True)
class EndingRow:
    """One row of the table.

    Args:
        code: the number, which never changes its meaning.
        happened: what happened, for the documents.
        reconnect: whether the client should connect again by itself.
        after_ms: how long the client waits before it does, in ms; it adds jitter of half of that either way.
        action: what a person can do, for the page's link: `sign_in`, `reload` or nothing.
        says: what the page says.
    """

    code: int
    happened: str
    reconnect: bool
    after_ms: int
    action: str
    says: str


class Ending(Enum):
    """Every way in which the server ends a connection. The name in lower case is the name on the wire."""

    SIGNED_OUT = EndingRow(4001, "The browser signed out.", False, 0, "sign_in", "You have been signed out.")
    SESSION_EXPIRED = EndingRow(
        4002,
        "The sign-in session or API key is not valid any more, or there is none.",
        False,
        0,
        "sign_in",
        "Your session has ended. Sign in to go on.",
    )
    RIGHTS_CHANGED = EndingRow(
        4003,
        "The caller's role or organization changed, or a channel may not be read.",
        False,
        0,
        "reload",
        "Your rights have changed. Reload the page to go on.",
    )
    CLOSED_BY_ADMIN = EndingRow(
        4004,
        "An admin closed the connection.",
        False,
        0,
        "reload",
        "An admin closed this connection. Reload the page to come back.",
    )
    PROTOCOL_ERROR = EndingRow(
        4005,
        "The client sent what the server cannot accept.",
        False,
        0,
        "reload",
        "This page and the server do not understand each other. Reload the page.",
    )
    GOING_AWAY = EndingRow(
        4011,
        "The worker stops, as in a deploy.",
        True,
        500,
        "",
        "The server is restarting. Reconnecting…",
    )
    TOO_SLOW = EndingRow(
        4012,
        "Too much was waiting to be sent, and the client did not read it.",
        True,
        2_000,
        "",
        "This connection is too slow to keep up. Reconnecting…",
    )
    SILENT = EndingRow(
        4013,
        "The client left heartbeats unanswered.",
        True,
        500,
        "",
        "This page was not answering. Reconnecting…",
    )
    TOO_MANY_CONNECTIONS = EndingRow(
        4014,
        "The person, key or network address has as many connections as are allowed.",
        True,
        30_000,
        "",
        "Too many connections are open for you. Close some tabs; this page tries again by itself.",
    )
    UNAVAILABLE = EndingRow(
        4015,
        "A part of the server, such as its database, is away.",
        True,
        3_000,
        "",
        "The server cannot answer now. Reconnecting…",
    )
    TIME_UP = EndingRow(
        4016,
        "A stream has lasted for about ten minutes (`STREAM_SECONDS`).",
        True,
        2_000,
        "",
        "This stream was open for long. Reconnecting…",
    )

    def packet(self, detail: str = "", *, after_ms: int | None = None) -> dict[str, Json]:
        """The ending as it is sent.

        Args:
            detail: a more exact sentence for people; the table's own when "".
            after_ms: how long to wait before connecting again, where that is known better than in the table.
        """
        row = self.value
        return {
            "code": row.code,
            "name": self.name.lower(),
            "detail": detail or row.says,
            "reconnect": row.reconnect,
            "after_ms": row.after_ms if after_ms is None else after_ms,
            "action": row.action,
        }


def markdown_table() -> str:
    """The table as it stands in the documents."""
    lines = ["| code | name | what happened | reconnect | the page says |", "|---|---|---|---|---|"]
    for ending in Ending:
        row = ending.value
        reconnect = f"after {row.after_ms / 1000:g} s" if row.reconnect else "no"
        lines.append(f"| {row.code} | `{ending.name.lower()}` | {row.happened} | {reconnect} | {row.says} |")
    return "\n".join(lines) + "\n"
