"""Between IB's words and ours, both ways. Pure: no socket, no clock, no state.

IB says "nothing" as NaN, -1, 0, an empty string or 1.797e308 depending on the message; here it becomes None. What cannot
be true (a NaN quantity, a symbol with markup in it) is refused with `BadFrame`, never repaired.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from events.order import OrderSide, OrderType
from events.symbols import broker_symbol, canonical_symbol, is_symbol
from positions.broker.ib_library import IbContract, IbOrder
from positions.domain.ports import Bar, CommissionReport, Contract, ExecutionReport, OrderReport, OrderTicket, PositionReport, Tick

MAX_NUMBER = 1e13  # no share count and no account of people is larger; IB writes 1.8e308 for "not set"
UNSET = (sys.float_info.max, "")  # a double that IB has not set
NOT_RECKONED = -1.0  # a commission
MAX_QUANTITY = 10_000_000
MAX_PRICE = 10_000_000.0
REF = re.compile(r"[\x20-\x7e]{0,40}\Z")

ORDER_TYPES: dict[OrderType, str] = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
    OrderType.TRAIL: "TRAIL",
    OrderType.TRAIL_LIMIT: "TRAIL LIMIT",
    OrderType.MOC: "MOC",
    OrderType.LOC: "LOC",
}
OUR_ORDER_TYPES: dict[str, OrderType] = {word: kind for kind, word in ORDER_TYPES.items()}
SIDES: dict[str, OrderSide] = {
    "BUY": OrderSide.BUY,
    "BOT": OrderSide.BUY,
    "SELL": OrderSide.SELL,
    "SLD": OrderSide.SELL,
    "SSHORT": OrderSide.SELL,
}


class BadFrame(ValueError):
    """A message from the gateway that cannot be true; it is counted and dropped."""


# --- values ----------------------------------------------------------------------------------------------------------


def number(value: Any) -> float | None:
    """A finite number that can be true, else None; IB's unset marks are far beyond."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) and abs(result) < MAX_NUMBER else None


def price(value: Any) -> float | None:
    """A price in (0, 10 million); -1 and 0 mean that the venue never sent one."""
    result = number(value)
    return result if result is not None and 0 < result < MAX_PRICE else None


def quantity(value: Any, *, what: str = "quantity") -> float:
    """Absolute shares; raises BadFrame for what no order can have."""
    result = number(value)
    if result is None or not 0 <= result < MAX_QUANTITY:
        raise BadFrame(f"{what} {value!r} is out of range")
    return result


def symbol_from_ib(value: Any) -> str:
    """IB writes a share class with a space (BRK B); inside it has one spelling."""
    written = str(value or "")
    text = canonical_symbol(written)
    if not is_symbol(text) or written != written.upper():
        raise BadFrame(f"{written[:40]!r} is not a symbol")
    return text


def symbol_to_ib(symbol: str) -> str:
    one = canonical_symbol(symbol)
    if not is_symbol(one):
        raise BadFrame(f"{symbol[:40]!r} is not a symbol")
    return broker_symbol(one)


def words(value: Any, limit: int = 500) -> str:
    """Free text from IB: printable, bounded."""
    return "".join(c for c in str(value or "") if c.isprintable())[:limit]


def _ref(value: Any) -> str:
    text = str(value or "")
    return text if REF.match(text) else ""


# --- ours to IB's ----------------------------------------------------------------------------------------------------


def contract_to_ib(contract: Contract) -> Any:
    return IbContract(
        conId=contract.con_id,
        symbol=symbol_to_ib(contract.symbol),
        secType="STK",
        exchange=contract.exchange,
        primaryExchange=contract.primary_exchange,
        currency=contract.currency,
    )


def ticket_to_ib(ticket: OrderTicket) -> Any:
    """The library's Order, every field that matters set explicitly: presets in TWS must not decide anything."""
    _check_ticket(ticket)
    order = IbOrder(
        orderId=ticket.ib_order_id,
        action="BUY" if ticket.side is OrderSide.BUY else "SELL",
        totalQuantity=int(ticket.quantity) if float(ticket.quantity).is_integer() else ticket.quantity,
        orderType=ORDER_TYPES[ticket.order_type],
        tif=ticket.time_in_force.value.upper(),
        orderRef=ticket.order_ref,
        account=ticket.account,
        transmit=ticket.transmit,
        parentId=ticket.parent_ib_order_id,
        outsideRth=ticket.outside_rth,
    )
    if ticket.oca_group:
        order.ocaGroup, order.ocaType = ticket.oca_group, ticket.oca_type
    if ticket.limit_price is not None:
        order.lmtPrice = ticket.limit_price
    if ticket.order_type in (OrderType.TRAIL, OrderType.TRAIL_LIMIT):
        _set_trail(order, ticket)
    elif ticket.stop_price is not None:
        order.auxPrice = ticket.stop_price
    if ticket.good_till is not None:
        order.goodTillDate = ticket.good_till.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S")  # the dash means UTC
    return order


