"""Attributes of an order that the exchange here does not simulate: refused with IB's kind of error, never ignored and filled."""

from __future__ import annotations

from collections.abc import Mapping

from positions.gateway.contracts import EXCHANGES
from positions.gateway.order_codec import PlacedOrder, wire_number
from positions.gateway.orders import Refusal
from positions.gateway.wire import WireError

_FLAGS = ("allOrNone", "hidden", "sweepToFill", "blockOrder", "notHeld", "randomizeSize", "randomizePrice")
_NUMBERS = ("minQty", "displaySize", "discretionaryAmt", "percentOffset", "cashQty", "scalePriceIncrement", "minTradeQty", "duration")
_WORDS = ("hedgeType", "deltaNeutralOrderType", "faGroup", "faProfile", "activeStartTime", "activeStopTime")
_UNKNOWN_EXCHANGE = Refusal(code=200, text="Invalid destination exchange specified")


def not_simulated(placed: PlacedOrder) -> Refusal | None:
    """The first attribute that would change how the order trades and that nothing here heeds; None when there is none."""
    fields = placed.fields
    if placed.contract["exchange"] not in ("", *EXCHANGES.split(",")):
        return _UNKNOWN_EXCHANGE
    if fields.get("@conditions", "0").split("\0")[0] != "0":
        return Refusal(code=402, text="Conditions are not allowed for this contract.")
    if fields.get("algoStrategy"):
        return Refusal(code=400, text=f"Algo order error. The strategy {fields['algoStrategy'][:30]} is not simulated.")
    if fields.get("adjustedOrderType") not in (None, "", "None"):
        return _attribute("AdjustedOrderType")
    named = next((name for name in (*_FLAGS, *_NUMBERS, *_WORDS) if _is_set(placed, fields, name)), None)
    return None if named is None else _attribute(named[:1].upper() + named[1:])


def _is_set(placed: PlacedOrder, fields: Mapping[str, str], name: str) -> bool:
    if name in _FLAGS:
        return placed.flag(name)
    if name in _WORDS:
        return fields.get(name, "") not in ("", "None")
    try:
        return bool(wire_number(fields.get(name, ""), name))
    except WireError:
        return True


def _attribute(name: str) -> Refusal:
    return Refusal(code=321, text=f"Error validating request.-'bW' : cause - The '{name}' order attribute is not supported.")
