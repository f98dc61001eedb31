"""Structured logs: every line of a worker's loggers as JSON, or as text for a terminal.

Code logs with the standard library; what a line is about goes into `extra`, and becomes fields beside the time, the
level, the logger and the id of the HTTP request that led to it. Both formats escape, bound and redact alike
(`core/log_lines.py`), and one place cannot flood the log (`core/log_throttle.py`).
"""

import asyncio
import copy
import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

from realtime_ui.core.log_lines import (
    MAX_ITEMS,
    MAX_MESSAGE,
    MAX_TRACEBACK,
    ErrorText,
    error_text,
    safe_text,
    safe_value,
    traceback_text,
    without_quoted,
)
from realtime_ui.core.log_throttle import Throttle

logger = logging.getLogger(__name__)

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the HTTP request that this code runs for; set by the guard."""

# Libraries that bring handlers of their own; ours takes their lines as well.
_WITH_HANDLERS = ("uvicorn", "uvicorn.access", "engineio.server", "socketio.server", "reflex")
# Tell every request at INFO.
_CHATTY = ("httpx", "httpcore")
# Builds its lines from what clients send, in quotes.
_QUOTES_CLIENTS = ("reflex", "reflex_base")

_throttle = Throttle()


def configure_logging(style: str, level: str) -> None:
    """Send everything that is logged in this process to standard error, one line a record.

    Args:
        style: `json` or `text`; "" is text when standard error is a terminal, else json.
        level: the least that is shown, such as `INFO`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(style or ("text" if sys.stderr.isatty() else "json")))
    handler.addFilter(_throttle)
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = [handler]
    for name in _WITH_HANDLERS:
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a line that cannot be formatted would be printed raw, with its arguments


def report_suppressed() -> None:
    """Say of each place that was held back, and is quiet now, how many of its lines are missing."""
    for (name, path, line, kind), count in _throttle.take_suppressed().items():
        about = {"of": name, "place": f"{path}:{line}", "error": kind, "suppressed": count}
        logger.warning("Log lines were left out", extra=about)


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log exceptions that nobody waits for as any others: asyncio's own lines show their words, payloads and all."""
    loop.set_exception_handler(_loop_error)


def _loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    task = context.get("task") or context.get("future")
    coroutine = task.get_coro() if isinstance(task, asyncio.Task) else None
    of = getattr(coroutine, "__qualname__", type(task).__name__)
    logger.error("%s (%s)", context.get("message"), of, exc_info=context.get("exception"))


class _LineFormatter(logging.Formatter):
    """Bounds what a record is made of, before its message is put together, and passes it on."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        record = copy.copy(record)  # other handlers may have it, too
        if isinstance(record.args, tuple):
            record.args = tuple(ErrorText(error_text(each)) if isinstance(each, BaseException) else each
                                for each in record.args)  # fmt: skip
        return self._inner.format(record)


def formatter(style: str) -> logging.Formatter:
    """What turns a record into a line of that style."""
    # Only a worker needs it; a program that merely reads `REQUEST_ID` does not.
    import structlog

    processors = structlog.stdlib.ProcessorFormatter
    if style == "json":
        ends: list[Any] = [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]
    else:
        # Its default would render every frame's locals: seconds on the event loop, and secrets in the log.
        plain = structlog.dev.plain_traceback
        ends = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return _LineFormatter(
        processors(
            foreign_pre_chain=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _add_request_id,
            ],
            processors=[processors.remove_processors_meta, _make_safe, *ends],
        )
    )


def _add_request_id(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request = REQUEST_ID.get()
    if request is not None:
        line["request_id"] = request
    return line


def _make_safe(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape and bound everything that a line holds."""
    message, error, stack = str(line.pop("event", "")), line.pop("exc_info", None), line.pop("stack_info", None)
    if str(line.get("logger", "")).partition(".")[0] in _QUOTES_CLIENTS:
        message = without_quoted(message)
    safe: dict[str, Any] = {key: safe_value(value) for key, value in list(line.items())[: 2 * MAX_ITEMS]}
    safe["event"] = safe_text(message, MAX_MESSAGE)
    if isinstance(error, tuple) and isinstance(error[1], BaseException):
        safe["exception"] = traceback_text(error[1])
    elif stack:
        safe["stack"] = "\n".join(safe_text(each) for each in str(stack)[:MAX_TRACEBACK].splitlines())
    return safe