def _set_trail(order: Any, ticket: OrderTicket) -> None:
    """IB takes the amount or the percentage, never both."""
    if ticket.trail_percent is not None:
        order.trailingPercent = ticket.trail_percent
    elif ticket.trail_amount is not None:
        order.auxPrice = ticket.trail_amount
    if ticket.stop_price is not None:
        order.trailStopPrice = ticket.stop_price


def _check_ticket(ticket: OrderTicket) -> None:
    """The last look before the socket: a ticket that is not plain finite numbers never leaves."""
    if not ticket.order_ref or not REF.match(ticket.order_ref):
        raise ValueError(f"order_ref {ticket.order_ref!r} is empty, too long or not printable ASCII")
    if ticket.ib_order_id <= 0:
        raise ValueError("an order needs an id before it is sent")
    if not (math.isfinite(ticket.quantity) and 0 < ticket.quantity < MAX_QUANTITY):
        raise ValueError(f"quantity {ticket.quantity} is out of range")
    for name in ("limit_price", "stop_price", "trail_amount", "trail_percent"):
        value = getattr(ticket, name)
        if value is not None and not (math.isfinite(value) and 0 < value < MAX_PRICE):
            raise ValueError(f"{name} {value} is out of range")


# --- IB's to ours ----------------------------------------------------------------------------------------------------


def open_order(order_id: int, contract: Any, order: Any, state: Any, *, received_at: datetime, from_query: bool) -> OrderReport:
    """An openOrder message. Filled quantity is not in it: the caller carries on what it last heard."""
    kind = str(order.orderType or "")
    aux = price(order.auxPrice)
    trailing = kind.startswith("TRAIL")
    return OrderReport(
        order_ref=_ref(order.orderRef),
        ib_order_id=int(order_id),
        client_id=int(order.clientId or 0),
        perm_id=int(order.permId or 0),
        status=words(state.status, 32),
        symbol=symbol_from_ib(contract.symbol),
        side=SIDES.get(str(order.action)),
        order_type=words(kind, 12),
        quantity=quantity(order.totalQuantity),
        limit_price=price(order.lmtPrice),
        stop_price=price(order.trailStopPrice) if trailing else aux,
        trail_amount=aux if trailing else None,
        trail_percent=price(order.trailingPercent),
        parent_ib_order_id=int(order.parentId or 0),
        oca_group=words(order.ocaGroup, 40),
        account=words(order.account, 32),
        transmit=bool(order.transmit),
        from_query=from_query,
        received_at=received_at,
    )


def completed_order(contract: Any, order: Any, state: Any, *, received_at: datetime) -> OrderReport:
    """A completedOrder message: no order id, and totalQuantity is 0 in reality, so the filled quantity stands for it."""
    filled = number(order.filledQuantity) or 0.0
    total = number(order.totalQuantity) or 0.0
    kind = str(order.orderType or "")
    return OrderReport(
        order_ref=_ref(order.orderRef),
        ib_order_id=0,
        client_id=int(order.clientId or 0),
        perm_id=int(order.permId or 0),
        status=words(state.status, 32),
        symbol=symbol_from_ib(contract.symbol),
        side=SIDES.get(str(order.action)),
        order_type=words(kind, 12),
        quantity=quantity(total) or None,
        filled=quantity(filled, what="filled quantity"),
        limit_price=price(order.lmtPrice),
        stop_price=None if kind.startswith("TRAIL") else price(order.auxPrice),
        oca_group=words(order.ocaGroup, 40),
        account=words(order.account, 32),
        completed=True,
        completed_status=words(getattr(state, "completedStatus", ""), 80),
        from_query=True,
        received_at=received_at,
    )


