"""Signing out while the database is away."""

import asyncio
from http.cookies import SimpleCookie

import httpx
from socketio import AsyncServer

from realtime_ui.access.gate import COOKIE
from realtime_ui.api.app import create_api
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.core.principals import Role
from realtime_ui.runtime import Runtime
from realtime_ui.settings import Settings
from tests.conftest import no_sink
from tests.people import PASSWORD, have_person
from tests.postgres import OwnPostgres

EMAIL = "max@northwind.test"


async def test_without_the_database_the_browser_is_signed_out_and_told_what_is_left(own_postgres: OwnPostgres) -> None:
    """The cookie is cleared; the session, which could not be ended, is ended by the next sign-out that can."""
    settings = Settings(database_url=own_postgres.url, secret_key="a secret for tests", _env_file=None)
    transport = httpx.ASGITransport(create_api(), raise_app_exceptions=False)
    async with (
        Runtime(settings, AsyncServer(async_mode="asgi", async_handlers=False), no_sink) as runtime,
        httpx.AsyncClient(transport=transport, base_url=settings.url) as http,
    ):
        await have_person(runtime.database, "Northwind", EMAIL, "Max", Role.MEMBER)
        token = await runtime.gate.sign_in(EMAIL, PASSWORD, "address")
        headers = {"Cookie": f"{COOKIE}={token}", "Origin": settings.url}
        await asyncio.to_thread(own_postgres.stop)
        try:
            answer = await http.post("/api/sign-out", headers=headers)
        finally:
            await asyncio.to_thread(own_postgres.start)
        assert answer.status_code == 303
        place = httpx.URL(answer.headers["location"])
        assert (place.path, place.params["problem"]) == ("/sign-in", "NotSignedOut")
        cleared = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
        assert (cleared.value, cleared["max-age"], cleared["path"]) == ("", "0", "/")

        async with asyncio.timeout(60):
            while True:
                try:
                    assert await runtime.gate.by_token(token)
                    break
                except DatabaseUnavailable:
                    await asyncio.sleep(0.1)
        answer = await http.post("/api/sign-out", headers=headers)
        place = httpx.URL(answer.headers["location"])
        assert (place.path, place.query) == ("/sign-in", b"")
        assert await runtime.gate.by_token(token) is None
