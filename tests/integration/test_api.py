"""The HTTP API on a running worker: each answer and each error."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from realtime_ui.access.gate import COOKIE
from realtime_ui.access.limits import RateLimiter
from realtime_ui.api.app import create_api
from realtime_ui.core.errors import NotAuthenticated, RateLimited
from realtime_ui.core.principals import Role, Scope
from realtime_ui.runtime import KEY_BURST, Runtime
from tests.clock import ManualClock
from tests.people import have_person, tenants

PASSWORD = "a long enough password"
EVENT = {"type": "project.updated", "payload": {"projectId": "abc123", "changes": {"status": "completed"}}}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, without credentials."""
    transport = httpx.ASGITransport(create_api(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        yield client


async def make_key(runtime: Runtime, *scopes: Scope, tenant: str = "Northwind") -> dict[str, str]:
    """The header of a new key of a tenant."""
    await have_person(runtime.database, tenant, f"ada@{tenant.lower()}.test", "Ada", Role.ADMIN)
    identity = next(identity for identity, name in await tenants(runtime.database) if name == tenant)
    return {"Authorization": f"Bearer {await runtime.gate.add_key(identity, 'tests', frozenset(scopes or Scope))}"}


@pytest.fixture
async def key(runtime: Runtime) -> dict[str, str]:
    """The header of a key that may all."""
    return await make_key(runtime)


def problem(response: httpx.Response, status: int, field: str | None = None) -> Any:
    """The problem of a response, after checking its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body.get("field") == field
    assert body.get("remedy")
    return body


async def test_an_event_is_accepted_with_its_id_and_places(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """After the commit."""
    response = await http.post("/api/events", json={**EVENT, "id": "mine"}, headers=key)
    assert response.status_code == 202
    [event] = response.json()["events"]
    assert (event["id"], event["type"], event["duplicate"]) == ("mine", "project.updated", False)
    assert [(place["channel"], place["seq"]) for place in event["channels"]] == [("project:abc123", 1)]
    history = await http.get("/api/channels/project:abc123/history", headers=key)
    assert [(m["seq"], m["id"], m["data"]) for m in history.json()["messages"]] == [(1, "mine", EVENT["payload"])]
    assert (history.json()["first"], history.json()["last"], history.json()["kept_days"]) == (1, 1, 30)


async def test_a_list_is_stored_whole_or_not_at_all(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """One bad event keeps all out; the field says which."""
    bad = {"type": "project.updated", "payload": {}}
    problem(await http.post("/api/events", json=[EVENT, bad], headers=key), 422, "[1].payload.projectId")
    problem(await http.get("/api/channels/project:abc123/history", headers=key), 404, "name")
    response = await http.post("/api/events", json=[EVENT] * 1000, headers=key)
    assert [event["channels"][0]["seq"] for event in response.json()["events"]] == list(range(1, 1001))


async def test_400_for_what_cannot_be_read(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """Broken JSON, an empty list, a number, an unknown field."""
    for body in ("{", "[]", "", '{"type": }'):
        response = await http.post("/api/events", content=body, headers={**key, "Content-Type": "application/json"})
        problem(response, 400)
    problem(await http.post("/api/events", json=7, headers=key), 400)
    problem(await http.post("/api/events", json={**EVENT, "channel": "x"}, headers=key), 400, "channel")
    problem(await http.get("/api/channels/project:x/history?after=5&before=5", headers=key), 400, "after")


async def test_401_without_a_valid_key(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """None, a wrong one, and one of another kind."""
    problem(await http.post("/api/events", json=EVENT), 401)
    for wrong in ("Bearer rk_wrong", "Bearer", "Basic eDp5", "rk_x"):
        response = await http.post("/api/events", json=EVENT, headers={"Authorization": wrong})
        problem(response, 401, "Authorization")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_403_for_a_key_or_a_person_that_may_not(http: httpx.AsyncClient, runtime: Runtime) -> None:
    """A reading key does not emit, an emitting one does not read, a member does neither name nor emit."""
    reader, emitter = await make_key(runtime, Scope.READ), await make_key(runtime, Scope.EMIT)
    problem(await http.post("/api/events", json=EVENT, headers=reader), 403)
    assert (await http.post("/api/events", json=EVENT, headers=emitter)).status_code == 202
    problem(await http.get("/api/channels/project:abc123/history", headers=emitter), 403)
    problem(await http.put("/api/channels/project:abc123", json={"title": "x"}, headers=reader), 403)
    await have_person(runtime.database, "Northwind", "max@northwind.test", "Max", Role.MEMBER)
    token = await runtime.gate.sign_in("max@northwind.test", PASSWORD, "127.0.0.1")
    member = {"Cookie": f"{COOKIE}={token}"}
    assert (await http.get("/api/channels/project:abc123/history", headers=member)).status_code == 200
    problem(await http.post("/api/events", json=EVENT, headers=member), 403)
    problem(await http.put("/api/channels/project:abc123", json={"title": "x"}, headers=member), 403)


async def test_404_as_json_for_what_is_not_there(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """Unknown paths under /api, whatever the method, and unknown channels."""
    for method in ("GET", "POST", "DELETE"):
        problem(await http.request(method, "/api/nope/deeper", headers=key), 404)
    problem(await http.get("/api", headers=key), 404)
    problem(await http.get("/api/channels/project:nobody/history", headers=key), 404, "name")


async def test_another_tenants_channel_is_not_there(
    http: httpx.AsyncClient, runtime: Runtime, key: dict[str, str]
) -> None:
    """Not even as a difference between 403 and 404."""
    await http.post("/api/events", json=EVENT, headers=key)
    other = await make_key(runtime, tenant="Contoso")
    problem(await http.get("/api/channels/project:abc123/history", headers=other), 404, "name")


async def test_405_says_which_method_is_wrong(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """As a problem like any other."""
    response = await http.delete("/api/events", headers=key)
    problem(response, 404 if response.status_code == 404 else 405)


async def test_409_for_an_id_with_other_content(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """The same content again is accepted as a duplicate."""
    await http.post("/api/events", json={**EVENT, "id": "a"}, headers=key)
    again = await http.post("/api/events", json={**EVENT, "id": "a"}, headers=key)
    assert (again.status_code, again.json()["events"][0]["duplicate"]) == (202, True)
    other = {"type": "project.updated", "payload": {"projectId": "abc123"}, "id": "a"}
    problem(await http.post("/api/events", json=other, headers=key), 409, "id")


async def test_413_for_too_many_events_or_too_large_a_payload(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """1,000 events and 64 KiB are the bounds."""
    problem(await http.post("/api/events", json=[EVENT] * 1001, headers=key), 413)
    large = {"type": "project.updated", "payload": {"projectId": "x", "text": "x" * 70_000}}
    problem(await http.post("/api/events", json=large, headers=key), 413, "payload")


async def test_415_for_what_is_not_json(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """By its declared type, which a form cannot fake."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = await http.post("/api/events", content=json.dumps(EVENT), headers={**key, "Content-Type": kind})
        problem(response, 415, "Content-Type")


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"payload": {}}, "type"),
        ({"type": "weather.changed", "payload": {}}, "type"),
        ({"type": "project.updated"}, "payload"),
        ({"type": "project.updated", "payload": []}, "payload"),
        ({"type": "project.updated", "payload": {"projectId": "a b"}}, "payload.projectId"),
        ({"type": "project.updated", "payload": {"projectId": "x", "t": "a\0b"}}, "payload"),
        ({**EVENT, "id": 7}, "id"),
    ],
)
async def test_422_for_what_can_be_read_but_not_stored(
    http: httpx.AsyncClient, key: dict[str, str], event: Any, field: str
) -> None:
    """Naming the field."""
    problem(await http.post("/api/events", json=event, headers=key), 422, field)


