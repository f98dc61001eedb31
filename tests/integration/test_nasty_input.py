"""Every route of the running app × values that nobody well-meaning sends: never an answer of 5xx."""

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import quote_from_bytes

import httpx
import pytest

from tests.app import App

NASTY = {
    "nul": b"a\0b",
    "surrogate": b"\xed\xa0\x80",
    "not utf-8": b"\xff\xfe",
    "overlong": b"x" * 5_000,
    "origin": b"http://[",
    "dots": b"..",
    "dots and slash": b"../../etc/passwd",
    "controls": b"\x1b[31m\r\nX-Injected: 1",
    "quotes": b"'\";--",
    "number": b"9" * 40,
    "empty": b"",
    "nothing but space": b" ",
    "right to left": "\u202eabc".encode(),
    "format": b"%s%n{0}${x}",
}
SIGNED_IN = ("key", "cookie", "nobody")
PATHS = (
    "/{}",
    "/projects/{}",
    "/sessions/{}",
    "/assets/{}",
    "/api/{}",
    "/api/channels/{}/history",
    "/api/channels/project:{}/history",
    "/api/channels/project:x/history?after={}",
    "/api/channels/project:x/history?before={}&limit={}",
    "/api/stream?channel={}",
    "/api/stream?channel=project:x&cursor={}",
    "/api/stream?channel=project:x&rewind={}&named={}",
    "/api/realtime/token?channel_name={}&socket_id={}",
    "/api/health?x={}",
    "/api/ready?x={}",
    "/api/metrics?x={}",
    "/api/openapi.json?x={}",
    "/_event?token={}&EIO=4&transport=polling",
    "/_event/?token={}&EIO={}&transport=websocket&sid={}",
    "/ping?x={}",
    "/sign-in?problem={}&field={}",
)
HEADERS = ("Origin", "Cookie", "Authorization", "X-Request-ID", "Last-Event-ID", "Content-Type", "X-Forwarded-For")


async def status(app: App, method: str, path: str, headers: dict[str, bytes], body: bytes = b"") -> int:
    """The status that a request is answered with, sent byte by byte as it stands here."""
    reader, writer = await asyncio.open_connection("localhost", app.process.port)
    try:
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Connection: close"]
        sent = {"Host": f"localhost:{app.process.port}".encode(), "Content-Length": str(len(body)).encode(), **headers}
        lines += [name.encode() + b": " + value for name, value in sent.items()]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        line = await asyncio.wait_for(reader.readline(), 60)
    finally:
        writer.close()
    return int(line.split()[1])


@pytest.fixture(params=SIGNED_IN)
def caller(request: pytest.FixtureRequest, app: App) -> Iterator[dict[str, bytes]]:
    """The headers of an API key, of an admin's browser, or of nobody."""
    if request.param == "key":
        yield {"Authorization": f"Bearer {app.key}".encode()}
    elif request.param == "cookie":
        yield {"Cookie": app.cookie("ada@northwind.test").encode()}
    else:
        yield {}


async def assert_no_5xx(app: App, asked: "list[tuple[str, str, dict[str, bytes], bytes]]") -> None:
    """Ask all of it, a few at a time, and name what failed."""
    limit = asyncio.Semaphore(8)

    async def ask(method: str, path: str, headers: dict[str, bytes], body: bytes) -> str | None:
        async with limit:
            found = await status(app, method, path, headers, body)
        return f"{found} for {method} {path[:80]} {headers} {body[:80]!r}" if found >= 500 else None

    failed = [each for each in await asyncio.gather(*(ask(*each) for each in asked)) if each]
    assert not failed, "\n".join(failed)


async def test_paths_and_queries(app: App, caller: dict[str, bytes]) -> None:
    """Percent-encoded, as a browser or curl would send them."""
    encoded = [quote_from_bytes(value, safe="") for value in NASTY.values()]
    await assert_no_5xx(
        app,
        [
            (method, path.replace("{}", value), caller, b"")
            for path in PATHS
            for value in encoded
            for method in ("GET", "POST")
        ],
    )


