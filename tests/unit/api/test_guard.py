"""The guard: origins, sizes, headers."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from realtime_ui.access.gate import SCOPE_TOKEN
from realtime_ui.api.guard import Guard, content_security_policy
from realtime_ui.api.site import Site


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and says how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def client(**options: Any) -> httpx.AsyncClient:
    """A client of a guarded echo at http://app.test."""
    settings = {
        "site": Site(["http://app.test", "https://friend.test"], ["inside.test"]),
        "max_body_bytes": 100,
        "pages": None,
        "secure": False,
    }
    guard = Guard(echo, **{**settings, **options})
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://app.test")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://app.test", 200),
        ("https://friend.test", 200),
        ("https://evil.test", 403),
        ("http://app.test.evil.test", 403),
        ("http://app.test:81", 403),
        ("https://app.test", 403),
        ("http://app.test:80", 200),
        ("http://inside.test", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://[::1", 403),
        ("http://app.test@evil.test", 403),
        ("http://ada@app.test", 403),
    ],
)
async def test_a_post_from_another_site_is_refused(origin: str | None, status: int) -> None:
    """The app's own host and the allowed ones may."""
    async with client() as http:
        response = await http.post("/api/sign-in", headers={"Origin": origin} if origin else {})
    assert response.status_code == status
    if status == 403:
        assert response.json()["field"] == "Origin"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("app.test", 200),
        ("app.test:8080", 200),
        ("APP.test", 200),
        ("friend.test", 200),
        ("inside.test", 200),
        ("evil.test", 400),
        ("127.0.0.1", 400),
        ("app.test.evil.test", 400),
        ("[", 400),
        ("", 400),
    ],
)
async def test_a_request_under_a_name_that_is_not_ours_is_refused(host: str, status: int) -> None:
    """Reading too: a name of somebody else's may have been made to resolve here."""
    async with client() as http:
        response = await http.get("/", headers={"Host": host})
        assert response.status_code == status
        if status == 400:
            assert response.json()["field"] == "Host"


async def test_probes_and_whoever_shows_a_key_come_under_any_name() -> None:
    """A load balancer knows an address alone, and a program in the same network another name."""
    async with client() as http:
        for path in ("/api/health", "/api/ready", "/ping"):
            assert (await http.get(path, headers={"Host": "10.0.0.7:3000"})).status_code == 200
        keyed = {"Host": "app:3000", "Authorization": "Bearer rk_x"}
        assert (await http.post("/api/events", headers=keyed)).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:3000", "http://localhost:3000", 200),
        ("127.0.0.1:3000", "http://127.0.0.1:3000", 200),
        ("[::1]:3000", "http://[::1]:3000", 200),
        ("localhost:8080", "http://localhost:8080", 200),
        ("localhost:3000", "http://localhost:8888", 403),
        ("localhost:3000", "https://localhost:3000", 403),
        ("localhost:3000", "null", 403),
        ("rebound.test:3000", "http://rebound.test:3000", 400),
    ],
)
async def test_on_ones_own_machine_its_own_names_will_do(host: str, origin: str, status: int) -> None:
    """With the port that the request names, which is a proxy's or the app's; another program's pages are strangers."""
    async with client(site=Site(["http://localhost:3000"])) as http:
        response = await http.post("/", headers={"Host": host, "Origin": origin})
    assert response.status_code == status


async def test_reading_needs_no_origin() -> None:
    """What another site can only trigger, not read, may come."""
    async with client() as http:
        assert (await http.get("/", headers={"Origin": "https://evil.test"})).status_code == 200


