"""The written record: journaled events become rows, in the journal's own transaction; rows become objects at start.

Every write carries the worker's epoch and changes a row only forwards (`version` grows, `epoch` never falls), so a stale
worker, a repeated batch and a batch out of order all leave the row as it was. Only the worker calls the writing half.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.db import models

from events.base import BaseEvent
from events.clock import utc_now
from events.order import FillEvent, OrderEvent
from events.position import PositionEvent, PositionStatus
from events.system import EquityEvent, HoldingEvent
from positions.current import current_positions, living_orders
from positions.domain.ledger import split_exec_id
from positions.domain.packing import GROWING, order_state, position_state
from positions.domain.ports import Bar
from positions.models import BrokerHolding, EquityPoint, FillRecord, MinuteBar, OrderRecord, PositionRecord
from positions.store_growing import save_growing, with_growing
from positions.upsert import Upsert

Versioned = TypeVar("Versioned", OrderEvent, PositionEvent)
REMEMBERED = timedelta(days=3)  # a finished order can still get a late fill or a correction

_order_upsert = Upsert(OrderRecord, key="order_id", only_if="{new}.version > {old}.version AND {new}.epoch >= {old}.epoch")
_position_upsert = Upsert(PositionRecord, key="position_id", only_if="{new}.version > {old}.version AND {new}.epoch >= {old}.epoch")
_fill_upsert = Upsert(
    FillRecord,
    key="exec_id",
    update={"commission": "COALESCE({new}.commission, {old}.commission)", "realized_pnl": "{new}.realized_pnl", "epoch": "{new}.epoch"},
    only_if="{new}.epoch >= {old}.epoch",
)
_equity_upsert = Upsert(EquityPoint, key="account, at", only_if="{new}.epoch >= {old}.epoch")
_holding_upsert = Upsert(BrokerHolding, key="account, symbol", only_if="{new}.epoch >= {old}.epoch")
_bar_upsert = Upsert(MinuteBar, key="symbol, at")


# --- events to rows ---------------------------------------------------------------------------------------------------


def project(events: Sequence[tuple[BaseEvent, int]], epoch: int) -> None:
    """The journal's projection. Runs inside the transaction that stores the events."""
    orders: dict[str, OrderEvent] = {}
    positions: dict[str, PositionEvent] = {}
    fills: list[FillEvent] = []
    points: list[EquityEvent] = []
    holdings: dict[tuple[str, str], HoldingEvent] = {}
    fees: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for event, _ in events:
        if isinstance(event, OrderEvent) and "commission" in event.metadata:
            fees.append(event.metadata["commission"])
        if isinstance(event, OrderEvent) and "realized" in event.metadata:
            results.append(event.metadata["realized"])
        if isinstance(event, FillEvent) and event.fill_id:
            fills.append(event)
        if isinstance(event, OrderEvent) and event.order_data:
            _keep_newest(orders, event.order_id, event)
        elif isinstance(event, PositionEvent) and "v" in event.position_data:
            _keep_newest(positions, event.position_id, event)
        elif isinstance(event, EquityEvent):
            points.append(event)
        elif isinstance(event, HoldingEvent):
            holdings[event.account, event.symbol] = event
    _order_upsert.rows([order_columns(order_state(e), epoch) for e in orders.values()])
    _position_upsert.rows([position_columns(position_state(e), epoch) for e in positions.values()])
    save_growing([event for event, _ in events if isinstance(event, PositionEvent)], epoch)
    _store_fills(fills, epoch)
    _store_fees(fees, epoch)
    _store_results(results, epoch)
    _equity_upsert.rows([_equity_columns(e, epoch) for e in points])
    _holding_upsert.rows([_holding_columns(e, epoch) for e in holdings.values()])


def _keep_newest(kept: dict[str, Versioned], key: str, event: Versioned) -> None:
    known = kept.get(key)
    if known is None or event.version >= known.version:
        kept[key] = event


def _store_fills(fills: Sequence[FillEvent], epoch: int) -> None:
    _fill_upsert.rows([_fill_columns(e, epoch) for e in fills])
    for account, base in {(event.account, split_exec_id(event.fill_id)[0]) for event in fills}:
        same = FillRecord.objects.filter(account=account, exec_base=base)
        newest = same.order_by("-revision").values_list("revision", flat=True).first()
        same.filter(revision__lt=newest, superseded=False).update(superseded=True)  # in whatever order they came


