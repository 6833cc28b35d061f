"""How many shares of a late execution were let go, how many explain a shortfall, and how many open another side."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from events.bus import EventBus
from events.order import OrderRole, OrderSide, OrderType
from positions.domain.ledger import Execution
from positions.domain.order import Order
from positions.domain.order_released import GONE, parts
from positions.domain.tracker import PositionTracker

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def sold(sold_now: float, *, there: float, gone: float = 0.0, earlier: float = 0.0) -> tuple[float, float]:
    """(change of the shares held elsewhere, shares of another side) of a late sale; `earlier` was sold late before it."""
    tracker = PositionTracker(EventBus(), now=lambda: NOW)
    position = tracker.plan("AAPL", 100)
    position.apply_fill(100, 100.0)
    position.metadata[GONE] = gone
    position.release("sold by phone")
    stop = Order(
        order_id="s", order_ref="T-S", symbol="AAPL", side=OrderSide.SELL, order_type=OrderType.STOP, quantity=100,
        role=OrderRole.STOP, position_id=position.position_id, now=lambda: NOW,
    )  # fmt: skip
    for number, shares in enumerate((earlier, sold_now), 1):
        if shares:
            stop.execute(Execution(exec_id=f"000{number}.01", quantity=Decimal(str(shares)), price=Decimal(95), time=NOW))
    return parts(stop, -sold_now, there, orders=[stop], tracker=tracker)


@pytest.mark.parametrize(
    ("sale", "expected"),
    [
        ({"sold_now": 100, "there": 100}, (-100, 0)),  # all of it was let go
        ({"sold_now": 40, "there": 100}, (-40, 0)),
        ({"sold_now": 100, "there": 60}, (-60, -40)),  # the others were taken back or sold: a short of ours
        ({"sold_now": 100, "there": 0}, (0, -100)),
        ({"sold_now": 100, "there": -20}, (0, -100)),  # somebody else's short is not made larger
        ({"sold_now": 100, "there": 0, "gone": -100}, (0, 0)),  # it explains why nothing was there
        ({"sold_now": 100, "there": 70, "gone": -30}, (-70, 0)),
        ({"sold_now": 20, "there": 70, "gone": -30, "earlier": 20}, (-10, 0)),  # ten of them were still unexplained
        ({"sold_now": 20, "there": 70, "gone": 30}, (-20, 0)),  # more was there than ours: a sale explains nothing of it
    ],
)
def test_a_late_sale_after_a_release(sale: dict[str, float], expected: tuple[float, float]) -> None:
    assert sold(**sale) == pytest.approx(expected)