def execution(contract: Any, report: Any, *, received_at: datetime, from_query: bool) -> ExecutionReport:
    side = SIDES.get(str(report.side))
    at_price = price(report.price)
    if side is None or at_price is None or not report.execId:
        raise BadFrame(f"execution {words(report.execId, 64)!r}: side {report.side!r}, price {report.price!r}")
    shares = quantity(report.shares, what="executed quantity")
    return ExecutionReport(
        exec_id=words(report.execId, 64),
        order_ref=_ref(report.orderRef),
        ib_order_id=int(report.orderId or 0),
        client_id=int(report.clientId or 0),
        perm_id=int(report.permId or 0),
        account=words(report.acctNumber, 32),
        symbol=symbol_from_ib(contract.symbol),
        side=side,
        quantity=shares,
        price=at_price,
        cumulative_quantity=number(report.cumQty) or shares,
        average_price=price(report.avgPrice) or at_price,
        time=min(report.time.astimezone(UTC), received_at) if isinstance(report.time, datetime) else received_at,
        liquidation=int(number(report.liquidation) or 0),
        from_query=from_query,
        received_at=received_at,
    )


def commission(report: Any, *, received_at: datetime) -> CommissionReport | None:
    """None while IB has not reckoned it: it then writes -1, or its mark for "not set". Any other negative one is a rebate."""
    amount = number(report.commission)
    if report.execId and (report.commission in UNSET or amount == NOT_RECKONED):
        return None
    if amount is None or not report.execId or abs(amount) > 1_000_000:
        raise BadFrame(f"commission {report.commission!r} of {words(report.execId, 64)!r}")
    name, currency = words(report.execId, 64), words(report.currency, 3)
    return CommissionReport(exec_id=name, commission=amount, currency=currency, received_at=received_at)


def position(account: str, contract: Any, size: Any, average_cost: Any) -> PositionReport:
    shares = number(size)
    if shares is None or abs(shares) >= MAX_QUANTITY * 10:
        raise BadFrame(f"position of {size!r} {words(contract.symbol, 21)}")
    return PositionReport(
        account=words(account, 32),
        symbol=symbol_from_ib(contract.symbol),
        con_id=int(contract.conId or 0),
        quantity=shares,
        average_cost=number(average_cost) or 0.0,
    )


def tick(symbol: str, ticker: Any, *, received_at: datetime) -> Tick:
    volume = number(ticker.volume)
    halted = number(ticker.halted)
    return Tick(
        symbol=symbol,
        last=price(ticker.last),
        bid=price(ticker.bid),
        ask=price(ticker.ask),
        volume=volume if volume is not None and volume >= 0 else None,
        time=received_at,
        market_data_type=int(number(ticker.marketDataType) or 1),
        halted=halted is not None and halted > 0,
    )


def bars(symbol: str, rows: Iterable[Any], *, before: datetime) -> list[Bar]:
    """Completed one-minute bars only; a bar with an impossible price is left out."""
    result = []
    for row in rows:
        at = row.date
        first, high, low, close = (price(v) for v in (row.open, row.high, row.low, row.close))
        if not isinstance(at, datetime) or at.tzinfo is None or first is None or high is None or low is None or close is None:
            continue
        if (before - at).total_seconds() < 60 or not low <= min(first, close) <= max(first, close) <= high:
            continue
        volume = max(0.0, number(row.volume) or 0.0)
        result.append(Bar(symbol=symbol, at=at.astimezone(UTC), open=first, high=high, low=low, close=close, volume=volume))
    return result


def contract_from_details(symbol: str, details: Any, increments: tuple[tuple[float, float], ...]) -> Contract:
    contract = details.contract
    min_tick = price(details.minTick) or 0.01
    return Contract(
        symbol=symbol,
        con_id=int(contract.conId),
        exchange="SMART",
        primary_exchange=words(contract.primaryExchange, 20),
        currency=words(contract.currency, 3) or "USD",
        min_tick=min_tick,
        increments=increments or ((0.0, min_tick),),
        long_name=words(details.longName, 100),
        liquid_hours=words(details.liquidHours, 2000),
        time_zone=words(details.timeZoneId, 40) or "US/Eastern",
    )


def market_rule_id(details: Any) -> int | None:
    """The rule of SMART: `marketRuleIds` is aligned by position with `validExchanges`."""
    exchanges = str(details.validExchanges or "").split(",")
    rules = str(details.marketRuleIds or "").split(",")
    pairs = dict(zip(exchanges, rules, strict=False))
    rule = pairs.get("SMART") or (rules[0] if rules else "")
    return int(rule) if rule.isdigit() else None