def _store_fees(fees: Sequence[dict[str, Any]], epoch: int) -> None:
    """Commissions that came after their executions, as they usually do."""
    for fee in fees:
        same = FillRecord.objects.filter(exec_id=fee["exec_id"], epoch__lte=epoch)
        same.update(commission=exact(fee["commission"]), currency=fee["currency"])


def _store_results(results: Sequence[dict[str, Any]], epoch: int) -> None:
    """What fills have realized after all, because another one was corrected or busted; the last word counts."""
    for result in results:
        same = FillRecord.objects.filter(exec_id=result["exec_id"], epoch__lte=epoch)
        same.update(realized_pnl=exact(result["realized_pnl"]))


def order_columns(row: dict[str, Any], epoch: int) -> dict[str, Any]:
    """OrderRecord's columns from Order.to_dict()."""
    return {
        "order_id": row["id"],
        "order_ref": row["order_ref"],
        "intent_id": row.get("intent_id") or "",
        "signal_id": row.get("signal_id") or "",
        "position_id": row.get("position_id") or "",
        "parent_order_id": row.get("parent_id") or "",
        "oca_group": row.get("oca_group") or "",
        "role": row["role"],
        "account": row.get("account") or "",
        "symbol": row["symbol"],
        "side": row["side"],
        "order_type": row["order_type"],
        "time_in_force": row.get("tif") or "",
        "quantity": exact(row["quantity"]),
        "limit_price": exact(row.get("limit_price")),
        "stop_price": exact(row.get("stop_price")),
        "state": row["state"],
        "pending": row.get("pending") or "none",
        "filled_quantity": exact(row.get("filled_quantity") or 0),
        "average_price": exact(row.get("average_price")),
        "commission": exact(row.get("commission") or 0),
        "ib_order_id": row.get("ib_order_id") or None,
        "client_id": row.get("client_id"),
        "perm_id": row.get("perm_id") or None,
        "session_id": row.get("session_id") or "",
        "ib_status": row.get("ib_status") or "",
        "code": str(row.get("code") or "")[:40],
        "message": str(row.get("message") or "")[:500],
        "external": bool(row.get("external")),
        "version": row["v"],
        "epoch": epoch,
        "created_at": moment(row.get("created_at")) or utc_now(),
        "sent_at": moment(row.get("sent_at")),
        "updated_at": moment(row.get("at")) or utc_now(),
        "finished_at": moment(row.get("finished_at")),
        "data": row,
    }


def position_columns(row: dict[str, Any], epoch: int) -> dict[str, Any]:
    """PositionRecord's columns from Position.state()."""
    row = {name: value for name, value in row.items() if name not in GROWING}
    at = moment(row.get("at")) or utc_now()
    return {
        "position_id": row["id"],
        "signal_id": row.get("signal_id") or "",
        "symbol": row["symbol"],
        "account": row.get("account") or "",
        "strategy": (row.get("strategy") or "")[:40],
        "status": row["status"],
        "direction": row.get("direction") or 1,
        "quantity": exact(row.get("quantity") or 0),
        "opened_quantity": exact(row.get("opened_quantity") or 0),
        "entry_price": exact(row.get("entry_price")),
        "exit_price": exact(row.get("exit_price")),
        "current_price": exact(row.get("last")),
        "price_at": moment(row.get("last_at")),
        "stop_loss": exact(row.get("stop_loss")),
        "take_profit": exact(row.get("take_profit")),
        "initial_stop": exact(row.get("initial_stop")),
        "unrealized_pnl": exact(row.get("unrealized_pnl") or 0),
        "realized_pnl": exact(row.get("realized_pnl") or 0),
        "commission": exact(row.get("commission") or 0),
        "max_favorable": exact(row.get("mfe") or 0),
        "max_adverse": exact(row.get("mae") or 0),
        "risk_taken": exact(row.get("risk_taken")),
        "r_multiple": row.get("r_multiple"),
        "stop_state": row.get("stop_state") or "none",
        "reason": (row.get("reason") or "")[:200],
        "created_at": moment(row.get("create_time")) or at,
        "open_time": moment(row.get("open_time")),
        "close_time": moment(row.get("close_time")),
        "updated_at": at,
        "version": row["v"],
        "epoch": epoch,
        "data": row,
    }


