"""Whether orders may leave, and how large: the trading state and the risk limits, read from their rows every two seconds.

Changing the state happens in memory first, so that a halt holds at once even when the database does not answer, and is
then written. A row changed by somebody else is taken over, but a halt the worker could not write yet is never undone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import F

from events.bus import EventBus
from events.clock import utc_now
from events.journal import Fenced
from events.system import TradingStateEvent
from positions.limits import limits_row
from positions.models import RiskLimits as RiskLimitsRecord
from positions.models import TradingState
from tradingsite.worker.database import Database

log = logging.getLogger(__name__)

ACTIVE, REDUCE_ONLY, HALTED = (str(s) for s in TradingState.State)


class StateNotWritten(RuntimeError):
    """The trading state holds in this worker, but not yet in the database: a restart would not know of it."""

    def __init__(self, state: str, cause: Exception) -> None:
        super().__init__(
            f"Trading is {state.replace('_', ' ')} in the worker, but that could not be written yet ({type(cause).__name__}). "
            "It is written when the database answers; a restart before that would not know of it."
        )


class TradingSwitch:
    """active, reduce_only or halted, and why.

    `on_limits` hears the limits row as a dict whenever it was read, `on_state` every change of state.
    """

    def __init__(
        self,
        bus: EventBus,
        database: Database,
        *,
        on_limits: Callable[[dict[str, Any]], None],
        on_state: Callable[[str, str], None],
        fence: Callable[[], None],
    ) -> None:
        self.state: str = HALTED
        self.reason = "the worker has not read the trading state yet"
        self._bus = bus
        self._database = database
        self._on_limits = on_limits
        self._on_state = on_state
        self._fence = fence  # raises when another worker has taken over: the state is then no longer ours to write
        self._unwritten: tuple[str, str, str] | None = None  # state, reason, by whom

    async def refresh(self) -> None:
        """Read both rows; write what could not be written before."""
        if self._unwritten is not None:
            await self._write()
        state, limits = await self._database.run(read_rows)
        self._on_limits(limits)
        if self._unwritten is None:
            self._hold(state["state"], state["reason"])

    async def change(self, state: str, reason: str, by: str) -> None:
        """Change the state for good. It holds in memory whatever happens to its row; StateNotWritten if that must wait."""
        previous = self.state
        self._hold(state, reason)
        self._unwritten = (state, reason, by)
        event = TradingStateEvent(state=state, reason=reason, changed_by=by, previous_state=previous)
        log.warning("trading %s (was %s) by %s: %s", state, previous, by, reason)
        await self._bus.emit(event)
        await self.make_durable()

    async def make_durable(self) -> None:
        """Write what could not be written before; raises StateNotWritten if that still fails."""
        try:
            await self._write()
        except Fenced:
            raise
        except Exception as error:
            raise StateNotWritten(self.state, error) from error

    def halt_now(self, reason: str, by: str = "worker") -> None:
        """Stop entries this instant, from any callback; `refresh` writes it."""
        if self.state == HALTED:
            return
        log.error("HALTED: %s", reason)
        previous = self.state
        self._hold(HALTED, reason[:300])
        self._unwritten = (HALTED, self.reason, by)
        self._bus.post(TradingStateEvent(state=HALTED, reason=self.reason, changed_by=by, previous_state=previous))

    def _hold(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        self._on_state(state, reason)

    async def _write(self) -> None:
        if self._unwritten is None:
            return
        wish = self._unwritten
        await self._database.run(write_state, self._fence, *wish)
        if self._unwritten == wish:
            self._unwritten = None


def read_rows() -> tuple[dict[str, Any], dict[str, Any]]:
    """(trading state, risk limits) as stored; made with their defaults if a row is missing."""
    state, _ = TradingState.objects.get_or_create(pk=1)
    limits, _ = RiskLimitsRecord.objects.get_or_create(pk=1)
    return {"state": str(state.state), "reason": state.reason}, limits_row(limits)


def write_state(fence: Callable[[], None], state: str, reason: str, by: str) -> None:
    changed = {"state": state, "reason": reason[:300], "changed_by": by[:150], "changed_at": utc_now()}
    with transaction.atomic():
        fence()
        TradingState.objects.get_or_create(pk=1)
        TradingState.objects.filter(pk=1).update(version=F("version") + 1, **changed)
