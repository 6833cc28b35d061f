"""Stop and target on the right sides of the market, and of each other."""

from __future__ import annotations

from events.wording import price_text
from positions.domain.errors import InvalidPrice
from positions.domain.pricing import checked_price


def check_levels(direction: int, market: float | None, stop_loss: float | None, take_profit: float | None) -> None:
    """Raises InvalidPrice unless stop and target are prices on their right sides of the market, and of each other."""
    side = "long" if direction > 0 else "short"
    if stop_loss is not None:
        checked_price(stop_loss, "stop")
        if market is not None and (market - stop_loss) * direction <= 0:
            raise InvalidPrice(
                f"the stop of a {side} position must be {'below' if direction > 0 else 'above'} the market at {price_text(market)}"
            )
    if take_profit is not None:
        checked_price(take_profit, "target")
        if market is not None and (take_profit - market) * direction <= 0:
            raise InvalidPrice(
                f"the target of a {side} position must be {'above' if direction > 0 else 'below'} the market at {price_text(market)}"
            )
    if stop_loss is not None and take_profit is not None and (take_profit - stop_loss) * direction <= 0:
        raise InvalidPrice(f"the stop and target of a {side} position are the wrong way round")
