"""The vendor's JavaScript client finds our Ably server to be Ably."""

from collections.abc import AsyncIterator

import pytest

from tests import vendor
from tests.doubles.ably import AblyServer, Limits

CHECKS = ("messages", "identities", "echo", "presence", "tokens", "credentials", "resume", "history")


@pytest.fixture
async def server() -> AsyncIterator[AblyServer]:
    """A server that lets everything through quickly."""
    async with AblyServer(limits=Limits(rate=1000, auth_lead_s=0.3)) as server:
        yield server


@pytest.mark.parametrize("binary", ["true", "false"], ids=["msgpack", "json"])
@pytest.mark.parametrize("check", CHECKS)
async def test_the_vendors_client_agrees(server: AblyServer, check: str, binary: str) -> None:
    """In both formats."""
    await vendor.run("ably_checks.mjs", check, str(server.port), server.key, binary)
