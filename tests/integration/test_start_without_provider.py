"""A start that finds no provider, or one that refuses."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.app import App, free_port
from tests.integration.test_serve import run
from tests.integration.test_tokens import LOAD
from tests.integration.test_workers import ADA, CHANNEL, seq_of_one_more
from tests.services import service
from tests.tab import open_tab
from tests.valkey import SERVERS, Valkey


async def test_a_start_without_redis_serves_from_the_log_until_it_is_there(app: App) -> None:
    """Pages load, events are stored and shown; states come with Redis."""
    with Valkey.running() as server:
        server.kill()
        app.process.end()
        settings = {"REALTIME_PROVIDER": "redis", "REDIS_URL": server.url, "WORKERS": "2"}
        try:
            with App.start(app.database_url, port=app.process.port, **settings) as own:
                async with open_tab(own.url, own.cookie(ADA), page="/") as tab:
                    await tab.sub(CHANNEL)
                    seq = await seq_of_one_more(own)
                    await tab.until(lambda: seq in tab.seqs(CHANNEL))
                    async with httpx.AsyncClient(base_url=own.url) as http:
                        answer = (await http.get("/api/ready")).json()
                    assert (answer["ready"], answer["away"]) == (True, ["provider"])
                    server.start()
                    await tab.event(LOAD)
                    await tab.until(lambda: "Northwind" in str(tab.updates))
        finally:
            app.process.start()


@pytest.mark.parametrize("name", ["ably", "pusher"])
async def test_a_start_without_the_provider_serves_from_the_log_until_it_is_there(name: str, app: App) -> None:
    """Events are stored and shown, the house says that it is degraded, and heals by itself."""
    async with service(name) as away, httpx.AsyncClient() as http:
        await away.kill()
        await asyncio.to_thread(app.process.end)
        apps = ExitStack()  # in a thread: the network to the service lives on this loop
        try:
            started = App.start(app.database_url, port=app.process.port, **away.environment)
            own = await asyncio.to_thread(apps.enter_context, started)
            async with open_tab(own.url, own.cookie(ADA), page="/") as tab:
                await tab.sub(CHANNEL)
                seq = await seq_of_one_more(own)
                await tab.until(lambda: seq in tab.seqs(CHANNEL))
                assert (await http.get(f"{own.url}/api/ready")).json()["away"] == ["provider"]
                await away.start()
                async with asyncio.timeout(60):
                    while (await http.get(f"{own.url}/api/ready")).json()["away"]:
                        await asyncio.sleep(0.1)
        finally:
            await asyncio.to_thread(apps.close)
            await asyncio.to_thread(app.process.start)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("ably", {"ABLY_API_KEY": "app.key:another-word"}, "ABLY_API_KEY"),
        ("ably", {"ABLY_API_KEY": "another-word"}, "ABLY_API_KEY"),
        ("pusher", {"PUSHER_SECRET": "another-word"}, "PUSHER_SECRET"),
        ("pusher", {"PUSHER_SECRET": ""}, "PUSHER_SECRET"),
    ],
)
async def test_a_key_that_is_refused_or_none_ends_the_start_in_one_sentence(
    name: str, wrong: dict[str, str], words: str, tmp_path: Path
) -> None:
    """Which names the setting, and not what it is set to."""
    async with service(name) as there:
        settings = {**there.environment, **wrong, "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
        done = await asyncio.to_thread(run, **settings)
    assert done.returncode == 1
    assert words in done.stderr
    assert "another-word" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_redis_that_refuses_us_ends_the_start_in_one_sentence(tmp_path: Path) -> None:
    """Which names the setting, and not the password."""
    with Valkey.running(SERVERS["valkey"], "--requirepass", "right", password="right") as server:
        url = f"redis://:another-word@127.0.0.1:{server.port}"
        done = run(REALTIME_PROVIDER="redis", REDIS_URL=url, PORT=str(free_port()), DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "REDIS_URL" in done.stderr
    assert "another-word" not in done.stderr
    assert "Traceback" not in done.stderr
