"""What a command was about, in the words of a note on the page: side, size, symbol and price. Reads rows; writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from events.models import CommandRecord
from events.templatetags.desk import price, quantity
from positions.models import OrderRecord, PositionRecord
from signals.models import SignalRecord


def words_of(command: CommandRecord) -> str:
    """Such as "sell 100 NVDA at 151.25"; "" for what concerns no symbol, or one no longer known."""
    describe = _SPECIAL.get(command.name)
    if describe is not None:
        return describe(command)
    if command.position_id:
        return _position(command)
    return _holding(command) if "symbol" in command.payload else ""


def _trade(side: str, size: Any, symbol: str, at: Any = None) -> str:
    return f"{side} {quantity(size)} {symbol}" + (f" at {price(at)}" if at is not None else " at the market")


def _approval(command: CommandRecord) -> str:
    said = command.payload
    side = "buy" if said.get("direction", 0) > 0 else "sell"
    return _trade(side, said.get("quantity"), str(said.get("symbol", "")), said.get("limit_price"))


def _rejection(command: CommandRecord) -> str:
    signal = SignalRecord.objects.filter(signal_id=command.signal_id).values("symbol", "direction", "price").first()
    return f"{'buy' if signal['direction'] > 0 else 'sell'} {signal['symbol']} at {price(signal['price'])}" if signal else ""


def _cancel(command: CommandRecord) -> str:
    return _order(OrderRecord.objects.filter(account=command.account, order_id=command.order_id))


def _closing(command: CommandRecord) -> str:
    """The exit it led to; before there is one, what is held."""
    exits = OrderRecord.objects.filter(
        account=command.account, position_id=command.position_id, role="exit", created_at__gte=command.created_at
    )
    return _order(exits.order_by("-created_at")) or _position(command)


def _order(orders: Any) -> str:
    order = orders.values("side", "quantity", "symbol", "average_price", "limit_price", "stop_price").first()
    if order is None:
        return ""
    at = next((order[name] for name in ("average_price", "limit_price", "stop_price") if order[name] is not None), None)
    return _trade(order["side"].lower(), order["quantity"], order["symbol"], at)


def _position(command: CommandRecord) -> str:
    held = (
        PositionRecord.objects.filter(account=command.account, position_id=command.position_id).values("symbol", "quantity", "data").first()
    )
    if held is None:
        return ""
    size = held["quantity"] or held["data"].get("quantity") or 0
    way = f"{'long' if size > 0 else 'short'} {quantity(abs(size))}" if size else "flat"
    to = command.payload.get("price")
    return f"{held['symbol']}, {way}" + (f", to {price(to)}" if to is not None else "")


def _holding(command: CommandRecord) -> str:
    size = command.payload.get("quantity")
    return f"{command.payload['symbol']}" + (f", {quantity(size)} shares" if size is not None else "")


_SPECIAL: dict[str, Callable[[CommandRecord], str]] = {
    "ApproveSignal": _approval,
    "RejectSignal": _rejection,
    "CancelOrder": _cancel,
    "CheckSymbol": lambda command: str(command.payload.get("symbol", "")),
    "ClosePosition": _closing,
    "ReversePosition": _closing,
}
