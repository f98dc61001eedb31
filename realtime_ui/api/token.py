"""`/api/realtime/token`: lets a page in at the provider, for what its person or key may see and do here.

Such a page uses the provider's own client (ably-js, pusher-js) and never has a key of the provider's. What it is given
holds for `TOKEN_S`; its client asks again by itself.
"""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from realtime_ui.access.policy import Action, reach, require
from realtime_ui.api.identity import AuthenticatedRoute, Caller
from realtime_ui.core.errors import NotAllowed, TooLarge
from realtime_ui.core.principals import Person, Principal
from realtime_ui.providers.base import Grant
from realtime_ui.runtime import current

router = APIRouter(tags=["provider"], route_class=AuthenticatedRoute)

TOKEN_S = 900
MAX_ASKED = 20
MAX_TEXT = 1_000


@router.get("/api/realtime/token", summary="Let a page in at the provider")
async def token(caller: Caller, request: Request) -> JSONResponse:
    """Ably: a token request, for `authUrl`. Pusher: the authorisation of `socket_id` for `channel_name`.

    For a person who is signed in, or a key with the scope `token`.
    """
    return await _granted(caller, dict(request.query_params))


@router.post("/api/realtime/token", summary="The same, with a form, as pusher-js and ably-js may send it")
async def token_by_form(caller: Caller, request: Request) -> JSONResponse:
    """What the form holds counts as the query does."""
    form = await request.form(max_fields=MAX_ASKED, max_files=0)
    return await _granted(caller, {name: value for name, value in form.items() if isinstance(value, str)})


async def _granted(caller: Principal | None, asked: dict[str, str]) -> JSONResponse:
    principal, runtime = require(caller, Action.TOKEN, None), current()
    runtime.token_limit.spend(principal.label)
    if len(asked) > MAX_ASKED or any(len(value) > MAX_TEXT for value in asked.values()):
        raise TooLarge(
            f"More than {MAX_ASKED} fields, or one of more than {MAX_TEXT:,} characters, was sent.",
            remedy="Send what the provider's own client sends.",
        )
    grant = _grant_of(principal)
    if not grant.read and not grant.publish:
        raise NotAllowed("This key reads and emits nothing.", remedy="Use one with the scope read or emit, too.")
    answer = await runtime.provider.grant(grant, asked)
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _grant_of(principal: Principal) -> Grant:
    """What a principal may do there: to read what it may read, to publish where it may post or emit."""
    publish = Action.POST if isinstance(principal, Person) else Action.EMIT
    return Grant(
        client_id=f"{principal.tenant}:{principal.label}",
        read=tuple(f"{principal.tenant}:{each}" for each in reach(principal, Action.READ)),
        publish=tuple(f"{principal.tenant}:{each}" for each in reach(principal, publish)),
        ttl_s=TOKEN_S,
    )
