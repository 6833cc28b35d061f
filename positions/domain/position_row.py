"""A position as one JSON-ready dictionary, and back: what is journaled, projected onto its record and sent to the pages.

History and fills grow with every change, so they are kept in rows of their own and an event carries what is new of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from events.position import PositionStatus
from positions.domain.exit_rules import ExitRules
from positions.domain.holding import Fold, LedgerEntry, fold
from positions.domain.protection_clock import ProtectionClock

if TYPE_CHECKING:
    from positions.domain.position import Position


def position_row(position: Position) -> dict[str, Any]:
    """All but history and fills. Numbers are numbers or None, times ISO UTC, `unrealized_pct` and `stop_distance_pct` fractions."""
    last, stop = position.current_price, position.stop_loss
    return {
        "id": position.position_id,
        "v": position.version,
        "at": position.update_time.isoformat(),
        "symbol": position.symbol,
        "status": position.status.value,
        "direction": position.direction,
        "quantity": position.quantity,
        "planned_quantity": position.planned_quantity,
        "opened_quantity": position.opened_quantity,
        "entry_price": position.entry_price,
        "last": last,
        "last_at": _iso(position.price_at),
        "unrealized_pnl": position.unrealized_pnl,
        "unrealized_pct": position.unrealized_pnl_pct,
        "realized_pnl": position.realized_pnl,
        "commission": position.commission,
        "stop_loss": stop,
        "take_profit": position.take_profit,
        "initial_stop": position.initial_stop,
        "stop_state": position.stop_state,
        "stop_distance_pct": (last - stop) * position.direction / last if last and stop is not None and position.is_active else None,
        "exit_rules": position.exit_rules.to_dict(),
        "protection": position.protection.to_dict(),
        "open_risk": position.open_risk,
        "risk_taken": position.risk_taken,
        "r_multiple": position.r_multiple,
        "mfe": position.mfe,
        "mae": position.mae,
        "create_time": position.create_time.isoformat(),
        "open_time": _iso(position.open_time),
        "close_time": _iso(position.close_time),
        "exit_price": position.exit_price,
        "reason": position.reason,
        "signal_id": position.signal_id,
        "strategy": position.strategy,
        "account": position.account,
        "order_ids": list(position.order_ids),
        "metadata": dict(position.metadata),
        "extremes": [position._low, position._high],
    }


def restore_position(position: Position, row: dict[str, Any]) -> None:
    """Put `row` into a fresh position; the holding is folded again from its fills, not believed. Only a state that was stored without
    its fills (they have rows of their own) is taken at its word."""
    position.version = row["v"]
    position._status = PositionStatus(row["status"])
    position._direction = row["direction"]
    position.planned_quantity = row["planned_quantity"]
    position._stop_loss, position._take_profit = row["stop_loss"], row["take_profit"]
    position.initial_stop, position.stop_state = row["initial_stop"], row["stop_state"]
    position.exit_rules = ExitRules.from_dict(row.get("exit_rules"))
    position.protection = ProtectionClock.from_dict(row.get("protection"))
    position.mfe, position.mae = row["mfe"], row["mae"]
    position.create_time = datetime.fromisoformat(row["create_time"])
    position.update_time = datetime.fromisoformat(row["at"])
    position.open_time, position.close_time = _time(row["open_time"]), _time(row["close_time"])
    position.reason, position.signal_id = row["reason"], row["signal_id"]
    position.strategy, position.account = row["strategy"], row["account"]
    position.order_ids, position.metadata = list(row["order_ids"]), dict(row["metadata"])
    position.history = list(row.get("history", ()))
    position._told_lines = len(position.history)
    position._price, position._price_at = row["last"], _time(row["last_at"])
    position._low, position._high = row["extremes"]
    position._entries = _entries(row)
    position._marked = row["last"] is not None and (not position._entries or bool(position._low))
    position._told_fills = {number: entry.to_dict() for number, entry in enumerate(position._entries)}
    position._fold = fold(position._entries) if "fills" in row else _believed(row)
    position._fold.leftover, position._fold.leftover_value = 0, 0.0
    if position._status is PositionStatus.CLOSED:
        position._fold.quantity = 0


def _believed(row: dict[str, Any]) -> Fold:
    held = row["quantity"] if row["status"] != PositionStatus.PLANNED else 0
    booked = row["realized_pnl"] + row["commission"]
    return Fold(quantity=held, entry_price=row["entry_price"], realized=booked, largest=row["opened_quantity"], risk=row.get("risk_taken"))


def _entries(row: dict[str, Any]) -> list[LedgerEntry]:
    """Those of earlier versions say neither stop nor prices seen: then the first stop is taken, and the excursions are kept."""
    rows = row.get("fills", ())
    entries = [LedgerEntry.from_dict({"stop": row["initial_stop"]} | entry) for entry in rows]
    if len(entries) > 1 and "low" not in rows[0] and entries[0].quantity:
        moves = [row[name] / entries[0].quantity for name in ("mae", "mfe")]
        entries[0].low, entries[0].high = min(moves) + entries[0].price, max(moves) + entries[0].price
    return entries


def news(position: Position) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """The lines of the history, and [number, entry] of the fills, that the last call did not give in this form."""
    lines = position.history[position._told_lines :]
    position._told_lines = len(position.history)
    changed: list[list[Any]] = []
    for number, entry in enumerate(position._entries):
        row = entry.to_dict()
        if position._told_fills.get(number) != row:
            position._told_fills[number] = row
            changed.append([number, row])
    return lines, changed


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
