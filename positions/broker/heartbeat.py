"""Is the gateway still answering? One question of the time of day every few seconds, beside every other question.

A socket can look open while nobody answers at its other end, and ticks can go on while every answer is lost. So only the
answer itself counts as life, or the rows of a list that is being read: behind a long list the answer comes late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from events.clock import monotonic

ANSWER_SECONDS = 4.5  # with the time between two questions below ten seconds, a new session within them


class Heartbeat:
    """`beat()` until the session ends; `on_silence` once, when the deadline has passed. One per session.

    `ask` writes the question and gives its answer; it waits for the pacer but for no other question. `heard_at` is when a
    frame last came that tells of an answer under way, in seconds of the monotonic clock.
    """

    def __init__(
        self,
        *,
        ask: Callable[[], Awaitable[asyncio.Future[object]]],
        heard_at: Callable[[], float],
        on_silence: Callable[[str], None],
        every: float,
        patience: float,
    ) -> None:
        self._ask = ask
        self._heard_at = heard_at
        self._on_silence = on_silence
        self._every = every
        self._patience = patience

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            answer = await self._ask()
            answer.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # of a session that ended meanwhile
            if not await self._answered(answer):
                self._on_silence(f"no answer for {self._patience:.1f} s")
                return
            if answer.cancelled() or answer.exception() is not None:
                return  # the socket died meanwhile, and whoever saw it die has told so

    async def _answered(self, answer: asyncio.Future[object]) -> bool:
        """True once it is done, False when neither it nor a row of a list came in time."""
        asked_at = monotonic()
        while not answer.done():
            left = max(asked_at, self._heard_at()) + self._patience - monotonic()
            if left <= 0:
                answer.cancel()
                return False
            await asyncio.wait({answer}, timeout=left)
        return True
