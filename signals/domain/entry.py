"""The entry that a signal asks for, made in one place: what the card is judged by is what the worker judges and sends."""

from __future__ import annotations

from events.order import OrderSide, OrderType
from positions.domain.intent import OrderIntent

SOURCE = "options flow"  # where the orders of signals come from, as limits and locks name it


def entry_intent(
    *,
    intent_id: str,
    signal_id: str,
    symbol: str,
    direction: int,
    quantity: float,
    limit_price: float,
    stop_loss: float | None,
    take_profit: float | None,
    reference_price: float | None,
    expected_price: float | None,
) -> OrderIntent:
    """A limit bracket in the direction (+1, -1) of the signal; shares, and prices per share. Its life is the caller's matter."""
    return OrderIntent(
        intent_id=intent_id,
        symbol=symbol,
        side=OrderSide.BUY if direction > 0 else OrderSide.SELL,
        quantity=quantity,
        entry_type=OrderType.LIMIT,
        limit_price=limit_price,
        stop_loss=stop_loss,
        take_profit=take_profit,
        signal_id=signal_id,
        source=SOURCE,
        strategy=SOURCE,
        reference_price=reference_price,
        expected_price=expected_price,
    )
