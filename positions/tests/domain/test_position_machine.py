"""Position under any sequence of fills, prices, stops, fees and corrections, against a model of a few lines."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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


@dataclass
class Fill:
    number: int
    quantity: int
    price: float
    stop: float | None
    fee: float = 0.0
    revision: int = 1


class PositionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.position = StockPosition("AAPL")
        self.fills: list[Fill] = []
        self.told: list[Fill | float] = []  # fills and market prices, in the order they came
        self.stop: float | None = None
        self.version = 0

    def holding(self) -> int:
        return sum(fill.quantity for fill in self.fills)

    @precondition(lambda self: self.position.status is not PositionStatus.CLOSED)
    @rule(quantity=SIZES, price=PRICES)
    def fill(self, quantity: int, price: float) -> None:
        held = self.holding()
        if held and (held > 0) != (quantity > 0):
            quantity = max(-held, quantity) if held > 0 else min(-held, quantity)
        fill = Fill(len(self.fills), quantity, price, self.stop)
        assert self.position.apply_fill(quantity, price, fill_id=f"f{fill.number}.01") == 0
        self.fills.append(fill)
        self.told.append(fill)
        assert self.position.apply_fill(quantity, price, fill_id=f"f{fill.number}.01") == 0  # again: nothing

    @precondition(lambda self: self.position.status is not PositionStatus.CLOSED)
    @rule(price=PRICES)
    def mark(self, price: float) -> None:
        self.told.append(price)
        asyncio.run(self.position.update_price(price))
        assert self.position.unrealized_pnl == (price - (self.position.entry_price or 0)) * self.holding()

    @precondition(lambda self: self.position.status is PositionStatus.OPEN)
    @rule(share=st.floats(0.01, 0.5))
    def move_the_stop(self, share: float) -> None:
        self.stop = round((self.position.current_price or 0.0) * (1 - self.position.direction * share), 4)
        asyncio.run(self.position.update_stop_loss(self.stop))

    @precondition(lambda self: bool(self.fills))
    @rule(number=st.integers(0), price=PRICES)
    def correct(self, number: int, price: float) -> None:
        fill = self.fills[number % len(self.fills)]
        fill.price, fill.revision = price, fill.revision + 1
        self.position.correct_fill(f"f{fill.number}.{fill.revision:02d}", fill.quantity, price)

    @precondition(lambda self: bool(self.fills))
    @rule(number=st.integers(0), fee=st.integers(0, 500))
    def tell_the_fee(self, number: int, fee: int) -> None:
        fill = self.fills[number % len(self.fills)]
        fill.fee = fee / 100
        self.position.add_commission(f"f{fill.number}.{fill.revision:02d}", fill.fee)

    @rule()
    def restore(self) -> None:
        again = StockPosition.from_dict(self.position.to_dict())
        assert again.to_dict() == self.position.to_dict()
        self.position = again

    @invariant()
    def it_agrees_with_the_decimal_ledger_to_the_cent(self) -> None:
        model = fold_all((fill.quantity, fill.price) for fill in self.fills)
        fees = sum(Decimal(str(fill.fee)) for fill in self.fills)
        assert self.position.held == model.quantity == self.holding()
        assert abs(Decimal(str(self.position.realized_pnl)) - (model.realized - fees)) < CENT / 2
        if model.quantity:
            assert abs(Decimal(str(self.position.entry_price)) - model.entry_price) < Decimal("1e-8")

    @invariant()
    def its_status_follows_what_is_held(self) -> None:
        expected = PositionStatus.PLANNED if not self.fills else PositionStatus.OPEN if self.holding() else PositionStatus.CLOSED
        assert self.position.status is expected
        assert all(entry.kind is EntryKind.FILL for entry in self.position.fills)

    @invariant()
    def its_excursions_are_of_all_it_made_by_the_numbers_known_now(self) -> None:
        cash, held, market, worths = 0.0, 0, None, [0.0]
        for told in self.told:
            if isinstance(told, Fill):
                worths.append(cash + held * told.price)
                cash, held = cash - told.quantity * told.price - told.fee, held + told.quantity
                worths += [cash + held * told.price, cash + held * (told.price if market is None else market)]
            else:
                market = told
                worths.append(cash + held * told)
        assert abs(self.position.mfe - max(worths)) < 1e-5
        assert abs(self.position.mae - min(worths)) < 1e-5

    @invariant()
    def its_risk_is_of_each_entry_to_the_stop_of_its_moment(self) -> None:
        risk: float | None = 0.0
        for fill in self.fills:
            if (fill.quantity > 0) == (self.fills[0].quantity > 0):
                lost = None if fill.stop is None else (fill.price - fill.stop) * fill.quantity
                risk = None if risk is None or lost is None or lost <= 0 else risk + lost
        taken = self.position.risk_taken
        assert (taken is None) == (not risk)
        if taken and risk:
            assert abs(taken - risk) < 1e-5

    @invariant()
    def its_version_never_goes_back(self) -> None:
        assert self.position.version >= self.version
        self.version = self.position.version
        assert self.position.current_drawdown >= 0.0


PositionMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPositionMachine = PositionMachine.TestCase
