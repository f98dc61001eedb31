"""Form posts that set and clear the session cookie, each answered with a 303 to a page; and who is signed in."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel
from starlette.responses import RedirectResponse

from realtime_ui.access.gate import COOKIE, session_token
from realtime_ui.api.form_posts import FormRoute, Text, back, to_page
from realtime_ui.api.identity import client_address
from realtime_ui.core.addresses import HOME, local_address
from realtime_ui.core.errors import NotSignedOut, RealtimeError, Unavailable
from realtime_ui.runtime import current

router = APIRouter(tags=["sign-in"], include_in_schema=False, route_class=FormRoute)


@router.post("/api/sign-in")
async def sign_in(
    request: Request, email: Text = "", password: Text = "", next: Annotated[str, Form()] = ""
) -> RedirectResponse:
    """Check a password; 303 with the cookie to the page `next` of this site, or back to the form."""
    address = local_address(next)
    try:
        gate = current().gate
        token = await gate.sign_in(email, password, client_address(request))
        # The browser's former session ends. Its open tabs are told a moment later, when the browser has the new cookie.
        await gate.sign_out(session_token(request.headers.get("cookie")))
    except RealtimeError as error:
        return back(request, error, **({} if address == HOME else {"next": address}))
    return _signed_in(request, address, token)


class Signed(BaseModel):
    """Whose session the browser's cookie is now."""

    person: uuid.UUID | None = None
    tenant: uuid.UUID | None = None


@router.get("/api/session")
async def session(request: Request) -> Signed:
    """Who is signed in now; a page asks when its socket, which keeps the cookie it came with, has been told to go."""
    person = await current().gate.by_token(session_token(request.headers.get("cookie")))
    return Signed(person=person.id, tenant=person.tenant) if person else Signed()


@router.post("/api/sign-out")
async def sign_out(request: Request) -> RedirectResponse:
    """End the session, its feeds and its streams; 303 to the sign-in page.

    Without the database the browser forgets the session all the same, and the page says that it was not ended.
    """
    runtime = current()
    try:
        session = await runtime.gate.sign_out(session_token(request.headers.get("cookie")))
    except Unavailable as error:
        response = back(request, NotSignedOut(error.detail))
    else:
        response = to_page(request, "/sign-in")
        if session is not None:
            await runtime.feed.close_session(session)
            runtime.streams.close_session(session)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.post("/api/set-up")
async def set_up(
    request: Request, code: Text = "", tenant: Text = "", name: Text = "", email: Text = "", password: Text = ""
) -> RedirectResponse:
    """Make the first tenant and admin with the terminal's code; 303 on to the set-up page, or back to the form."""
    token = await current().gate.set_up(code, tenant, email, name, password, client_address(request))
    return _signed_in(request, "/set-up", token)


def _signed_in(request: Request, page: str, token: str) -> RedirectResponse:
    settings = current().settings
    response = to_page(request, page)
    response.set_cookie(
        COOKIE,
        token,
        max_age=settings.sign_in_days * 86_400,
        httponly=True,
        secure=settings.secure_cookies,
        samesite="lax",
        path="/",
    )
    return response
