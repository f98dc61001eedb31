"""Doors: every event handler, namespace event and route, called by those who may not."""

import asyncio
import inspect
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from reflex_base.registry import RegistrationContext
from socketio.exceptions import ConnectionError as Refused

from realtime_ui import realtime_ui as application
from realtime_ui.access.gate import SCOPE_TOKEN
from realtime_ui.api.app import create_api
from realtime_ui.hub.feed import FeedNamespace
from tests.app import App
from tests.tab import Tab, open_tab

SECRET = f"secret-{uuid.uuid4().hex}"
PROJECT = uuid.uuid4().hex[:12]
OWN_ROUTES_OPEN_TO_ALL = {"/api/sign-in", "/api/sign-out", "/api/set-up", "/api", "/api/{path:path}"}
OWN_ROUTES_OPEN_TO_ALL |= {"/api/health", "/api/ready", "/api/session"}
"""Routes that are there for strangers; each has its own tests."""
SCOPES_OF_THEIR_OWN = {"/api/metrics", "/api/realtime/token", "/api/keys"}
"""Routes that a usual key may not call at all."""


@pytest.fixture(scope="module")
def secret(app: App) -> str:
    """Northwind's secret: a title, a field and a message on a project."""
    app.emit(("project.updated", {"projectId": PROJECT, "changes": {"code": SECRET}}))
    title = {"title": SECRET}
    headers = {"Authorization": f"Bearer {app.key}"}
    assert httpx.put(f"{app.url}/api/channels/project:{PROJECT}", json=title, headers=headers).status_code == 200
    return SECRET


def handlers() -> list[str]:
    """Every event handler that any socket can name."""
    assert application.app is not None
    return sorted(RegistrationContext.get().event_handlers)


def northwind(app: App) -> dict[str, int]:
    """How many rows Northwind has in each table, and how many people and tenants there are."""
    tenant = "(SELECT id FROM tenants WHERE name = 'Northwind')"
    tables = ("realtime_channels", "realtime_events_log", "memberships", "api_keys", "sign_in_sessions")
    queries = {table: f"SELECT count(*) FROM {table} WHERE tenant_id = {tenant}" for table in tables}
    queries |= {table: f"SELECT count(*) FROM {table}" for table in ("people", "tenants")}
    with sa.create_engine(app.database_url, poolclass=sa.NullPool).connect() as connection:
        return {table: int(connection.execute(sa.text(query)).scalar_one()) for table, query in queries.items()}


async def test_every_event_handler_gives_strangers_nothing(app: App, secret: str) -> None:
    """Called by name with every argument it could want, by nobody and by another tenant's admin."""
    assert len(handlers()) > 10
    before = northwind(app)
    for cookie in (None, app.cookie("eve@contoso.test")):
        async with open_tab(app.url, cookie, "/_event") as tab:
            for name in handlers():
                for payload in (
                    {},
                    {"form": {"text": "hello"}},
                    {"project_id": PROJECT, "channel": f"project:{PROJECT}"},
                ):
                    data = {
                        "name": name,
                        "payload": payload,
                        "router_data": {
                            "pathname": f"/projects/{PROJECT}",
                            "asPath": f"/projects/{PROJECT}",
                            "query": {"project_id": PROJECT, "session_id": PROJECT},
                        },
                    }
                    await tab.client.emit("event", data, namespace="/_event")
            await tab.until(lambda: tab.updates)  # the handlers are reached
            await asyncio.sleep(1)
            assert secret not in str(tab.updates)
            assert "rk_" not in str(tab.updates) or cookie, "a key for nobody"
    assert northwind(app) == before


def namespace_events() -> list[str]:
    """Every event of `/feed`."""
    return [
        name.removeprefix("on_")
        for name, _ in inspect.getmembers(FeedNamespace, inspect.isfunction)
        if name.startswith("on_") and name not in ("on_connect", "on_disconnect")
    ]


async def test_a_look_at_a_page_makes_no_key(app: App) -> None:
    """Not even an admin's first one: a key is made at a click, by the API, and is in no state."""
    before = northwind(app)
    for page in ("/", "/set-up"):
        async with open_tab(app.url, app.cookie("ada@northwind.test"), "/_event", page=page) as tab:
            await tab.until(lambda: "Northwind" in str(tab.updates))
            await tab.event("reflex___state____state.hydrate")
            assert "rk_" not in str(tab.updates)
    assert northwind(app)["api_keys"] == before["api_keys"]


async def test_a_socket_cannot_connect_again_under_an_environment_of_its_own(app: App, secret: str) -> None:
    """The server's own events are not a client's to send, nor are names and arguments that no handler takes."""
    cookie = app.cookie("ada@northwind.test")
    forged = {"QUERY_STRING": "token=x", "asgi.scope": {"headers": [], SCOPE_TOKEN: cookie.partition("=")[2]}}
    async with open_tab(app.url, cookie) as ada, open_tab(app.url, app.cookie("eve@contoso.test")) as eve:
        for namespace in ("/_event", "/feed"):
            for event in ("connect", "disconnect", "no such event", "__class__"):
                for arguments in ((forged,), (forged, None), ("reason",), ()):
                    await eve.client.emit(event, arguments, namespace=namespace)
        await eve.event("reflex___state____state.realtime_ui___states___session____session_state.load")
        await eve.until(lambda: "Contoso" in str(eve.updates))
        assert "Northwind" not in str(eve.updates)
        assert not (await eve.sub(f"project:{PROJECT}"))["rows"]
        assert (await ada.sub(f"project:{PROJECT}", rewind=10))["rows"]