async def test_headers(app: App, caller: dict[str, bytes]) -> None:
    """Those that the app reads; without line breaks, which would be other headers."""
    values = [value for value in NASTY.values() if not {0, 10, 13} & set(value)]
    paths = ("/", "/api/health", "/api/stream?channel=project:x", "/_event?token=x&EIO=4&transport=websocket")
    await assert_no_5xx(
        app,
        [("GET", path, {**caller, name: value}, b"") for path in paths for name in HEADERS for value in values]
        + [("POST", "/api/sign-out", {"Origin": value}, b"") for value in values],
    )


async def test_forms(app: App) -> None:
    """Each field of each form, as a browser sends it, and as multipart; the answer is a page of the form."""
    forms = {
        "/api/sign-in": ("email", "password"),
        "/api/set-up": ("code", "tenant", "name", "email", "password"),
        "/api/sign-out": ("x",),
    }
    # From an address of their own: failed sign-ins are counted by address, and other tests sign in after these.
    client = {"X-Forwarded-For": b"192.0.2.77"}
    kind = {**client, "Content-Type": b"application/x-www-form-urlencoded"}
    boundary = {**client, "Content-Type": b"multipart/form-data; boundary=b"}
    asked = []
    for path, fields in forms.items():
        for name in fields:
            for value in NASTY.values():
                asked.append(("POST", path, kind, f"{name}={quote_from_bytes(value, safe='')}".encode()))
                head = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
                asked.append(("POST", path, boundary, head + value + b"\r\n--b--\r\n"))
        asked.append(("POST", path, boundary, b"--x\r\nno form at all"))
    await assert_no_5xx(app, asked)
    async with httpx.AsyncClient(base_url=app.url, timeout=60, headers={"X-Forwarded-For": "192.0.2.78"}) as http:
        for form in ({"email": "a\0@b"}, {"email": "x" * 1_001}, {"email": "a@b", "password": "p\0"}):
            answer = await http.post("/api/sign-in", data=form)
            assert (answer.status_code, answer.headers["location"].partition("&")[0]) == (
                303,
                "/sign-in?problem=InvalidRequest",
            )
        answer = await http.post("/api/sign-in", content=b"--x", headers={"Content-Type": "multipart/form-data"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?problem=InvalidRequest&field=")


async def test_json_bodies(app: App) -> None:
    """Each text of an event and of a channel, with escapes that JSON has and UTF-8 has not."""
    texts = [value.decode("utf-8", "surrogateescape") for value in NASTY.values()] + ["\ud800", "a\0"]
    headers = {"Authorization": f"Bearer {app.key}".encode(), "Content-Type": b"application/json"}
    asked = []
    for each in texts:
        for event in (
            {"type": each, "payload": {"projectId": "x"}},
            {"type": "project.updated", "payload": {"projectId": each}},
            {"type": "project.updated", "payload": {"projectId": "nasty", each: 1}},
            {"type": "project.updated", "payload": {"projectId": "nasty", "text": each}},
            {"type": "project.updated", "payload": {"projectId": "nasty"}, "id": each},
            {"type": "project.updated", "payload": {"projectId": "nasty"}, each: 1},
        ):
            asked.append(("POST", "/api/events", headers, json.dumps(event).encode()))
            asked.append(("POST", "/api/events", headers, json.dumps([event]).encode()))
        changes = ({"title": each}, {each: 1}, {"inbound": each})
        asked += [("PUT", "/api/channels/project:nasty", headers, json.dumps(change).encode()) for change in changes]
    for raw in NASTY.values():
        asked.append(("POST", "/api/events", headers, raw))
        asked.append(("PUT", "/api/channels/project:nasty", headers, raw))
    await assert_no_5xx(app, asked)


@pytest.mark.parametrize("path", ["/projects/%00", "/%00", "/api/channels/%00/history"])
async def test_a_nul_in_a_path_is_a_clean_400(app: App, path: str) -> None:
    """Whatever the path would lead to."""
    assert await status(app, "GET", path, {}) == 400


async def test_an_encoded_slash_leads_to_no_other_page(app: App) -> None:
    """The page of a project that is none, and not the start page, which would be taken for it."""
    async with httpx.AsyncClient(timeout=60) as http:
        usual, dots = [await http.get(httpx.URL(app.url, path=path)) for path in ("/projects/abc", "/")]
        odd = await http.get(httpx.URL(app.url, raw_path=b"/projects/..%2f"))
    assert odd.text == usual.text != dots.text
