"""One worker process: uvicorn with the app, for as long as the parent lives.

    python -m realtime_ui.worker MODULE:APP HOST PORT

The parent holds the other end of standard input, and writes one line to it: the set-up code, or nothing. When it dies,
however it dies, this process ends at once: it would keep the port, and nobody would watch over it. Tabs come back to
the next one by seq.
"""

import os
import socket
import sys
import threading
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.importer import import_from_string

from realtime_ui import ports
from realtime_ui.http_deadlines import timely_http
from realtime_ui.hub.fanout import remember_send
from realtime_ui.hub.namespace import MAX_FRAME_BYTES
from realtime_ui.runtime import tell_going_away
from realtime_ui.settings import load_settings

DRAIN_S = 3


class Server(uvicorn.Server):
    """uvicorn, which waits for open answers when it ends; streams would be open for minutes."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say why to sockets and streams, end the streams, then all the rest."""
        tell_going_away()
        await super().shutdown(sockets)


def main(target: str, host: str, port: str) -> None:
    """Serve the Reflex app that `target` names."""
    _read_setup_code()
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()

    def create() -> ASGIApp:
        return remember_send(import_from_string(target)())

    settings = load_settings()
    config = uvicorn.Config(
        create,
        factory=True,
        log_level="warning",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=DRAIN_S,
        ws_per_message_deflate=False,  # 41 instead of 15 µs a delivery, for frames that are small anyway
        ws_max_size=MAX_FRAME_BYTES,
        http=timely_http(settings.request_seconds),
    )
    server = Server(config)
    with suppress(KeyboardInterrupt), ports.share(host, int(port)) as own:
        server.run(sockets=[own])
    if not server.started:
        sys.exit(1)


def _read_setup_code() -> None:
    """Take the set-up code, the first line of standard input, into the settings and leave it nowhere else."""
    os.environ["SETUP_CODE"] = sys.stdin.readline().strip()
    load_settings()
    del os.environ["SETUP_CODE"]


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
