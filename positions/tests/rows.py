"""Rows for page tests, made the way the worker makes them: domain objects change, the store's own mapping writes them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from events.order import OrderRole, OrderSide, OrderState, OrderType, TimeInForce
from positions.domain.order import Order
from positions.domain.position import Position
from positions.models import EquityPoint, FillRecord, OrderRecord, PositionChange, PositionEntry, PositionRecord
from positions.store import order_columns, position_columns
from positions.store_growing import change_columns, entry_columns

ACCOUNT = "DUSIM001"
NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)  # 12:00 at the exchange
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A position from first fill to last: signed shares, prices per share, commission for each fill."""

    symbol: str = "AAPL"
    shares: float = 100
    entry: float = 150.0
    exit: float | None = 155.0
    stop: float | None = None
    target: float | None = None
    last: float | None = None
    opened: datetime = NOON
    closed: datetime = NOON + timedelta(hours=1)
    commission: float = 1.0
    signal_id: str = ""
    reason: str = "target"


def make_position(trip: Trip, position_id: str = "") -> PositionRecord:
    """Store the position and its fills; `exit` None leaves it open."""
    clock = [trip.opened]
    name = position_id or f"pos-{next(_numbers)}"
    position = Position(trip.symbol, name, signal_id=trip.signal_id, strategy="flow", account=ACCOUNT, now=lambda: clock[0])
    position.plan(trip.shares, stop_loss=trip.stop, take_profit=trip.target)
    position.begin_opening(f"{name}-E")
    _fill(position, trip.shares, trip.entry, trip.commission, trip.opened, f"{name}-1.01")
    if trip.last is not None:
        position.observe(trip.last)
    if trip.exit is not None:
        clock[0] = trip.closed
        _fill(position, -trip.shares, trip.exit, trip.commission, trip.closed, f"{name}-2.01", trip.reason)
    elif trip.stop is not None:
        position.set_stop_state("resting")
    PositionChange.objects.bulk_create(PositionChange(**change_columns(name, line, 1)) for line in position.history)
    entries = enumerate(entry.to_dict() for entry in position.fills)
    PositionEntry.objects.bulk_create(PositionEntry(**entry_columns(name, number, entry, 1)) for number, entry in entries)
    return PositionRecord.objects.create(**position_columns(position.state(), 1))


def make_trade(
    *fills: tuple[float, float, datetime], symbol: str = "AAPL", fee: float = 1.0, stop: float | None = None, account: str = ACCOUNT
) -> PositionRecord:
    """Store a trade made of (signed shares, price, time) executions, each with the same fee; what they leave is still held."""
    clock = [fills[0][2]]
    name = f"pos-{next(_numbers)}"
    position = Position(symbol, name, account=account, now=lambda: clock[0])
    position.plan(fills[0][0], stop_loss=stop)
    for number, (shares, price, at) in enumerate(fills, 1):
        clock[0] = at
        _fill(position, shares, price, fee, at, f"{name}-{number}.01")
    return PositionRecord.objects.create(**position_columns(position.state(), 1))


def _fill(position: Position, shares: float, price: float, commission: float, at: datetime, fill_id: str, reason: str = "") -> None:
    realized = position.realizes(shares, price)
    position.apply_fill(shares, price, fill_id=fill_id, order_id=f"{position.position_id}-E", commission=commission, at=at, reason=reason)
    FillRecord.objects.create(
        exec_id=fill_id,
        exec_base=fill_id.rpartition(".")[0],
        account=position.account,
        order_id=f"{position.position_id}-E",
        position_id=position.position_id,
        signal_id=position.signal_id,
        symbol=position.symbol,
        side="buy" if shares > 0 else "sell",
        quantity=Decimal(str(abs(shares))),
        price=Decimal(str(price)),
        commission=Decimal(str(commission)),
        realized_pnl=Decimal(str(round(realized, 4))),
        fill_time=at,
        received_at=at,
    )


def make_order(order_id: str = "", **changed: Any) -> OrderRecord:
    """Store one order; `changed` overrides the fields of its row (state, role, message, ...)."""
    name = order_id or f"ord-{next(_numbers)}"
    at = changed.pop("at", NOON)
    order = Order(
        order_id=name,
        order_ref=f"ref-{name}",
        symbol=changed.pop("symbol", "AAPL"),
        side=OrderSide(changed.pop("side", "buy")),
        order_type=OrderType(changed.pop("order_type", "limit")),
        quantity=changed.pop("quantity", 100),
        role=OrderRole(changed.pop("role", "entry")),
        tif=TimeInForce.DAY,
        now=lambda: at,
    )
    row = order.to_dict() | {"state": OrderState.WORKING.value, "limit_price": 150.0, "account": ACCOUNT} | changed
    return OrderRecord.objects.create(**order_columns(row, 1))


def make_equity(values: list[str], *, start: datetime = NOON, step: timedelta = timedelta(minutes=1), account: str = ACCOUNT) -> None:
    """Equity points one step apart."""
    EquityPoint.objects.bulk_create(
        EquityPoint(account=account, at=start + step * n, equity=Decimal(value), cash=Decimal(value)) for n, value in enumerate(values)
    )
