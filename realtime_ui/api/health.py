"""`/api/health`, `/api/ready` and `/api/metrics`: for load balancers, operators and Prometheus."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from realtime_ui.access.policy import Action, require
from realtime_ui.api.identity import Caller
from realtime_ui.core import metrics
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.runtime import current

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"
    app: str = Field("realtime-ui", description="Tells this app from another server at its address.")


class Database(BaseModel):
    """How the database stands."""

    up: bool = Field(description="Whether it answers, accepts writes, and is migrated.")
    error: str = Field(description="Why it is not up, and what to do; empty while it is.")
    since_s: float = Field(description="For how many seconds it has been so.")


class Provider(BaseModel):
    """How the provider stands."""

    name: str
    status: ConnectionStatus


class Readiness(BaseModel):
    """How this worker stands."""

    ready: bool = Field(description="Whether it can take emits: the database is up.")
    degraded: bool = Field(description="Whether any part is away.")
    away: list[str] = Field(description="Which: database, provider.")
    database: Database
    provider: Provider
    hub_lag_ms: int = Field(description="How long some watched channel has been behind what is known.")


@router.get("/api/health", summary="Is the process alive?")
async def health() -> Alive:
    """Answers while the process does; asks nobody else."""
    return Alive()


@router.get(
    "/api/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "It cannot take emits for now."}},
    summary="Can it take emits?",
)
async def ready() -> JSONResponse:
    """200 when it can take emits, with `degraded` when something else is away; 503 when it cannot."""
    now = current().health.snapshot()
    answer = Readiness(
        ready=now.database_up,
        degraded=bool(now.degraded),
        away=list(now.degraded),
        database=Database(up=now.database_up, error=now.database_error, since_s=round(now.database_for_s, 1)),
        provider=Provider(name=now.provider, status=now.provider_status),
        hub_lag_ms=round(now.hub_lag_s * 1000),
    )
    return JSONResponse(answer.model_dump(mode="json"), status_code=200 if now.database_up else 503)


@router.get(
    "/api/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Metrics for Prometheus",
)
async def read_metrics(caller: Caller) -> Response:
    """What the workers of this machine count, of all tenants together; for an API key with the scope `metrics`."""
    require(caller, Action.METRICS, None)
    current().report.set_gauges()
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
