"""A start that finds no Redis, or one that refuses."""

import httpx
import pytest

from tests.app import App
from tests.integration.test_tokens import LOAD
from tests.integration.test_workers import ADA, CHANNEL, seq_of_one_more
from tests.tab import open_tab
from tests.valkey import SERVERS, Valkey


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_a_start_without_redis_serves_from_the_log_until_it_is_there(app: App, password: str) -> None:
    """Whether Redis is away, or refuses: pages load, events are stored and shown; states come with Redis."""
    with Valkey.running(SERVERS["valkey"] or "", "--requirepass", "right", password="right") as server:
        url = f"redis://:{password}@127.0.0.1:{server.port}"
        if not password:
            server.kill()
        app.process.end()
        settings = {"REALTIME_PROVIDER": "redis", "REDIS_URL": url, "WORKERS": "2"}
        try:
            with App.start(app.database_url, port=app.process.port, **settings) as own:
                async with open_tab(own.url, own.cookie(ADA), page="/") as tab:
                    await tab.sub(CHANNEL)
                    seq = await seq_of_one_more(own)
                    await tab.until(lambda: seq in tab.seqs(CHANNEL))
                    async with httpx.AsyncClient(base_url=own.url) as http:
                        answer = (await http.get("/api/ready")).json()
                    assert (answer["ready"], answer["away"]) == (True, ["provider"])
                    if password:
                        with server.client() as redis:
                            redis.config_set("requirepass", "wrong")
                        server.password = "wrong"
                    else:
                        server.options = ()
                        server.password = ""
                        server.start()
                    await tab.event(LOAD)
                    await tab.until(lambda: "Northwind" in str(tab.updates))
        finally:
            app.process.start()
