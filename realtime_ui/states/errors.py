"""What becomes of exceptions in event handlers and in pages' scripts; Reflex would log their words as they are."""

import logging
from typing import Any

import reflex as rx
from reflex.app import default_backend_exception_handler, default_frontend_exception_handler

logger = logging.getLogger(__name__)


def log_errors(app: rx.App) -> None:
    """Have an app log exceptions as plain tracebacks and bounded words, unless it brings handlers of its own."""
    if app.backend_exception_handler is default_backend_exception_handler:
        app.backend_exception_handler = _in_a_handler
    if app.frontend_exception_handler is default_frontend_exception_handler:
        app.frontend_exception_handler = _in_a_page


def _in_a_handler(error: Exception) -> Any:
    logger.error("An event handler failed", exc_info=error)
    return rx.toast.error("Something failed on the server. Try again.", id="backend_error", position="top-center")


def _in_a_page(error: Exception) -> None:
    logger.error("A page's script failed: %s", error.args[0] if error.args else "")
