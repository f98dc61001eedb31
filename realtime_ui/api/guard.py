"""One ASGI wrapper around everything: origins, body size, security headers, no-store for the API, a request id.

Browsers send an Origin with every WebSocket and every unsafe request; a foreign one is refused here, for
pages, API and sockets alike, so Socket.IO's own check (which an empty list would switch off) is not needed.
"""

import base64
import hashlib
import json
import re
import uuid
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime_ui.access.gate import SCOPE_TOKEN, session_token, without_session
from realtime_ui.api.site import Site
from realtime_ui.core.errors import InvalidRequest, NotAllowed, RealtimeError, TooLarge
from realtime_ui.core.logs import REQUEST_ID

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
LIKE_SOCKETS = {"/api/stream"}
"""Paths that are read for as long as a page is open; another site's page is refused, as with a WebSocket."""
SANE_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


class Guard:
    """Wraps an ASGI app.

    Args:
        app: what is guarded.
        site: the origins and hosts that requests may come from and under.
        max_body_bytes: the largest request body.
        pages: the folder of built pages, whose inline scripts the CSP names by hash; None in development.
        secure: whether the site is reached over TLS (adds HSTS).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        site: Site,
        max_body_bytes: int,
        pages: Path | None,
        secure: bool,
    ) -> None:
        self._app = app
        self._site = site
        self._max_body_bytes = max_body_bytes
        self._headers = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "x-frame-options": "DENY",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }
        if pages is not None:
            self._headers["content-security-policy"] = content_security_policy(pages)
        if secure:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] == "websocket":
            headers = Headers(scope=scope)
            if not (
                self._site.host_fits(scope["path"], headers)
                and self._site.origin_fits(scope.get("scheme", "ws"), headers)
            ):
                await _refuse_socket(receive, send)
                return
            _put_session_cookie_aside(scope)
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        REQUEST_ID.set(request_id)  # for this request's task and what it starts

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    answer.setdefault("cache-control", "no-store")
                elif not scope["path"].startswith("/assets/"):
                    answer.setdefault("cache-control", "no-cache")  # pages name the assets of their build
                elif message["status"] in (200, 206, 304):
                    answer.setdefault("cache-control", "public, max-age=31536000, immutable")
                else:
                    answer.setdefault("cache-control", "no-store")  # another machine may have it
            await send(message)

        if not self._site.host_fits(scope["path"], headers):
            unknown = InvalidRequest(
                "The request names a host that this app does not answer for.",
                field="Host",
                remedy="Use the address in PUBLIC_URL, or add the host to ALLOWED_HOSTS.",
            )
            await send_problem(send_with_headers, unknown)
            return
        guarded = scope["method"] not in SAFE_METHODS or scope["path"] in LIKE_SOCKETS
        if guarded and not self._site.origin_fits(scope["scheme"], headers):
            foreign = NotAllowed(
                "The request comes from another site.", field="Origin", remedy="Send it from the app's own pages."
            )
            await send_problem(send_with_headers, foreign)
            return
        if "\0" in scope["path"]:  # no file or channel has it in its name, and the file system raises at it
            await send_problem(
                send_with_headers, InvalidRequest("The path holds a NUL character.", remedy="Send it without %00.")
            )
            return
        raw = scope.get("raw_path", b"").decode("latin-1")
        if ".." in scope["path"].split("/") and ".." not in raw.split("/"):
            scope = {**scope, "path": raw}  # an encoded slash leads to no other page
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_body_bytes:
            await send_problem(send_with_headers, self._too_large())
            return
        await self._app(scope, self._bounded(receive), send_with_headers)

    def _bounded(self, receive: Receive) -> Receive:
        """Counts a body that came without its length."""
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body_bytes:
                raise self._too_large()
            return message

        return bounded

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"The body passes the limit of {self._max_body_bytes:,} bytes.", remedy="Send less in one request."
        )


def _request_id(headers: Headers) -> str:
    """The caller's own X-Request-ID where it is short and plain, else a new one."""
    given = headers.get("x-request-id", "")
    return given if SANE_ID.fullmatch(given) else uuid.uuid4().hex


def content_security_policy(pages: Path) -> str:
    """The policy for built pages: own scripts, and inline ones only by the hash they were built with."""
    hashes = set()
    for page in pages.rglob("*.html"):
        for script in INLINE_SCRIPT.findall(page.read_text(encoding="utf-8")):
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            hashes.add(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(["script-src 'self'", *sorted(hashes)]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "object-src 'none'",
        )
    )


async def send_problem(send: Send, error: RealtimeError) -> None:
    """Answer a request with an error, outside any framework."""
    body = json.dumps(error.problem()).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _put_session_cookie_aside(scope: Scope) -> None:
    """Move the session's token from a socket's headers into its scope.

    Reflex sends a tab all headers of its socket as state, where scripts can read them; an HttpOnly cookie
    would be none.
    """
    cookies = Headers(scope=scope).get("cookie")
    if cookies is None:
        return
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
    if rest := without_session(cookies):
        scope["headers"].append((b"cookie", rest.encode("latin-1")))
    scope[SCOPE_TOKEN] = session_token(cookies)


async def _refuse_socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": "Origin not allowed"})
