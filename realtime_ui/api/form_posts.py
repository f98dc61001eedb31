"""Routes of forms that a browser itself sends: whatever happens, the answer is a page and no JSON.

Errors go back to the form as a name in the query, never as text that a link could forge.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from realtime_ui.core.errors import InvalidRequest, RealtimeError

logger = logging.getLogger(__name__)

FORM_PAGES = {"/api/sign-in": "/sign-in", "/api/sign-out": "/sign-in", "/api/set-up": "/set-up"}
"""The page of each form, by the path that takes it."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    return text


Text = Annotated[str, Form(max_length=1000), AfterValidator(_without_nul)]
"""A field of a form."""


class FormRoute(APIRoute):
    """A route that answers every failure with its form's page, where it has a form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its failures caught."""
        handle = super().get_route_handler()
        if self.path not in FORM_PAGES:
            return handle

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except RealtimeError as error:
                return back(request, error)
            except RequestValidationError as error:
                return back(request, InvalidRequest("A field is not valid.", field=str(error.errors()[0]["loc"][-1])))
            except HTTPException:  # the body is no form
                return back(request, InvalidRequest("The form cannot be read."))
            except Exception as error:
                logger.error("Unexpected error at %s", self.path, exc_info=error)
                return back(request, RealtimeError("The server failed at this request."))

        return answered


def back(request: Request, error: RealtimeError, **more: str) -> RedirectResponse:
    """Back to the form, with the error's name, and whatever else its page needs."""
    query = urlencode({"problem": type(error).__name__, "field": error.field or "", **more})
    return to_page(request, f"{FORM_PAGES[request.scope['route'].path]}?{query}")


def to_page(request: Request, path: str) -> RedirectResponse:
    """On to a page of the site that sent the form: in development pages have a port of their own.

    The guard has checked the Origin.
    """
    return RedirectResponse(request.headers.get("origin", "") + path, status_code=303)
