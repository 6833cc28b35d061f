"""The simulated account: cash, positions, average cost, realized result, commissions and margin.

Average cost includes commission and realized results are net of it, as at IB. Amounts are US dollars. The account
knows no orders and no sockets; `store.py` keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from positions.gateway.orders import Side

STARTING_CASH = 250_000.0
INITIAL_MARGIN = 0.50  # Regulation T
MAINTENANCE_MARGIN = 0.25

Price = Callable[[str], float]


@dataclass(slots=True, kw_only=True)
class Holding:
    """A position: signed shares, average cost per share including commission, realized result net of it."""

    symbol: str
    quantity: float = 0.0
    average_cost: float = 0.0
    realized: float = 0.0
    realized_today: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What an execution did: its fee, and the realized result, None when it only opened."""

    commission: float
    realized: float | None


def commission_for(quantity: float, value: float) -> float:
    """IB's fixed US stock rate for a whole order: 0.005 a share, at least 1.00, at most 1 % of the value."""
    return round(min(max(1.0, 0.005 * quantity), 0.01 * value), 4)


@dataclass(slots=True, kw_only=True)
class Account:
    """Money and shares. `opening_equity` is the net liquidation at the start of the account's day."""

    cash: float = STARTING_CASH
    holdings: dict[str, Holding] = field(default_factory=dict)
    opening_equity: float = STARTING_CASH
    realized: float = 0.0
    realized_today: float = 0.0
    commissions: float = 0.0

    def settle(self, symbol: str, side: Side, quantity: float, price: float, commission: float) -> Settled:
        """Books one execution: `quantity` shares at `price`, its fee taken from cash."""
        signed = quantity if side is Side.BUY else -quantity
        self.cash = round(self.cash - signed * price - commission, 6)
        self.commissions = round(self.commissions + commission, 6)
        holding = self.holdings.setdefault(symbol, Holding(symbol=symbol))
        closing = min(quantity, abs(holding.quantity)) if holding.quantity * signed < 0 else 0.0
        opening = quantity - closing
        fee_closing = commission * closing / quantity
        realized = None
        if closing:
            direction = 1 if holding.quantity > 0 else -1
            realized = round((price - holding.average_cost) * direction * closing - fee_closing, 6)
            self._realize(holding, realized)
        self._move(holding, signed, opening, price, commission - fee_closing)
        return Settled(commission=commission, realized=realized)

    def refund(self, commission: float) -> None:
        """A busted execution costs nothing."""
        self.cash = round(self.cash + commission, 6)
        self.commissions = round(self.commissions - commission, 6)

    def start_day(self, price: Price) -> None:
        """Rolls the day: today's results begin again from the present equity."""
        self.opening_equity = self.equity(price)
        self.realized_today = 0.0
        for holding in self.holdings.values():
            holding.realized_today = 0.0

    def market_value(self, price: Price) -> float:
        return sum(holding.quantity * price(holding.symbol) for holding in self._open())

    def gross_value(self, price: Price) -> float:
        return sum(abs(holding.quantity) * price(holding.symbol) for holding in self._open())

    def equity(self, price: Price) -> float:
        return self.cash + self.market_value(price)

    def unrealized(self, price: Price) -> float:
        return sum(holding.quantity * (price(holding.symbol) - holding.average_cost) for holding in self._open())

    def daily(self, price: Price) -> float:
        return self.equity(price) - self.opening_equity

    def initial_margin(self, price: Price) -> float:
        return INITIAL_MARGIN * self.gross_value(price)

    def margin_after(self, symbol: str, side: Side, quantity: float, at_price: float, price: Price) -> float:
        """The initial margin requirement once this order has filled."""
        held = self.holdings.get(symbol, Holding(symbol=symbol)).quantity
        after = held + (quantity if side is Side.BUY else -quantity)
        others = self.gross_value(price) - abs(held) * price(symbol)
        return INITIAL_MARGIN * (others + abs(after) * at_price)

    def values(self, price: Price) -> dict[str, float]:
        """The numeric account values that IB reports, by tag."""
        equity = self.equity(price)
        gross = self.gross_value(price)
        initial = INITIAL_MARGIN * gross
        maintenance = MAINTENANCE_MARGIN * gross
        return {
            "NetLiquidation": equity,
            "EquityWithLoanValue": equity,
            "PreviousDayEquityWithLoanValue": self.opening_equity,
            "TotalCashValue": self.cash,
            "SettledCash": self.cash,
            "AccruedCash": 0.0,
            "GrossPositionValue": gross,
            "StockMarketValue": self.market_value(price),
            "InitMarginReq": initial,
            "FullInitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "FullMaintMarginReq": maintenance,
            "AvailableFunds": equity - initial,
            "FullAvailableFunds": equity - initial,
            "ExcessLiquidity": equity - maintenance,
            "FullExcessLiquidity": equity - maintenance,
            "BuyingPower": max(0.0, (equity - initial) / MAINTENANCE_MARGIN),
            "Cushion": (equity - maintenance) / equity if equity > 0 else 0.0,
            "RealizedPnL": self.realized_today,
            "UnrealizedPnL": self.unrealized(price),
        }

    def _open(self) -> list[Holding]:
        return [holding for holding in self.holdings.values() if holding.quantity]

    def _realize(self, holding: Holding, amount: float) -> None:
        holding.realized = round(holding.realized + amount, 6)
        holding.realized_today = round(holding.realized_today + amount, 6)
        self.realized = round(self.realized + amount, 6)
        self.realized_today = round(self.realized_today + amount, 6)

    def _move(self, holding: Holding, signed: float, opening: float, price: float, fee: float) -> None:
        before = holding.quantity
        holding.quantity = round(before + signed, 6)
        if opening:
            kept = abs(before) if before * signed > 0 else 0.0
            direction = 1 if signed > 0 else -1
            cost = holding.average_cost * kept + price * opening + fee * direction
            holding.average_cost = cost / (kept + opening)
        elif not holding.quantity:
            holding.average_cost = 0.0