async def test_a_body_above_the_bound_is_refused_before_it_is_read() -> None:
    """By its declared length; 413 as a problem."""
    async with client() as http:
        assert (await http.post("/", content=b"x" * 100)).text == "100"
        response = await http.post("/", content=b"x" * 101)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/projects/..%2f", "/projects/..%2f"),
        ("/projects/a%20b", "/projects/a b"),
        ("/projects/a%2fb", "/projects/a/b"),
    ],
)
async def test_an_encoded_slash_leads_to_no_other_page(asked: str, path: str) -> None:
    """Whoever looks for a page's file would take `..` for the folder above; all else comes decoded."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await echo(scope, receive, send)

    guard = Guard(app, site=Site(["http://app.test"]), max_body_bytes=100, pages=None, secure=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://app.test") as http:
        assert (await http.get(httpx.URL("http://app.test", raw_path=asked.encode()))).status_code == 200
    assert seen == [path]


async def test_a_nul_in_the_path_is_refused() -> None:
    """The file system raises at it."""
    async with client() as http:
        assert (await http.get("/projects/%00")).status_code == 400


async def test_every_answer_carries_the_security_headers() -> None:
    """Refusals too."""
    async with client(secure=True) as http:
        for response in (await http.get("/"), await http.post("/", headers={"Origin": "https://evil.test"})):
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["x-frame-options"] == "DENY"
            assert "max-age" in response.headers["strict-transport-security"]


async def test_the_api_is_not_cached_and_hashed_assets_are() -> None:
    """The one may change at any time, the others never."""
    async with client() as http:
        assert (await http.get("/api/x")).headers["cache-control"] == "no-store"
        assert "immutable" in (await http.get("/assets/x-123.js")).headers["cache-control"]


async def test_pages_are_asked_for_again_and_a_missing_asset_is_not_remembered() -> None:
    """A page names the assets of its build; what one machine does not have, another may."""
    async with client() as http:
        for path in ("/", "/projects/x", "/external/realtime.css"):
            assert (await http.get(path)).headers["cache-control"] == "no-cache"
    guard = Guard(
        Response(status_code=404), site=Site(["http://app.test"]), max_body_bytes=100, pages=None, secure=False
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://app.test") as http:
        assert (await http.get("/assets/x-123.js")).headers["cache-control"] == "no-store"


def test_the_policy_names_inline_scripts_by_hash_and_allows_no_eval(tmp_path: Path) -> None:
    """As they were built, wherever in the tree."""
    (tmp_path / "deep").mkdir()
    page = '<script>one()</script><script src="/a.js"></script><script type="module">two()</script>'
    (tmp_path / "deep" / "index.html").write_text(page)
    policy = content_security_policy(tmp_path)
    for script in ("one()", "two()"):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == 2
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]


async def test_a_request_keeps_its_own_id_where_that_is_sane() -> None:
    """Anything else, which could forge lines of a log, is replaced; each request has one."""
    async with client() as http:
        for given in ("abc-123", "0" * 64):
            assert (await http.get("/", headers={"X-Request-ID": given})).headers["x-request-id"] == given
        made = set()
        for given in ("", "x" * 65, 'a" injected="1', "a b"):
            made.add((await http.get("/", headers={"X-Request-ID": given})).headers["x-request-id"])
        assert len(made) == 4
        assert all(len(request) == 32 for request in made)


async def test_a_problem_names_its_request() -> None:
    """So that whoever reports it can be helped."""
    async with client() as http:
        response = await http.post("/", content=b"x" * 101, headers={"X-Request-ID": "mine"})
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"


async def socket_through_guard(headers: list[tuple[bytes, bytes]]) -> tuple[Scope | None, list[Any]]:
    """What the app behind the guard saw of a WebSocket, and what was sent back."""
    seen: list[Scope] = []
    sent: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(app, site=Site(["http://app.test"]), max_body_bytes=100, pages=None, secure=False)
    await guard({"type": "websocket", "path": "/_event/", "headers": headers}, receive, send)
    return (seen[0] if seen else None), sent


async def test_a_socket_from_another_site_is_closed() -> None:
    """Before anything of the app hears of it."""
    scope, sent = await socket_through_guard([(b"host", b"app.test"), (b"origin", b"https://evil.test")])
    assert scope is None
    assert sent[0]["type"] == "websocket.close"


async def test_the_session_cookie_travels_beside_a_sockets_headers() -> None:
    """Reflex shows a socket's headers to the page's scripts."""
    headers = [(b"host", b"app.test"), (b"cookie", b"theme=dark; realtime_session=secret")]
    scope, _ = await socket_through_guard(headers)
    assert scope is not None
    assert scope[SCOPE_TOKEN] == "secret"
    assert (b"cookie", b"theme=dark") in scope["headers"]
    assert b"secret" not in repr(scope["headers"]).encode()
