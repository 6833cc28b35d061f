"""Steps that repeat: what ends them."""

from __future__ import annotations

import asyncio

from tradingsite.worker.rhythm import Rhythm

ENOUGH_SECONDS = 20  # of the test's patience: the failing case never ends


async def test_a_step_whose_answer_comes_at_the_moment_of_the_stop_does_not_keep_the_worker_alive() -> None:
    rhythm, begun = Rhythm(on_fenced=lambda why: None), 0

    async def step() -> None:
        """As `asyncio.wait_for` does on Python 3.11: the answer is there, and the cancel is forgotten."""
        nonlocal begun
        begun += 1
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            await answer
        except asyncio.CancelledError:
            if begun > 1:
                raise

    rhythm.every(0.0, "asks", step)
    await asyncio.sleep(0)
    await asyncio.wait_for(rhythm.stop(), ENOUGH_SECONDS)
    assert begun == 2, "it went on once, and was stopped again"
