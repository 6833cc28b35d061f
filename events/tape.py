"""The tape's language: one plain sentence about an event, and whether anybody needs to be told of it.

Text only, to be escaped by whoever shows it. Fields that are missing read as "–"; nothing here ever raises on bad data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from events.refusal_words import refusal_title
from events.wording import MINUS, UNKNOWN, money_text, percent_text, price_text, quantity_text, state_words

Data = dict[str, Any]

MOST_LETTERS = 300

_LEVELS = (("stop", "stop_loss"), ("target", "take_profit"))

# Told by a filled-in line; everything else has a function below.
_LINES = {
    "RiskLockEvent": "{code} {scope} {name} {state} by {by}: {reason}",
    "LimitChangedEvent": "{changed_by} changed {limit} {field} from {old} to {new}: {reason}",
    "ProtectionEvent": "{symbol}: protection {state} {detail} {rule}",
    "OvernightChangeEvent": "{symbol} changed without a trade ({kind}): {detail}",
    "SignalReopenedEvent": "To be decided again, asked for by {reopened_by}: the approval came to nothing, {code}",
    "SignalClosedEvent": "Signal {state}: {reason}",
    "TradingStateEvent": "Trading {state} by {changed_by}: {reason}",
    "HandlerFailedEvent": "{handler} failed: {error}",
    "IndicatorEvent": "{indicator} {value} {signal_type}",
    "FlowThresholdEvent": "{threshold_type} {actual_value} {crossing_direction} {threshold_value}",
}

COMMANDS = {
    "ApproveSignal": "Approval",
    "RejectSignal": "Rejection",
    "ClosePosition": "Close",
    "ChangeStop": "Stop change",
    "ChangeTarget": "Target change",
    "SetTrailing": "Trailing stop",
    "ClearTrailing": "Trailing stop off",
    "SetBreakEven": "Break-even",
    "SetTimeStop": "Time stop",
    "SetPartialTarget": "Partial target",
    "ClearPartialTargets": "Partial targets off",
    "ScaleIn": "Addition",
    "ReversePosition": "Reverse",
    "CancelOrder": "Cancel",
    "CheckSymbol": "Symbol check",
    "HaltTrading": "Halt",
    "ReduceOnly": "Reduce only",
    "ResumeTrading": "Resume",
    "FlattenAll": "Flatten all",
}


def is_quiet(data: Data) -> bool:
    """Whether it only says that all is as it was: an equity point, a comparison with the broker that found nothing new."""
    kind = data.get("event_type")
    if kind == "ReconcileEvent":
        return bool(data.get("ok")) and not data.get("filled") and not data.get("differences")
    return kind == "EquityEvent"


def tape_text(data: Data) -> str:
    """One plain line about an event."""
    kind = str(data.get("event_type"))
    sentence = _SENTENCES.get(kind)
    try:
        text = sentence(data) if sentence else _LINES.get(kind, "").format_map(_Words(data))
    except (TypeError, ValueError, AttributeError, LookupError):  # rows of another version, or written by hand
        text = kind.removesuffix("Event")
    return " ".join(text.split()).rstrip(":, ")[:MOST_LETTERS]


# --- numbers ---


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _money(value: Any, *, signed: bool = False) -> str:
    number = _number(value)
    if number is None:
        return UNKNOWN
    text = money_text(abs(number))
    if text == "0.00":
        return text
    return MINUS + text if number < 0 else f"+{text}" if signed else text


def _price(value: Any) -> str:
    return price_text(_number(value))


def _shares(value: Any) -> str:
    number = _number(value)
    return UNKNOWN if number is None else quantity_text(abs(number))


class _Words(Data):
    """Fields of a line; what is missing or None reads as unknown."""

    def __missing__(self, key: str) -> str:
        return UNKNOWN

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key) if key in self else UNKNOWN
        if value is not None and key == "code":
            return refusal_title(value)
        return UNKNOWN if value is None else str(value).replace("_", " ")


def _after(mark: str, text: Any) -> str:
    """`mark` and the text, or nothing when there is no text."""
    return f"{mark}{text}" if text else ""


def _reason(data: Data) -> str:
    reason = str(data.get("reason") or "")
    return {"commission": "commission booked"}.get(reason, state_words(reason))


# --- orders ---


def _order(data: Data) -> str:
    """Buy 50 stop at 192.00"""
    whole = data.get("order_data") or {}
    quantity = data.get("quantity")
    side = data.get("side") or whole.get("side") or ("sell" if (_number(quantity) or 0) < 0 else "buy")
    level = data.get("stop_price") if data.get("stop_price") is not None else data.get("limit_price")
    kind = str(data.get("order_type") or "").replace("_", " ")
    return f"{str(side).capitalize()} {_shares(quantity)} {kind}{_after(' at ', '' if level is None else _price(level))}"


def order_state_words(state: Any, why_held: Any = "", role: Any = "") -> str:
    """A state for people. IB holds a stop back until its price is touched, which is a stop at rest and nothing to worry about."""
    if state != "held":
        return str(state or "").replace("_", " ")
    why = str(why_held or "")
    if "trigger" in why:
        return "resting"
    if "child" in why:
        return "waiting for entry"
    if "locate" in why:
        return "waiting for shares to borrow"
    return "resting" if role == "stop" else "held by the broker"


def _order_status(data: Data) -> str:
    whole = data.get("order_data") or {}
    state = order_state_words(data.get("status"), whole.get("why_held"), whole.get("role"))
    asked = {"replace": "change sent, ", "cancel": "cancel sent, "}.get(str(data.get("pending")), "")
    return f"{_order(data)}: {asked}{state}{_after(', ', _reason(data))}"


def _fill(data: Data) -> str:
    did = "Sold" if data.get("side") == "sell" else "Bought"
    left = _number(data.get("remaining_quantity"))
    more = f", {_shares(left)} to go" if left else ""
    late = ", learned by comparing" if data.get("recovered") else ""
    return f"{did} {_shares(data.get('fill_quantity'))} at {_price(data.get('fill_price'))}{more}{late}"


def _reject(data: Data) -> str:
    who = "Denied by our checks" if data.get("status") == "denied" else "Rejected by the broker"
    words = [
        str(part)
        for part in (data.get("error_message") or data.get("reason"), data.get("error_code") and f"({refusal_title(data['error_code'])})")
        if part
    ]
    return f"{who}: {' '.join(words)}"


def _group(data: Data) -> str:
    kind = {"bracket": "Bracket", "oca": "One-cancels-other group"}.get(str(data.get("group_type")), "Group")
    return f"{kind} of {len(data.get('related_orders') or [])} orders"


# --- positions ---


def _side(quantity: Any) -> str:
    return f"{'Short' if (_number(quantity) or 0) < 0 else 'Long'} {_shares(quantity)}"


def _stop(whole: Data) -> str:
    state, price = whole.get("stop_state"), _price(whole.get("stop_loss"))
    words = {"resting": f"stop resting at {price}", "pending": f"stop on its way at {price}", "missing": "without the stop it should have"}
    return words.get(str(state), "no stop")


def _position(data: Data) -> str:
    whole = data.get("position_data") or {}
    reason = _reason(data)
    said = reason in ("stop resting", "stop pending", "stop missing")
    why = "" if said or not reason else f" ({reason})"
    if not _number(data.get("quantity")):
        return f"{'Flat' if data.get('status') == 'closed' else 'Not filled yet'}, {_stop(whole)}{why}"
    busy = "" if data.get("status") == "open" else f"{str(data.get('status') or '').capitalize()}: "
    return f"{busy}{_side(data.get('quantity'))}, {_stop(whole)}{why}"


def _opened(data: Data) -> str:
    levels = f"stop {_price(data.get('stop_loss'))}, target {_price(data.get('take_profit'))}"
    if not _number(data.get("quantity")):
        return f"Entry planned, {levels}"
    return f"{_side(data.get('quantity'))} at {_price(data.get('entry_price'))}, {levels}"


def _closed(data: Data) -> str:
    did = "Reduced by" if data.get("fully_closed") is False else "Closed"
    price, result = _price(data.get("exit_price")), _money(data.get("realized_pnl"), signed=True)
    return f"{did} {_shares(data.get('quantity_closed'))} at {price}, realized {result}{_after(': ', _reason(data))}"


# --- the desk ---


def _prediction(data: Data) -> str:
    confidence = _number(data.get("confidence"))
    sure = percent_text(confidence, 0)
    return f"{str(data.get('signal') or 'signal').capitalize()} at {sure}, underlying {_price(data.get('price'))}"


def _decided(data: Data) -> str:
    """Approved by ann: 7 at 150.20, stop 149.20, target 152.20; changed by hand: quantity"""
    who = f"{str(data.get('state') or '').capitalize()} by {data.get('decided_by') or UNKNOWN}"
    if data.get("state") != "approved":
        return f"{who}{_after(': ', _reason(data))}"
    levels = "".join(f", {word} {_price(data[name])}" for word, name in _LEVELS if data.get(name) is not None)
    edited = ", ".join(str(name) for name in data.get("edited") or [])
    return f"{who}: {_shares(data.get('quantity'))} at {_price(data.get('limit_price'))}{levels}{_after('; changed by hand: ', edited)}"


def _connection(data: Data) -> str:
    detail = "" if data.get("detail") == data.get("account") else data.get("detail")  # account numbers stay off the pages
    return f"Broker link {str(data.get('state') or UNKNOWN).replace('_', ' ')}{_after(': ', detail)}"


def _reconcile(data: Data) -> str:
    if data.get("ok"):
        learned, foreign = data.get("filled") or 0, data.get("external") or 0
        news = f", {learned} execution{'s' * (learned != 1)} learned" if learned else ""
        return f"Agrees with the broker{news}{f', {foreign} not ours' if foreign else ''}"
    rows = [f"{d.get('symbol')} {d.get('ours')} here, {d.get('theirs')} there" for d in data.get("differences") or []]
    return f"Differs from the broker: {'; '.join([str(data.get('reason') or 'no reason known'), *rows])}"


def _journal_checked(data: Data) -> str:
    if data.get("equal"):
        return "The journal gives the tables again, row for row"
    count = data.get("differences") or 0
    return f"The journal does not give the tables: {count} value{'s differ' if count != 1 else ' differs'}: {data.get('detail') or ''}"


def _equity(data: Data) -> str:
    return f"Equity {_money(data.get('equity'))}, day {_money(data.get('day_pnl'), signed=True)}"


def _command(data: Data) -> str:
    name = str(data.get("name") or "Command")
    return f"{COMMANDS.get(name, name)} {data.get('state') or ''}{_after(': ', data.get('reason') or refusal_title(data.get('code')))}"


def _source(data: Data) -> str:
    return f"Polling {str(data.get('state') or UNKNOWN).replace('_', ' ')}{_after(': ', data.get('detail'))}"


_SENTENCES: dict[str, Callable[[Data], str]] = {
    "PredictionSignalEvent": _prediction,
    "SignalDecisionEvent": _decided,
    "NewOrderEvent": _order,
    "OrderStatusEvent": _order_status,
    "FillEvent": _fill,
    "CancelEvent": lambda data: f"{_order(data)}: cancelled{_after(', ', _reason(data))}",
    "RejectEvent": _reject,
    "OrderGroupEvent": _group,
    "PositionOpenEvent": _opened,
    "PositionUpdateEvent": _position,
    "PositionCloseEvent": _closed,
    "ConnectionEvent": _connection,
    "ReconcileEvent": _reconcile,
    "JournalCheckedEvent": _journal_checked,
    "SourceHealthEvent": _source,
    "EquityEvent": _equity,
    "CommandEvent": _command,
}