async def test_422_for_wrong_parameters(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """Of a query, a path or a body that FastAPI checks."""
    problem(await http.get("/api/channels/project:x/history?limit=0", headers=key), 422, "limit")
    problem(await http.get("/api/channels/planet:x/history", headers=key), 422, "name")
    for title in ("", "x" * 201, "nul\x00", "\x1b[31mred", "two\nlines", "turned \u202etxt.exe"):
        problem(await http.put("/api/channels/project:x", json={"title": title}, headers=key), 422, "title")
    problem(await http.put("/api/channels/project:x", json={"title": "x", "name": "x"}, headers=key), 422, "name")


async def test_429_for_a_key_that_emits_too_fast(
    http: httpx.AsyncClient, runtime: Runtime, key: dict[str, str]
) -> None:
    """With the whole seconds after which it may go on."""
    runtime.emit_limit = RateLimiter(rate=120, burst=1000, clock=ManualClock())
    assert (await http.post("/api/events", json=[EVENT] * 750, headers=key)).status_code == 202
    response = await http.post("/api/events", json=[EVENT] * 750, headers=key)
    problem(response, 429)
    assert response.headers["retry-after"] == "5"


async def test_503_while_the_database_is_away(
    http: httpx.AsyncClient, key: dict[str, str], postgres: str, database_url: str
) -> None:
    """With the seconds to wait; and when it is back, the same event under the same id is accepted."""
    event = {**EVENT, "id": "patient"}
    name = sa.make_url(database_url).database
    assert (await http.post("/api/events", json=EVENT, headers=key)).status_code == 202
    with sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as server:
        server.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        server.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        for _ in range(3):
            response = await http.post("/api/events", json=event, headers=key)
            problem(response, 503)
            assert response.headers["retry-after"]
        server.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    assert (await http.post("/api/events", json=event, headers=key)).status_code == 202


async def test_500_says_nothing_of_the_cause(
    http: httpx.AsyncClient, runtime: Runtime, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the server's log."""

    async def broken(*arguments: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(runtime.log, "append", broken)
    response = await http.post("/api/events", json=EVENT, headers=key)
    problem(response, 500)
    assert "secret" not in response.text


async def test_history_pages_both_ways(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """The newest ones without a bound; a title, an epoch and the kept range besides."""
    await http.post("/api/events", json=[EVENT] * 10, headers=key)
    await http.put("/api/channels/project:abc123", json={"title": "Apollo"}, headers=key)

    async def page(query: str) -> Any:
        return (await http.get(f"/api/channels/project:abc123/history?{query}", headers=key)).json()

    newest = await page("limit=3")
    assert [message["seq"] for message in newest["messages"]] == [8, 9, 10]
    assert (newest["title"], newest["first"], newest["last"]) == ("Apollo", 1, 10)
    assert newest["epoch"]
    assert [message["seq"] for message in (await page("after=4&limit=2"))["messages"]] == [5, 6]
    assert [message["seq"] for message in (await page("before=4&limit=2"))["messages"]] == [2, 3]


async def test_the_schema_is_published(http: httpx.AsyncClient) -> None:
    """With every public route, and none of the forms."""
    paths = (await http.get("/api/openapi.json")).json()["paths"]
    assert set(paths) == {
        *("/api/events", "/api/stream", "/api/channels/{name}/history", "/api/channels/{name}"),
        *("/api/health", "/api/ready", "/api/metrics", "/api/realtime/token", "/api/keys"),
    }


async def test_signing_in_and_out(http: httpx.AsyncClient, runtime: Runtime) -> None:
    """A form post, a cookie that scripts cannot read, and a session that ends at once."""
    await have_person(runtime.database, "Northwind", "ada@northwind.test", "Ada", Role.ADMIN)
    form = {"email": "ADA@northwind.test", "password": PASSWORD}
    response = await http.post("/api/sign-in", data=form)
    assert (response.status_code, response.headers["location"]) == (303, "/")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    signed = {"Cookie": cookie.partition(";")[0]}
    http.cookies.clear()
    history = "/api/channels/project:x/history"
    problem(await http.get(history, headers=signed), 404, "name")
    assert (await http.post("/api/sign-out", headers=signed)).status_code == 303
    problem(await http.get(history, headers=signed), 401)


async def test_a_wrong_password_says_nothing_of_who_is_known(http: httpx.AsyncClient, runtime: Runtime) -> None:
    """The same answer, and after ten tries a limit."""
    await have_person(runtime.database, "Northwind", "ada@northwind.test", "Ada", Role.ADMIN)
    answers = [
        (await http.post("/api/sign-in", data={"email": email, "password": "wrong"})).headers["location"]
        for email in ("ada@northwind.test", "nobody@northwind.test")
    ]
    assert answers == ["/sign-in?problem=NotAuthenticated&field="] * 2
    for _ in range(20):
        last = await http.post("/api/sign-in", data={"email": "ada@northwind.test", "password": "wrong"})
    assert last.headers["location"] == "/sign-in?problem=RateLimited&field="


async def test_an_admin_who_is_signed_in_makes_a_key(
    http: httpx.AsyncClient, runtime: Runtime, key: dict[str, str]
) -> None:
    """Shown in the answer alone; nobody else makes one, and nobody makes them at will."""
    await have_person(runtime.database, "Northwind", "max@northwind.test", "Max", Role.MEMBER)
    cookies = {
        name: f"{COOKIE}={await runtime.gate.sign_in(f'{name}@northwind.test', PASSWORD, name)}"
        for name in ("ada", "max")
    }
    problem(await http.post("/api/keys"), 401)
    problem(await http.post("/api/keys", headers=key), 403)
    problem(await http.post("/api/keys", headers={"Cookie": cookies["max"]}), 403)
    response = await http.post("/api/keys", headers={"Cookie": cookies["ada"]})
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    assert made["scopes"] == ["emit", "read"]
    answer = await http.post("/api/events", json=EVENT, headers={"Authorization": f"Bearer {made['key']}"})
    assert answer.status_code == 202
    answers = [await http.post("/api/keys", headers={"Cookie": cookies["ada"]}) for _ in range(KEY_BURST)]
    problem(answers[-1], 429)


async def test_the_set_up_needs_the_code_and_works_once(http: httpx.AsyncClient, runtime: Runtime) -> None:
    """The first person is an admin; a second set-up is refused."""
    form = {"tenant": "Northwind", "name": "Ada", "email": "ada@northwind.test", "password": PASSWORD}
    assert await runtime.gate.needs_setup()
    refused = await http.post("/api/set-up", data={**form, "code": "WRONG-ONE"})
    assert refused.headers["location"] == "/set-up?problem=NotAllowed&field=code"
    weak = await http.post("/api/set-up", data={**form, "code": "CODE-CODE", "password": "short"})
    assert weak.headers["location"] == "/set-up?problem=InvalidRequest&field=password"
    done = await http.post("/api/set-up", data={**form, "code": "CODE-CODE"})
    assert done.headers["location"] == "/set-up"
    person = await runtime.gate.by_token(done.cookies[COOKIE])
    assert person is not None
    assert (person.role, person.tenant_name) == (Role.ADMIN, "Northwind")
    assert not await runtime.gate.needs_setup()
    again = await http.post("/api/set-up", data={**form, "code": "CODE-CODE", "email": "eve@northwind.test"})
    assert again.headers["location"] == "/set-up?problem=Conflict&field="


async def test_no_secret_is_stored_in_the_clear(runtime: Runtime, database_url: str, key: dict[str, str]) -> None:
    """Neither password, key nor session token."""
    token = await runtime.gate.sign_in("ada@northwind.test", PASSWORD, "127.0.0.1")
    secret = key["Authorization"].removeprefix("Bearer ")
    async with runtime.database.single() as connection:
        dump = ""
        for table in ("people", "api_keys", "sign_in_sessions"):
            dump += str((await connection.exec_driver_sql(f"SELECT * FROM {table}")).all())
    for clear in (PASSWORD, secret, token):
        assert clear not in dump


async def test_a_channel_is_opened_for_others_and_closed_again(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    """What is left out of a change stays as it is; only a yes or no is one."""
    address = "/api/channels/project:inbound"
    assert (await http.put(address, json={"title": "Inbound", "inbound": True}, headers=key)).json() == {
        "channel": "project:inbound",
        "title": "Inbound",
        "inbound": True,
    }
    assert (await http.put(address, json={"title": None}, headers=key)).json()["inbound"] is True
    closed = (await http.put(address, json={"inbound": False}, headers=key)).json()
    assert (closed["title"], closed["inbound"]) == (None, False)
    types = ["project.noted", "session.*"]
    for wanted in (types, True, types):
        assert (await http.put(address, json={"inbound": wanted}, headers=key)).json()["inbound"] == wanted
    assert (await http.put(address, json={"inbound": []}, headers=key)).json()["inbound"] is False
    for senseless in ("perhaps", ["Noted"], ["project.*.x"], [7], ["a.b"] * 51, None):
        problem(await http.put(address, json={"inbound": senseless}, headers=key), 422, "inbound")


async def test_guessing_from_elsewhere_locks_nobody_out(runtime: Runtime) -> None:
    """Tries count by account and network together, a whole IPv6 /64 being one; a network has a wider bound besides."""
    await have_person(runtime.database, "Northwind", "ada@northwind.test", "Ada", Role.ADMIN)
    runtime.gate._tries = RateLimiter(rate=1 / 6, burst=10, clock=ManualClock())

    async def wrong(email: str, client: str) -> type[Exception]:
        with pytest.raises((NotAuthenticated, RateLimited)) as caught:
            await runtime.gate.sign_in(email, "wrong horse battery", client)
        return caught.type

    guesses = [await wrong("ada@northwind.test", f"2001:db8::{number:x}") for number in range(11)]
    assert guesses == [NotAuthenticated] * 10 + [RateLimited]
    assert await runtime.gate.sign_in("ada@northwind.test", PASSWORD, "192.0.2.7")
    assert await wrong("max@northwind.test", "2001:db8::1") is NotAuthenticated
    runtime.gate._network_tries = RateLimiter(rate=1, burst=2, clock=ManualClock())
    sprayed = [await wrong(f"p{number}@northwind.test", "192.0.2.9") for number in range(3)]
    assert sprayed == [NotAuthenticated, NotAuthenticated, RateLimited]


async def test_a_new_sign_in_ends_the_session_that_the_browser_had(http: httpx.AsyncClient, runtime: Runtime) -> None:
    """Its cookie is replaced, and whoever copied the old one has nothing; a wrong try ends nothing."""
    await have_person(runtime.database, "Northwind", "ada@northwind.test", "Ada", Role.ADMIN)
    form = {"email": "ada@northwind.test", "password": PASSWORD}
    first = (await http.post("/api/sign-in", data=form)).cookies[COOKIE]
    http.cookies.clear()
    with_first = {"Cookie": f"{COOKIE}={first}"}
    await http.post("/api/sign-in", data={**form, "password": "wrong horse battery"}, headers=with_first)
    assert await runtime.gate.by_token(first)
    second = (await http.post("/api/sign-in", data=form, headers=with_first)).cookies[COOKIE]
    assert await runtime.gate.by_token(first) is None
    assert await runtime.gate.by_token(second)


@pytest.mark.parametrize("email", ["a\x00", "a\x00@northwind.test", "\ud800@northwind.test"])
async def test_an_address_that_is_no_text_is_nobodys(runtime: Runtime, email: str) -> None:
    """And no failure of ours."""
    with pytest.raises(NotAuthenticated):
        await runtime.gate.sign_in(email, PASSWORD, "here")
