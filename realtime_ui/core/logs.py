"""Structured logs: every line of a worker's loggers as JSON, or as text for a terminal.

The house logs with the standard library; what a line is about goes into `extra`, and becomes fields beside
the time, the level, the logger and the id of the HTTP request that led to it.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the HTTP request that this code runs for; set by the guard."""

# Libraries that bring handlers of their own; ours takes their lines as well.
_WITH_HANDLERS = ("uvicorn", "uvicorn.access", "engineio.server", "socketio.server")
# Tell every request at INFO.
_CHATTY = ("httpx", "httpcore")


def configure_logging(style: str, level: str) -> None:
    """Send everything that is logged in this process to standard error, one line a record.

    Args:
        style: `json` or `text`; "" is text when standard error is a terminal, else json.
        level: the least that is shown, such as `INFO`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(style or ("text" if sys.stderr.isatty() else "json")))
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = [handler]
    for name in _WITH_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(style: str) -> logging.Formatter:
    """What turns a record into a line of that style."""
    # Only a worker needs it; a program that merely reads `REQUEST_ID` does not.
    import structlog

    processors = structlog.stdlib.ProcessorFormatter
    if style == "json":
        ends: list[Any] = [
            structlog.processors.EventRenamer("message"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        ends = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return processors(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _add_request_id,
        ],
        processors=[processors.remove_processors_meta, *ends],
    )


def _add_request_id(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request = REQUEST_ID.get()
    if request is not None:
        line["request_id"] = request
    return line
