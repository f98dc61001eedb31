"""Health, readiness, metrics and log lines of a worker, with a PostgreSQL that goes and comes back."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from socketio import AsyncServer

from realtime_ui.access.gate import AWAY_S, CACHE_S, COOKIE
from realtime_ui.api.app import create_api
from realtime_ui.core.clock import SystemClock
from realtime_ui.core.principals import TENANT_SCOPES, Role, Scope
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.app import PASSWORD, ROOT, App, command
from tests.conftest import no_sink
from tests.people import have_person, tenants
from tests.postgres import OwnPostgres
from tests.tab import open_tab

EVENT = {"type": "project.updated", "payload": {"projectId": "abc123"}}
METRICS = frozenset({Scope.METRICS})


class Ahead(SystemClock):
    """The machine's clock, set forward by hand."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        """As the test set it."""
        return super().monotonic() + self.ahead_s


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running worker's API."""
    transport = httpx.ASGITransport(create_api(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        yield client


async def key(runtime: Runtime, scopes: frozenset[Scope], tenant: str = "Northwind") -> dict[str, str]:
    """The header of a new key."""
    await have_person(runtime.database, tenant, f"ada@{tenant.lower()}.test", "Ada", Role.ADMIN)
    identity = next(identity for identity, name in await tenants(runtime.database) if name == tenant)
    return {"Authorization": f"Bearer {await runtime.gate.add_key(identity, 'tests', scopes)}"}


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that must come to hold."""
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.1)


def samples(text: str) -> dict[str, float]:
    """Metrics by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_all_is_well(runtime: Runtime, http: httpx.AsyncClient) -> None:
    """Told to anybody, and without a word about tenants."""
    assert (await http.get("/api/health")).json() == {"status": "ok", "app": "realtime-ui"}
    response = await http.get("/api/ready")
    answer = response.json()
    assert answer["database"].pop("since_s") >= 0
    assert (response.status_code, answer) == (
        200,
        {
            "ready": True,
            "degraded": False,
            "away": [],
            "database": {"up": True, "error": ""},
            "provider": {"name": "memory", "status": "connected"},
            "hub_lag_ms": 0,
        },
    )


async def test_without_the_database_it_is_alive_and_not_ready_and_comes_back_by_itself(
    own_postgres: OwnPostgres, http: httpx.AsyncClient
) -> None:
    """Emits are told to come again; metrics can be read all the while."""
    settings = Settings(database_url=own_postgres.url, secret_key="a secret for tests", _env_file=None)
    clock = Ahead()
    server = AsyncServer(async_mode="asgi", async_handlers=False)
    async with Runtime(settings, server, no_sink, clock=clock) as runtime:
        emitter, prometheus = await key(runtime, TENANT_SCOPES), await key(runtime, METRICS)
        assert (await http.post("/api/events", json=EVENT, headers=emitter)).status_code == 202
        assert samples((await http.get("/api/metrics", headers=prometheus)).text)["realtime_database_up"] == 1

        own_postgres.stop()

        async def answers(status: int) -> bool:
            return (await http.get("/api/ready")).status_code == status

        await eventually(lambda: answers(503))
        assert (await http.get("/api/ready")).json()["away"] == ["database"]
        assert (await http.get("/api/health")).status_code == 200
        refused = await http.post("/api/events", json=EVENT, headers=emitter)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["retryable"] is True
        clock.ahead_s = 2 * CACHE_S  # what the gate remembers of a key runs out; then its last answer stands in
        away = samples((await http.get("/api/metrics", headers=prometheus)).text)
        assert away["realtime_database_up"] == 0
        assert away["realtime_emits_total{unavailable}"] >= 1
        clock.ahead_s += AWAY_S
        assert (await http.get("/api/metrics", headers=prometheus)).status_code == 503
        stranger = {"Authorization": "Bearer rk_unknown"}
        assert (await http.get("/api/metrics", headers=stranger)).status_code == 503

        own_postgres.start()
        await eventually(lambda: answers(200))
        assert (await http.post("/api/events", json=EVENT, headers=emitter)).status_code == 202


async def test_without_the_provider_it_is_ready_and_degraded(runtime: Runtime, http: httpx.AsyncClient) -> None:
    """Emits are stored, and other workers find them in the log."""
    await runtime.provider.disconnect()
    response = await http.get("/api/ready")
    answer = response.json()
    assert (response.status_code, answer["ready"], answer["degraded"], answer["away"]) == (
        200,
        True,
        True,
        ["provider"],
    )
    assert answer["provider"]["status"] == "closed"


async def test_metrics_are_for_a_key_of_that_scope_alone(runtime: Runtime, http: httpx.AsyncClient) -> None:
    """They count all tenants: neither an admin nor a tenant's own key may read them."""
    assert (await http.get("/api/metrics")).status_code == 401
    refused = await http.get("/api/metrics", headers=await key(runtime, TENANT_SCOPES))
    assert (refused.status_code, refused.json()["title"]) == (403, "Not allowed")
    token = await runtime.gate.sign_in("ada@northwind.test", PASSWORD, "127.0.0.1")
    assert (await http.get("/api/metrics", headers={"Cookie": f"{COOKIE}={token}"})).status_code == 403
    response = await http.get("/api/metrics", headers=await key(runtime, METRICS))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")


async def test_a_key_for_metrics_does_nothing_else(runtime: Runtime, http: httpx.AsyncClient) -> None:
    """It neither emits nor reads."""
    headers = await key(runtime, METRICS)
    assert (await http.post("/api/events", json=EVENT, headers=headers)).status_code == 403
    assert (await http.get("/api/channels/project:x/history", headers=headers)).status_code == 403


async def test_metrics_count_what_happens(runtime: Runtime, http: httpx.AsyncClient) -> None:
    """Emits by how they ended, commits with their rows."""
    emitter, prometheus = await key(runtime, TENANT_SCOPES), await key(runtime, METRICS)

    async def read() -> dict[str, float]:
        return samples((await http.get("/api/metrics", headers=prometheus)).text)

    before = await read()
    event = {**EVENT, "id": "mine"}
    for body in ([event, EVENT], event, {**EVENT, "payload": {}}, {**EVENT, "type": "?"}):
        await http.post("/api/events", json=body, headers=emitter)
    await http.post("/api/events", json={**event, "payload": {"projectId": "abc123", "n": 1}}, headers=emitter)
    after = await read()
    counted = {name: after[name] - before[name] for name in after if after[name] != before.get(name, 0)}
    expected = {
        "realtime_emits_total{stored}": 2,
        "realtime_emits_total{duplicate}": 1,
        "realtime_emits_total{refused}": 3,
        "realtime_commits_total{stored}": 3,
        "realtime_commit_rows_sum": 4,
        "realtime_commit_rows_count": 3,
        "realtime_commit_duration_seconds_count": 3,
    }
    assert {name: counted.get(name) for name in expected} == expected
    assert after["realtime_tasks"] > 5
    assert after["process_resident_memory_bytes"] > 0


async def test_metrics_count_sockets_and_how_they_resume(app: App) -> None:
    """And each message once for each socket."""
    prometheus = command(app.database_url, "keys", "add", "prometheus", "--tenant", "Contoso", "--scope", "metrics")
    project = uuid.uuid4().hex[:12]

    async def read() -> dict[str, float]:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {prometheus}"}) as http:
            return samples((await http.get(f"{app.url}/api/metrics")).text)

    before = await read()
    cookie = app.cookie("max@northwind.test")
    async with open_tab(app.url, cookie) as one, open_tab(app.url, cookie) as two:
        first = await one.sub(f"project:{project}")
        await two.sub(f"project:{project}")
        update: tuple[str, dict[str, object]] = ("project.updated", {"projectId": project})
        await asyncio.to_thread(app.emit, update, update, update)
        await two.until(lambda: two.seqs(f"project:{project}") == [1, 2, 3])
        epoch = (await two.sub(f"project:{project}", last=3, epoch=first["epoch"]))["epoch"]
        async with open_tab(app.url, cookie) as three:
            await three.sub(f"project:{project}", last=1, epoch=epoch)
            now = await read()
    changed = {name: now[name] - before[name] for name in now}
    assert changed["realtime_sockets"] == 3
    assert changed["realtime_subscriptions"] == 3
    assert changed["realtime_resumes_total{fresh}"] == 2
    assert changed["realtime_resumes_total{resume}"] == 1
    assert changed["realtime_deliveries_total"] == 6
    assert changed["realtime_frames_total"] >= 1


def test_only_the_command_line_gives_the_scope(app: App) -> None:
    """And only when it is named."""
    key = command(app.database_url, "keys", "add", "plain", "--tenant", "Contoso")
    assert httpx.get(f"{app.url}/api/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 403


def test_an_events_id_leads_to_its_request(app: App) -> None:
    """One line a request, in JSON where nobody looks at a terminal, with the first five ids."""
    request = uuid.uuid4().hex
    ids = [uuid.uuid4().hex for _ in range(7)]
    body = [{"type": "project.updated", "payload": {"projectId": "logged"}, "id": identity} for identity in ids]
    headers = {"Authorization": f"Bearer {app.key}", "X-Request-ID": request}
    response = httpx.post(f"{app.url}/api/events", json=body, headers=headers)
    assert (response.status_code, response.headers["x-request-id"]) == (202, request)
    other = {**body[0], "payload": {"projectId": "logged", "n": 1}}
    refused = httpx.post(f"{app.url}/api/events", json=other, headers=headers)
    assert refused.json()["request_id"] == request
    lines = [json.loads(line) for line in app.process.output.read_text().splitlines() if request in line]
    told = [(line["outcome"], line["events"], line["event_ids"], line["level"]) for line in lines]
    assert told == [("stored", 7, ids[:5], "info"), ("refused", 1, ids[:1], "info")]
    assert "payload.projectId" not in lines[0]["message"]


def test_a_program_that_emits_loads_none_of_this() -> None:
    """It needs httpx alone."""
    script = (
        "import sys; from realtime_ui import EventClient;"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " ('prometheus_client', 'structlog', 'opentelemetry', 'reflex', 'reflex_otel', 'sqlalchemy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
