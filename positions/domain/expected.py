"""What an entry is expected to cost, and what it then risks: the one reckoning of cards, worker, reversals and the demo's history.

An entry's limit lies through the market so that it fills; it fills at the ask (a sell at the bid), not at the limit. Size, risk,
target and R therefore come from the expected fill. The limit is the worst case, and that is what limits of the desk bind.
"""

from __future__ import annotations

from events.order import OrderSide
from positions.domain.pricing import is_price

SLIPPAGE_PCT = 0.01  # how much worse than the quote, where no setting says another number


def expected_fill(
    side: OrderSide, *, bid: float | None, ask: float | None, last: float | None, slippage_pct: float, limit: float | None = None
) -> float | None:
    """The ask for a buy, the bid for a sell (else the last trade), `slippage_pct` percent worse, but never beyond the limit."""
    buying = side is OrderSide.BUY
    quoted = ask if buying else bid
    market = quoted if is_price(quoted) else last
    if not is_price(market):
        return limit
    price = market * (1 + slippage_pct / 100 if buying else 1 - slippage_pct / 100)
    if limit is None:
        return price
    return min(price, limit) if buying else max(price, limit)


def money_between(quantity: float, price: float | None, level: float | None) -> float | None:
    """What `quantity` shares entered at `price` make or lose at `level`, >= 0; None where one of them is not known."""
    return None if price is None or level is None else quantity * abs(price - level)
