"""The gateway's own checks before an order enters the book: IB's codes 110, 200, 201, 203, 321, 387.

Margin is counted as if the order filled at once at its own price, or at the market when it has none, beside all other orders
that work and would open or add; a change counts for what it adds. An order that only reduces a position always passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from events.accounts import SIMULATED_ACCOUNT
from positions.gateway.account import INITIAL_MARGIN, Account
from positions.gateway.contracts import Contracts, NoContract, off_tick
from positions.gateway.orders import BookOrder, Kind, OrderSpec, Refusal, Side, Tif

MAX_QUANTITY = 500_000.0
_PRICED = frozenset({Kind.LIMIT, Kind.STOP_LIMIT, Kind.LIMIT_ON_CLOSE})
_STOPPED = frozenset({Kind.STOP, Kind.STOP_LIMIT})


class Admissions:
    """Refuses an order, or lets it pass (None). `forbidden` symbols answer 203."""

    def __init__(
        self, account: Account, contracts: Contracts, last: Callable[[str], float], working: Callable[[], Iterable[BookOrder]] = tuple
    ) -> None:
        self._account = account
        self._working = working
        self._contracts = contracts
        self._last = last
        self.forbidden: set[str] = set()

    def check(self, spec: OrderSpec, existing: BookOrder | None) -> Refusal | None:
        return self._sense(spec) or self._prices(spec) or self._margin(spec, existing)

    def _sense(self, spec: OrderSpec) -> Refusal | None:
        try:
            self._contracts.info(spec.symbol)
        except NoContract as error:
            return Refusal(code=error.code, text=error.text)
        if spec.symbol in self.forbidden:
            return Refusal(code=203, text="The security is not available or allowed for this account.")
        if spec.account not in ("", SIMULATED_ACCOUNT):
            return Refusal(code=321, text="Error validating request.-'bW' : cause - Invalid account code")
        if spec.quantity <= 0 or spec.quantity != int(spec.quantity):
            return _invalid("Order size must be a positive whole number of shares")
        if spec.quantity > MAX_QUANTITY:
            return Refusal(code=201, text="Order rejected - reason:Order size exceeds the maximum allowed")
        if spec.tif is Tif.GTD and spec.good_till is None:
            return _invalid("GTD order without a good-till date")
        if spec.kind in (Kind.MARKET_ON_CLOSE, Kind.LIMIT_ON_CLOSE) and spec.tif is not Tif.DAY:
            return Refusal(code=387, text="Unsupported order type for this exchange and security type.")
        return None

    def _prices(self, spec: OrderSpec) -> Refusal | None:
        if spec.kind in _PRICED and (spec.limit_price or 0.0) <= 0:
            return _invalid("Limit price must be positive")
        if spec.kind in _STOPPED and (spec.stop_price or 0.0) <= 0:
            return _invalid("Stop price must be positive")
        if spec.kind in (Kind.TRAIL, Kind.TRAIL_LIMIT) and not (spec.trail_amount or spec.trail_percent):
            return _invalid("A trailing order needs a trailing amount or percentage")
        prices = (spec.limit_price, spec.stop_price)
        if any(price is not None and off_tick(price) for price in prices):
            return Refusal(code=110, text="The price does not conform to the minimum price variation for this contract.")
        return None

    def _margin(self, spec: OrderSpec, existing: BookOrder | None) -> Refusal | None:
        holding = self._account.holdings.get(spec.symbol)
        held = holding.quantity if holding else 0.0
        left = spec.quantity - (existing.filled if existing is not None else 0.0)
        price = self._price(spec)
        if spec.parent_id or self._opens(held, spec.side, left) <= 0 or (existing is not None and existing.spec.parent_id):
            return None
        if existing is not None and left * price <= existing.remaining * self._price(existing.spec):
            return None  # it takes no more than it did
        needed = self._account.margin_after(spec.symbol, spec.side, left, price, self._last) + self._reserved(existing)
        equity = self._account.equity(self._last)
        if needed <= equity:
            return None
        return Refusal(
            code=201,
            text=(
                "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY "
                f"WITH LOAN VALUE [{equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{needed:.2f} USD]"
            ),
        )

    def _reserved(self, but: BookOrder | None) -> float:
        """Initial margin of the other orders that work and would open or add."""
        total = 0.0
        for order in self._working():
            if order is but or order.spec.parent_id or not order.transmitted:
                continue
            holding = self._account.holdings.get(order.spec.symbol)
            adds = self._opens(holding.quantity if holding else 0.0, order.spec.side, order.remaining)
            total += INITIAL_MARGIN * max(0.0, adds) * self._price(order.spec)
        return total

    @staticmethod
    def _opens(held: float, side: Side, quantity: float) -> float:
        """By how many shares the position would be larger, on whichever side."""
        return abs(held + (quantity if side is Side.BUY else -quantity)) - abs(held)

    def _price(self, spec: OrderSpec) -> float:
        return spec.limit_price or spec.stop_price or self._last(spec.symbol)


def _invalid(cause: str) -> Refusal:
    return Refusal(code=321, text=f"Error validating request.-'bW' : cause - {cause}")
