"""Position under any sequence of fills, prices and corrections, against a model of a few lines in Decimal."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events.position import PositionStatus
from positions.domain.holding import EntryKind
from positions.domain.ledger import fold_all
from positions.domain.pricing import CENT
from positions.domain.stock import StockPosition

PRICES = st.integers(1_00, 900_00).map(lambda cents: cents / 100)
SIZES = st.integers(-500, 500).filter(bool)


class PositionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.position = StockPosition("AAPL")
        self.fills: list[tuple[str, int, float]] = []
        self.worst = self.best = 0.0
        self.last = 0.0  # the last market price; a fill is none while there are marks
        self.version = 0

    def holding(self) -> int:
        return sum(quantity for _, quantity, _ in self.fills)

    @precondition(lambda self: self.position.status is not PositionStatus.CLOSED)
    @rule(quantity=SIZES, price=PRICES)
    def fill(self, quantity: int, price: float) -> None:
        held = self.holding()
        if held and (held > 0) != (quantity > 0):
            quantity = max(-held, quantity) if held > 0 else min(-held, quantity)
        self.note(price)
        fill_id = f"f{len(self.fills)}.01"
        assert self.position.apply_fill(quantity, price, fill_id=fill_id) == 0
        self.fills.append((fill_id, quantity, price))
        self.last = self.last or price
        self.note(self.last)  # the same price means another P&L at another size
        assert self.position.apply_fill(quantity, price, fill_id=fill_id) == 0  # again: nothing

    @precondition(lambda self: self.position.status is not PositionStatus.CLOSED)
    @rule(price=PRICES)
    def mark(self, price: float) -> None:
        self.last = price
        self.note(price)
        asyncio.run(self.position.update_price(price))
        assert self.position.unrealized_pnl == (price - (self.position.entry_price or 0)) * self.holding()

    @rule()
    def restore(self) -> None:
        again = StockPosition.from_dict(self.position.to_dict())
        assert again.to_dict() == self.position.to_dict()
        self.position = again

    def note(self, price: float) -> None:
        held = self.holding()
        if held:
            pnl = (price - (self.position.entry_price or 0)) * held
            self.best, self.worst = max(self.best, pnl), min(self.worst, pnl)

    @invariant()
    def it_agrees_with_the_decimal_ledger_to_the_cent(self) -> None:
        model = fold_all((quantity, price) for _, quantity, price in self.fills)
        assert self.position.held == model.quantity == self.holding()
        assert Decimal(str(round(self.position.realized_pnl, 6))).quantize(CENT) == model.realized.quantize(CENT)
        if model.quantity:
            assert abs(Decimal(str(self.position.entry_price)) - model.entry_price) < Decimal("1e-8")

    @invariant()
    def its_status_follows_what_is_held(self) -> None:
        expected = PositionStatus.PLANNED if not self.fills else PositionStatus.OPEN if self.holding() else PositionStatus.CLOSED
        assert self.position.status is expected
        assert all(entry.kind is EntryKind.FILL for entry in self.position.fills)

    @invariant()
    def its_excursions_reach_as_far_as_any_price_did(self) -> None:
        assert abs(self.position.mfe - self.best) < 1e-6
        assert abs(self.position.mae - self.worst) < 1e-6

    @invariant()
    def its_version_never_goes_back(self) -> None:
        assert self.position.version >= self.version
        self.version = self.position.version
        assert self.position.current_drawdown >= 0.0


PositionMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPositionMachine = PositionMachine.TestCase