async def test_every_feed_event_gives_nobody_nothing(app: App) -> None:
    """A stranger's namespace does not connect, so no event reaches it."""
    tab = Tab(app.url, None)
    with pytest.raises(Refused):
        await tab.connect("/feed")
    await tab.client.disconnect()


async def test_every_feed_event_gives_another_tenant_nothing(app: App, secret: str) -> None:
    """The same channel name is another channel there."""
    assert {"sub", "unsub", "lobby"} <= set(namespace_events())
    async with open_tab(app.url, app.cookie("eve@contoso.test")) as tab:
        for event in namespace_events():
            answer = await tab.call(event, {"channel": f"project:{PROJECT}", "last": 0, "epoch": "", "rewind": 500})
            assert secret not in str(answer)
            # Its own session of that id is one that an earlier test made there.
            assert f"project:{PROJECT}" not in str(answer.get("rows"))
        await asyncio.to_thread(app.emit, ("project.updated", {"projectId": PROJECT, "changes": {"code": secret}}))
        await asyncio.sleep(1.5)
        assert tab.frames == []
        assert PROJECT not in str(tab.lobby)


async def test_every_feed_event_gives_another_tenants_admin_nothing_of_the_server(app: App) -> None:
    """How the workers are, and what holds for all tenants, is for operators: the first tenant's admins."""
    look = {"page": "health", "look": True}
    wish = {"type": "project", "interval_ms": 1_000, "timeout_ms": 2_000}
    async with open_tab(app.url, app.cookie("eve@contoso.test")) as tab:
        for event in namespace_events():
            answer = await tab.call(event, {**look, **wish, "channel": f"project:{PROJECT}"})
            assert "workers" not in str(answer)
            assert "timeout_ms" not in str(answer.get("config"))
        assert (await tab.call("set_heartbeat", wish))["error"]["status"] == 403


def api_routes(router: Any) -> Iterator[APIRoute]:
    """Every route of an app, those of the routers it includes among them."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from api_routes(route.original_router)


def routes() -> list[tuple[str, str]]:
    """Every guarded route of the API with each of its methods."""
    return [
        (method, route.path)
        for route in api_routes(create_api())
        if route.path not in OWN_ROUTES_OPEN_TO_ALL
        for method in sorted(route.methods or ())
    ]


async def test_every_route_gives_strangers_nothing(app: App, secret: str) -> None:
    """Without a credential 401; with another tenant's key nothing of this one's."""
    assert len(routes()) >= 3
    before = northwind(app)
    body: Any = {"type": "project.updated", "payload": {}, "title": None}
    async with httpx.AsyncClient(base_url=app.url) as http:
        for method, path in routes():
            address = path.replace("{name}", f"project:{PROJECT}")
            content = None if method in ("GET", "HEAD") else body
            response = await http.request(method, address, json=content)
            assert response.status_code == 401, (method, address, response.text)
            other = {"Authorization": f"Bearer {app.keys['Contoso']}"}
            response = await http.request(method, address, json=content, headers=other)
            assert secret not in response.text
            expected = (403,) if path in SCOPES_OF_THEIR_OWN else (400, 404, 422)
            assert response.status_code in expected, (method, address, response.text)
    assert northwind(app) == before


async def test_strangers_get_401_before_anything_of_their_request_is_judged(app: App) -> None:
    """Broken bodies, wrong fields and senseless parameters teach nobody anything, and cost no parsing."""
    async with httpx.AsyncClient(base_url=app.url) as http:
        for method, path in routes():
            address = path.replace("{name}", "no%20channel") + "?limit=x&rewind=x&channel="
            for body in (b"{", b'{"unknown": 1}', b"\xff"):
                response = await http.request(
                    method, address, content=body, headers={"Content-Type": "application/json"}
                )
                assert response.status_code == 401, (method, address, response.text)


async def test_cross_origin_reads_are_not_allowed(app: App) -> None:
    """CORS is closed: another site's script gets no permission to read, nor to send with credentials."""
    async with httpx.AsyncClient(base_url=app.url) as http:
        for path in ("/", "/api/openapi.json", "/ping"):
            response = await http.get(path, headers={"Origin": "http://evil.test"})
            assert "access-control-allow-origin" not in response.headers, path
        preflight = await http.options(
            "/api/events", headers={"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}
        )
        assert "access-control-allow-origin" not in preflight.headers


async def test_the_session_cookie_is_not_shown_to_scripts(app: App) -> None:
    """Reflex sends a tab the headers of its socket; the HttpOnly cookie is not among them."""
    cookie = app.cookie("ada@northwind.test")
    async with open_tab(app.url, cookie, "/_event") as tab:
        await tab.event("reflex___state____state.hydrate_and_load", {"hashes": []})
        await tab.until(lambda: "user_agent" in str(tab.updates) or "host" in str(tab.updates))
        assert cookie.partition("=")[2] not in str(tab.updates)
