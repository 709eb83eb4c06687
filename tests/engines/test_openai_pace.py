"""How many requests may be under way, without a server: growth, cuts, and nobody forgotten in the queue."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from harness.engine.openai_pace import Pace
from harness.errors import EngineError
from harness.http.failure import FailureReason


async def rounds(pace: Pace, count: int, failed: FailureReason | None = None) -> None:
    """Fill every place, then end all, so many times."""
    for _ in range(count):
        begun = [await pace.begin() for _ in range(pace.limit)]
        for one in begun:
            pace.end(one, failed)


def test_it_starts_small_doubles_and_stops_at_its_bound() -> None:
    async def limits() -> list[int]:
        pace = Pace(20, "host")
        found = [pace.limit]
        for _ in range(4):
            await rounds(pace, 1)
            found.append(pace.limit)
        return found

    found = asyncio.run(limits())
    assert found[0] == 4
    assert found == sorted(found)
    assert found[-1] == 20


def test_a_bound_below_the_start_holds() -> None:
    async def most() -> int:
        pace = Pace(2, "host")
        await rounds(pace, 5)
        return pace.most

    assert asyncio.run(most()) == 2


@pytest.mark.parametrize(
    ("failed", "left"), [("rate_limit", 16), ("timeout", 10), ("server_error", 10), ("connection", 10)]
)
def test_requests_that_fail_together_lower_it_once(failed: FailureReason, left: int) -> None:
    async def after() -> tuple[int, int]:
        pace = Pace(20, "host")
        await rounds(pace, 6)
        await rounds(pace, 1, failed)
        return pace.limit, pace.cuts

    assert asyncio.run(after()) == (left, 1)


@pytest.mark.parametrize("failed", ["refused", "not_an_answer", "too_large"])
def test_what_is_wrong_with_a_prompt_says_nothing_about_the_server(failed: FailureReason) -> None:
    async def after() -> int:
        pace = Pace(20, "host")
        await rounds(pace, 6)
        await rounds(pace, 1, failed)
        return pace.limit

    assert asyncio.run(after()) == 20


def test_after_a_cut_it_grows_by_about_one_a_round() -> None:
    async def limits() -> list[int]:
        pace = Pace(100, "host")
        await rounds(pace, 3)
        await rounds(pace, 1, "timeout")
        found = [pace.limit]
        for _ in range(3):
            await rounds(pace, 1)
            found.append(pace.limit)
        return found

    found = asyncio.run(limits())
    assert all(0 <= after - before <= 1 for before, after in itertools.pairwise(found))
    assert found[-1] > found[0]


def test_it_never_falls_below_one_and_everybody_gets_a_turn() -> None:
    async def turns() -> int:
        pace = Pace(8, "host")
        done = 0

        async def work() -> None:
            nonlocal done
            begun = await pace.begin()
            await asyncio.sleep(0)
            pace.end(begun, "server_error")
            done += 1

        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(50))), 10)
        assert pace.limit == 1
        return done

    assert asyncio.run(turns()) == 50


def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    async def turns() -> bool:
        pace = Pace(1, "host")
        begun = await pace.begin()
        first, second = (asyncio.ensure_future(pace.begin()) for _ in range(2))
        await asyncio.sleep(0)
        pace.end(begun, None)
        first.cancel()
        await asyncio.wait_for(second, 5)
        return second.done()

    assert asyncio.run(turns())


def test_a_server_that_hangs_is_asked_a_handful_of_times_and_everybody_who_waits_is_told() -> None:
    async def told() -> list[object]:
        pace = Pace(8, "the-server")

        async def work() -> None:
            begun = await pace.begin()
            await asyncio.sleep(0)
            pace.end(begun, "timeout")

        found = await asyncio.wait_for(
            asyncio.gather(*(work() for _ in range(60)), return_exceptions=True), 10
        )
        assert pace.attempts == 8
        return [one for one in found if one is not None]

    errors = asyncio.run(told())
    assert len(errors) == 52
    for error in errors:
        assert isinstance(error, EngineError)
        assert error.where == "the-server"
        assert "resume" in str(error.remedy)


OTHER_ENDS: list[FailureReason | None] = [None, "refused", "server_error", "connection", "not_an_answer"]


@pytest.mark.parametrize("other", OTHER_ENDS)
def test_time_outs_count_in_a_row_only(other: FailureReason | None) -> None:
    async def one(pace: Pace, failed: FailureReason | None) -> None:
        pace.end(await pace.begin(), failed)

    async def after() -> None:
        pace = Pace(8, "host")
        for failed in (*["timeout"] * 7, other, *["timeout"] * 8):
            await one(pace, failed)  # type: ignore[arg-type]
        with pytest.raises(EngineError, match="8 attempts in a row"):
            await asyncio.wait_for(pace.begin(), 5)

    asyncio.run(after())


def test_many_that_time_out_together_are_asked_again_at_a_lower_pace() -> None:
    async def after() -> None:
        pace = Pace(20, "host")
        await rounds(pace, 6)
        await rounds(pace, 1, "timeout")
        begun = [await asyncio.wait_for(pace.begin(), 5) for _ in range(10)]
        pace.end(begun.pop(), "timeout")
        with pytest.raises(EngineError, match="hangs"):
            await asyncio.wait_for(pace.begin(), 5)

    asyncio.run(after())


def test_an_attempt_that_is_not_made_leaves_no_trace() -> None:
    async def after() -> Pace:
        pace = Pace(1, "host")
        for _ in range(7):
            pace.end(await pace.begin(), "timeout")
        begun = await pace.begin()
        waiting = asyncio.ensure_future(pace.begin())
        await asyncio.sleep(0)
        pace.give_back(begun)
        await asyncio.wait_for(waiting, 5)
        return pace

    pace = asyncio.run(after())
    assert (pace.attempts, pace.timeouts, dict(pace.failed)) == (8, 7, {"timeout": 7})
