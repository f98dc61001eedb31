"""`POST /api/keys`: an API key for a page to show once."""

import logging

from fastapi import APIRouter
from starlette.responses import JSONResponse

from realtime_ui.access.policy import Action, require
from realtime_ui.api.identity import Caller
from realtime_ui.core.principals import TENANT_SCOPES
from realtime_ui.runtime import current

logger = logging.getLogger(__name__)

router = APIRouter(tags=["keys"])

KEY_NAME = "start page"


@router.post("/api/keys", status_code=201, summary="Make an API key, as a signed-in admin")
async def make_key(caller: Caller) -> JSONResponse:
    """A new key of the caller's tenant; its secret is in this answer and nowhere else."""
    principal, runtime = require(caller, Action.ADMINISTER, None), current()
    runtime.key_limit.spend(principal.label)
    secret = await runtime.gate.add_key(principal.tenant, KEY_NAME, TENANT_SCOPES)
    logger.info("An API key was made", extra={"by": principal.label})
    return JSONResponse({"key": secret, "scopes": sorted(TENANT_SCOPES)}, 201, {"Cache-Control": "no-store"})
