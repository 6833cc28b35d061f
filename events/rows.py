"""Commands and journaled events as the rows that pages show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from events.models import CommandRecord


def command_row(record: CommandRecord) -> dict[str, Any]:
    """A command as pages show it."""
    moved = record.finished_at or record.claimed_at or record.created_at
    return {
        "id": record.pk,
        "at": moved.isoformat(),
        "name": record.name,
        "state": record.state,
        "code": record.code,
        "reason": record.reason,
        "signal_id": record.signal_id,
        "order_id": record.order_id,
        "position_id": record.position_id,
        "created_by": record.created_by.get_username() if record.created_by else "",
        "created_at": record.created_at.isoformat(),
        "payload": record.payload,
    }


def tape_row(data: dict[str, Any], seq: int) -> dict[str, Any]:
    """A journaled event as one line of the tape."""
    return {
        "seq": seq,
        "at": data.get("timestamp"),
        "type": data.get("event_type", ""),
        "symbol": data.get("symbol", "") or data.get("ticker", ""),
        "text": tape_text(data),
        "signal_id": data.get("signal_id", ""),
        "order_id": data.get("order_id", ""),
        "position_id": data.get("position_id", ""),
    }


# Event type → the line a person reads. Fields that are missing or None read as "–".
_LINES = {
    "PredictionSignalEvent": "{signal} at {confidence:.0%}, underlying {price}",
    "NewOrderEvent": "{side} {quantity} {order_type} {limit_price} stop {stop_price}",
    "OrderStatusEvent": "{side} {quantity}: {previous_status} → {status} {reason}",
    "FillEvent": "{side} {fill_quantity} @ {fill_price}",
    "CancelEvent": "{side} {quantity} cancelled {reason}",
    "RejectEvent": "{status}: {error_code} {error_message} {reason}",
    "OrderGroupEvent": "{group_type} of {related_orders}",
    "PositionOpenEvent": "{quantity} @ {entry_price}, stop {stop_loss}, target {take_profit}",
    "PositionUpdateEvent": "{status} {quantity} {reason}",
    "PositionCloseEvent": "closed {quantity_closed} @ {exit_price}, realized {realized_pnl}, {reason}",
    "ConnectionEvent": "broker link {state} {detail}",
    "ReconcileEvent": "agrees with the broker: {ok} {reason}",
    "TradingStateEvent": "trading {state} by {changed_by}: {reason}",
    "SourceHealthEvent": "{state} {detail}",
    "EquityEvent": "equity {equity}, day {day_pnl}",
    "CommandEvent": "{name} {state} {code} {reason}",
    "HandlerFailedEvent": "{handler} failed: {error}",
    "IndicatorEvent": "{indicator} {value} {signal_type}",
    "FlowThresholdEvent": "{threshold_type} {actual_value} {crossing_direction} {threshold_value}",
}


class _Word:
    """A field inside a line: formats whatever it holds, and never raises."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        if self.value is None or self.value == "":
            return "" if self.value == "" else "–"
        if isinstance(self.value, list):
            return f"{len(self.value)} orders"
        if isinstance(self.value, float) and not spec:
            return f"{self.value:,.6g}" if abs(self.value) < 1 else f"{self.value:,.2f}".removesuffix(".00")
        try:
            return format(self.value, spec)
        except (ValueError, TypeError):
            return str(self.value)


class _Words(dict[str, Any]):
    def __missing__(self, key: str) -> _Word:
        return _Word(None)


def tape_text(data: dict[str, Any]) -> str:
    """One plain line about an event; text only, to be escaped by whoever shows it."""
    line = _LINES.get(str(data.get("event_type")), "")
    words = _Words({key: _Word(value) for key, value in data.items()})
    if "side" not in data or not data["side"]:
        quantity = data.get("quantity") or 0
        words["side"] = _Word("sell" if isinstance(quantity, (int, float)) and quantity < 0 else "buy")
    if isinstance(data.get("quantity"), (int, float)) and str(data.get("source")) == "order":
        words["quantity"] = _Word(abs(data["quantity"]))
    return " ".join(line.format_map(words).split())[:300]
