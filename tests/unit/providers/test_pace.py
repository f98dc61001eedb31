"""Sending no faster than a service takes."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from realtime_ui.providers.pace import Pace
from tests.clock import ManualClock, settle


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    """Ten a second: ten now, then one each tenth of a second."""
    clock, gone = ManualClock(), list[int]()
    pace = Pace(10, clock)

    async def send() -> None:
        for number in range(15):
            await pace.take()
            gone.append(number)

    task = asyncio.create_task(send())
    await settle()
    assert len(gone) == 10
    await clock.advance(0.21)
    assert len(gone) == 12
    await clock.advance(0.4)
    await task


async def test_who_waits_first_goes_first() -> None:
    """Nobody is passed by a smaller wish."""
    clock, gone = ManualClock(), list[str]()
    pace = Pace(10, clock)
    await pace.take(10)

    async def take(name: str, count: int) -> None:
        await pace.take(count)
        gone.append(name)

    tasks = [asyncio.create_task(take("large", 8)), asyncio.create_task(take("small", 1))]
    await clock.advance(0.5)
    assert gone == []
    await clock.advance(1)
    assert gone == ["large", "small"]
    await asyncio.gather(*tasks)


@given(wishes=st.lists(st.integers(1, 30), min_size=1, max_size=30), rate=st.integers(1, 100))
def test_no_window_ever_holds_more_than_burst_and_rate_allow(wishes: list[int], rate: int) -> None:
    """Whatever is asked for: at time t at most burst + rate x t, and one wish larger than the burst, have gone."""

    async def run() -> None:
        clock = ManualClock()
        pace, start, gone = Pace(rate, clock), clock.monotonic(), 0

        async def take_all() -> None:
            nonlocal gone
            for wish in wishes:
                await pace.take(wish)
                gone += wish
                over = max(0, max(wishes) - rate)
                assert gone <= rate + rate * (clock.monotonic() - start) + over + 1e-6

        task = asyncio.create_task(take_all())
        while not task.done():
            await clock.advance(1)
        await task

    asyncio.run(run())
