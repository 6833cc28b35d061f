"""A position in a stock: what kind of company, and the usual ways to work out a stop, a target and a trail.

The calculations only calculate. Applying their result is a separate call, here and at the broker.
"""

from __future__ import annotations

from typing import Any

from positions.domain.errors import CannotCalculate
from positions.domain.levels import atr_distance, checked_trail, planned_stop, planned_target
from positions.domain.position import Position
from positions.domain.pricing import checked_price

STOCK_FIELDS = ("avg_volume", "beta", "dividend_yield", "sector", "industry", "market_cap")


class StockPosition(Position):
    """Adds stock metadata, ATR stops, risk-reward targets, trailing stops and drawdown."""

    def __init__(self, symbol: str, position_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(symbol, position_id, **kwargs)
        self.avg_volume: float | None = None  # shares per day
        self.beta: float | None = None
        self.dividend_yield: float | None = None  # fraction per year
        self.sector: str | None = None
        self.industry: str | None = None
        self.market_cap: float | None = None  # dollars
        self.max_drawdown = 0.0  # fraction of the peak value, since the size last changed
        self._peak_value = 0.0  # of the P&L-adjusted value, since the size last changed

    async def set_stock_info(
        self,
        avg_volume: float | None = None,
        beta: float | None = None,
        dividend_yield: float | None = None,
        sector: str | None = None,
        industry: str | None = None,
        market_cap: float | None = None,
    ) -> None:
        """None leaves a field alone."""
        given = dict(zip(STOCK_FIELDS, (avg_volume, beta, dividend_yield, sector, industry, market_cap), strict=True))
        changed = {name: value for name, value in given.items() if value is not None}
        for name, value in changed.items():
            setattr(self, name, value)
        if changed:
            self._record("stock_info", changed)

    @property
    def adjusted_value(self) -> float:
        """Entry value plus unrealized P&L: grows when we are right, for shorts too."""
        return self.entry_value + self.unrealized_pnl

    @property
    def current_drawdown(self) -> float:
        """Fraction lost since the peak of the adjusted value, >= 0."""
        if self._peak_value <= 0:
            return 0.0
        return max(0.0, (self._peak_value - self.adjusted_value) / self._peak_value)

    async def calculate_optimal_stop_loss(self, atr_multiple: float = 2.0, atr_value: float | None = None) -> float:
        """entry ∓ atr * multiple; `atr_value` in dollars, else metadata "atr". Raises CannotCalculate without one, and where the
        stop would be no price."""
        atr = atr_value if atr_value is not None else self.metadata.get("atr")
        if self.entry_price is None:
            raise CannotCalculate("an ATR stop needs an entry price")
        return planned_stop(self.direction, self.entry_price, atr_distance(atr, atr_multiple))

    async def calculate_optimal_take_profit(self, risk_reward_ratio: float = 2.0) -> float:
        """entry ± |entry - stop| * ratio. Raises CannotCalculate without a stop, and where the target would be no price."""
        if self.stop_loss is None or self.entry_price is None:
            raise CannotCalculate("a risk-reward target needs an entry price and a stop")
        return planned_target(self.direction, self.entry_price, self.stop_loss, risk_reward_ratio)

    async def calculate_trailing_stop(self, price: float, trail_percentage: float = 0.03) -> float:
        """price * (1 ∓ trail); 0.03 is three percent. Raises InvalidPrice for a trail that makes no sense."""
        return checked_price(price) * (1 - self.direction * checked_trail(trail_percentage))

    async def apply_trailing_stop(self, price: float, trail_percentage: float = 0.03) -> bool:
        """Move the stop of the record if the trail is tighter; it never loosens. True if it moved."""
        candidate = await self.calculate_trailing_stop(price, trail_percentage)
        if self.stop_loss is not None and (candidate - self.stop_loss) * self.direction <= 0:
            return False
        await self.update_stop_loss(candidate, reason="trailing stop")
        return True

    def _note(self, price: float) -> None:
        super()._note(price)
        value = self.entry_value + self._unrealized(price)
        self._peak_value = max(self._peak_value, value)
        if self._peak_value > 0:
            self.max_drawdown = max(self.max_drawdown, (self._peak_value - value) / self._peak_value)

    def watch_band(self, price: float) -> tuple[float, float]:
        """Also left when the drawdown gets deeper than ever or the peak higher."""
        low, high = super().watch_band(price)
        quantity = abs(self.held)
        if not quantity or self.entry_price is None:
            return low, high
        at_peak = self.entry_price + (self._peak_value - self.entry_value) / self.held
        at_worst = self.entry_price + (self._peak_value * (1 - self.max_drawdown) - self.entry_value) / self.held
        inner_low, inner_high = min(at_peak, at_worst), max(at_peak, at_worst)
        return max(low, inner_low), min(high, inner_high)

    def _after_size_change(self, price: float, at: Any, reason: str) -> None:
        self._peak_value = 0.0  # re-based: the value changed because the size did, not the market
        super()._after_size_change(price, at, reason)

    def _after_correction(self, price: float) -> None:
        self._peak_value = 0.0
        super()._after_correction(price)
        if self.held and self._price is not None:
            self._note(self._price)

    def _resize(self, quantity: float) -> None:
        super()._resize(quantity)
        self._peak_value = 0.0
        if self._price is not None:
            self._note(self._price)

    def state(self) -> dict[str, Any]:
        row = super().state()
        row["stock"] = {name: getattr(self, name) for name in STOCK_FIELDS}
        row["drawdown"] = {"max": self.max_drawdown, "peak_value": self._peak_value}
        return row

    @classmethod
    def from_dict(cls, row: dict[str, Any], **kwargs: Any) -> StockPosition:
        position = super().from_dict(row, **kwargs)
        for name, value in row.get("stock", {}).items():
            setattr(position, name, value)
        position.max_drawdown = row.get("drawdown", {}).get("max", 0.0)
        position._peak_value = row.get("drawdown", {}).get("peak_value", 0.0)
        return position