def _fill_columns(event: FillEvent, epoch: int) -> dict[str, Any]:
    base, revision = split_exec_id(event.fill_id)
    return {
        "exec_id": event.fill_id,
        "exec_base": base,
        "revision": revision,
        "superseded": bool(event.metadata.get("busted")),  # a bust is remembered and counts for nothing
        "account": event.account,
        "order_id": event.order_id,
        "order_ref": event.order_ref,
        "perm_id": event.perm_id or None,
        "position_id": event.position_id,
        "signal_id": event.signal_id,
        "symbol": event.symbol,
        "side": event.side.value if event.side else "",
        "quantity": exact(event.fill_quantity),
        "price": exact(event.fill_price),
        "commission": exact(event.commission),
        "currency": event.currency or "USD",
        "realized_pnl": exact(event.realized_pnl or 0),
        "fill_time": event.fill_time or event.timestamp,
        "received_at": event.timestamp,  # not the time of writing: a replay must give the same row
        "recovered": event.recovered,
        "epoch": epoch,
    }


def _equity_columns(event: EquityEvent, epoch: int) -> dict[str, Any]:
    money = ("equity", "cash", "unrealized_pnl", "realized_pnl", "day_pnl", "open_risk")
    amounts = {name: exact(getattr(event, name) or 0) for name in money}
    return {"account": event.account, "at": event.timestamp, "resolution": "tick", "epoch": epoch, **amounts}


def _holding_columns(event: HoldingEvent, epoch: int) -> dict[str, Any]:
    return {
        "account": event.account,
        "symbol": event.symbol,
        "quantity": exact(event.quantity),
        "average_cost": exact(event.average_cost),
        "acknowledged_by": event.acknowledged_by[:150],
        "reason": event.reason[:300],
        "updated_at": event.timestamp,
        "epoch": epoch,
    }


# --- outside the journal: what a crash may forget ---------------------------------------------------------------------


def save_marks(rows: Iterable[dict[str, Any]], epoch: int) -> None:
    """The newest prices of open positions, as whole rows. Call only when the journal holds everything the rows say."""
    _position_upsert.rows([position_columns(row, epoch) for row in rows])


def save_bars(bars: Iterable[Bar]) -> None:
    """Completed minutes; a later word about the same minute (from IB's history) replaces ours."""
    _bar_upsert.rows(
        [
            {"symbol": b.symbol, "at": b.at, "open": b.open, "high": b.high, "low": b.low, "close": b.close, "volume": int(b.volume)}
            for b in bars
        ]
    )


# --- rows to objects --------------------------------------------------------------------------------------------------


def load_positions(account: str) -> list[dict[str, Any]]:
    """The whole state of every position of the account that is not closed."""
    return with_growing(current_positions(account).values_list("data", flat=True))


def load_lately_closed(account: str) -> list[dict[str, Any]]:
    """Closed positions that a late fill or a correction can still change; oldest first."""
    lately = PositionRecord.objects.filter(account=account, status=PositionStatus.CLOSED, updated_at__gte=utc_now() - REMEMBERED)
    return with_growing(lately.order_by("close_time").values_list("data", flat=True))


def load_orders(account: str) -> list[dict[str, Any]]:
    """The whole state of every order that still matters."""
    return list(relevant_orders(account).values_list("data", flat=True))


def relevant_orders(account: str) -> models.QuerySet[OrderRecord]:
    """Every order of the account that lives, belongs to a living position, or ended so lately that it may still
    fill; the oldest first."""
    of_positions = OrderRecord.objects.filter(account=account, position_id__in=current_positions(account).values("position_id"))
    late = OrderRecord.objects.filter(account=account, updated_at__gte=utc_now() - REMEMBERED)
    # Not one condition with "or": for that the database would read every order.
    keys = (found.order_by().values("order_id") for found in (living_orders(account), of_positions, late))
    first, *others = keys
    return OrderRecord.objects.filter(account=account, order_id__in=first.union(*others)).order_by("created_at")


def load_elsewhere(account: str) -> dict[str, float]:
    """symbol → signed shares of the account that no position of ours accounts for."""
    rows = BrokerHolding.objects.filter(account=account).exclude(quantity=0).values_list("symbol", "quantity")
    return {symbol: float(quantity) for symbol, quantity in rows}


def highest_ib_order_id(client_id: int) -> int:
    """The largest order id ever used with this client id, whatever the account; the next one must be above it."""
    highest = OrderRecord.objects.filter(client_id=client_id).aggregate(highest=models.Max("ib_order_id"))["highest"]
    return int(highest or 0)


def exact(value: Any) -> Decimal | None:
    """A float as the Decimal a person would read, never its binary tail."""
    if value is None:
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value))


def moment(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value)
