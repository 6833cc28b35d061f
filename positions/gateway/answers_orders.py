"""Answers to requests about orders: placing, changing, cancelling and listing them.

Here the scripted faults about orders strike: an order or its acknowledgement gets lost, is refused, or a cancel
comes too late.
"""

from __future__ import annotations

from collections.abc import Mapping

from positions.gateway import messages_out as out
from positions.gateway import times
from positions.gateway.account import INITIAL_MARGIN, MAINTENANCE_MARGIN, commission_for
from positions.gateway.attributes import not_simulated
from positions.gateway.contracts import NoContract
from positions.gateway.faults import CANCEL_FAULTS, ORDER_FAULTS, Rule
from positions.gateway.messages_in import Request
from positions.gateway.order_codec import PlacedOrder
from positions.gateway.orders import TRAIL_KINDS, BookOrder, Kind, OrderSpec, Side, Status, Tif
from positions.gateway.reports import completed_frame, open_order_note, snapshot, status_note
from positions.gateway.session import Handler, Session
from positions.gateway.wire import Incoming, WireError

LOCATE_SECONDS = 2.0  # until the shares of a short sale are found
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL}
_TIFS = frozenset(tif.value for tif in Tif)
_REJECTS = {
    103: "Duplicate order id",
    110: "The price does not conform to the minimum price variation for this contract.",
    200: "No security definition has been found for the request",
    201: "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. INSUFFICIENT MARGIN",
    203: "The security is not available or allowed for this account.",
    321: "Error validating request.-'bW' : cause - The API interface is currently in Read-Only mode.",
    387: "Unsupported order type for this exchange and security type.",
}


def place(session: Session, placed: PlacedOrder) -> None:
    """placeOrder: a what-if, a new order, or a change of a live one."""
    gateway = session.gateway
    try:
        spec = spec_of(session, placed)
    except NoContract as error:
        session.error(placed.order_id, error.code, error.text)
        return
    except ValueError as error:
        session.error(placed.order_id, 321, f"Error validating request.-'bW' : cause - {error}")
        return
    if placed.flag("eTradeOnly") or placed.flag("firmQuoteOnly"):
        word, code = ("EtradeOnly", 10268) if placed.flag("eTradeOnly") else ("FirmQuoteOnly", 10269)
        session.error(placed.order_id, code, f"The '{word}' order attribute is not supported.")
        return
    refusal = not_simulated(placed)
    if refusal is not None:
        session.error(placed.order_id, refusal.code, refusal.text)
        return
    if placed.flag("whatIf"):
        _what_if(session, spec)
        return
    if gateway.held_upstream(session, lambda: place(session, placed)):
        return
    rule = gateway.faults.take(ORDER_FAULTS, spec, request="modify" if _is_live(session, spec) else "new")
    if rule is not None and not _strike(session, spec, rule):
        return
    gateway.deliver(gateway.broker.place(spec))
    gateway.match_soon(spec.symbol)


def spec_of(session: Session, placed: PlacedOrder) -> OrderSpec:
    """The order a placeOrder means. Raises NoContract, or ValueError with a sentence for error 321."""
    fields = placed.fields
    info = session.gateway.broker.contracts.resolve(placed.contract)
    try:
        quantity = placed.number("totalQuantity") or 0.0
        prices = {name: placed.number(name) for name in ("lmtPrice", "auxPrice", "trailStopPrice", "trailingPercent", "lmtPriceOffset")}
        parent_id, oca_type = int(fields["parentId"] or 0), int(fields["ocaType"] or 0)
    except (WireError, ValueError) as error:
        raise ValueError(str(error)) from error
    kind, side, tif = _kind(fields["orderType"]), _SIDES.get(fields["action"]), fields["tif"] or "DAY"
    if side is None or tif not in _TIFS:
        raise ValueError(f"Invalid side or time in force: {fields['action'][:10]} {tif[:10]}")
    trails = kind in TRAIL_KINDS
    return OrderSpec(
        client_id=session.client_id,
        order_id=placed.order_id,
        symbol=info.symbol,
        side=side,
        quantity=quantity,
        kind=kind,
        limit_price=prices["lmtPrice"] if kind in (Kind.LIMIT, Kind.STOP_LIMIT, Kind.LIMIT_ON_CLOSE) else None,
        stop_price=prices["trailStopPrice"] if trails else prices["auxPrice"] if kind in (Kind.STOP, Kind.STOP_LIMIT) else None,
        trail_amount=prices["auxPrice"] if trails and not prices["trailingPercent"] else None,
        trail_percent=prices["trailingPercent"] if trails else None,
        limit_offset=prices["lmtPriceOffset"] if trails else None,
        tif=Tif(tif),
        good_till=_moment(fields["goodTillDate"]),
        good_after=_moment(fields["goodAfterTime"]),
        parent_id=parent_id,
        oca_group=fields["ocaGroup"],
        oca_type=oca_type,
        transmit=placed.flag("transmit"),
        outside_rth=placed.flag("outsideRth"),
        order_ref=fields["orderRef"],
        account=fields["account"],
        wire={**fields, "exchange": placed.contract["exchange"]},
    )


def _kind(word: str) -> Kind:
    spelt = {"STPLMT": "STP LMT", "TRAILLMT": "TRAIL LIMIT", "": "LMT"}.get(word, word)
    try:
        return Kind(spelt)
    except ValueError as error:
        raise ValueError(f"Unsupported order type {word[:20]}") from error


def _moment(text: str) -> float | None:
    """Epoch seconds; a zone that is named counts."""
    if not text:
        return None
    try:
        return times.read(text)
    except ValueError as error:
        raise ValueError(f"Invalid time {text[:30]}") from error


def _strike(session: Session, spec: OrderSpec, rule: Rule) -> bool:
    """Does what a rule says to an arriving order; True when the order then goes its normal way."""
    gateway, settings = session.gateway, rule.settings
    if rule.fault == "silent_drop":
        if settings.get("enter"):
            gateway.broker.place(spec)
            gateway.match_silently(spec)
        return False
    if rule.fault == "ack_lost":
        gateway.broker.place(spec)
        session.abort()
        gateway.match_soon(spec.symbol)
        return False
    if rule.fault == "locate":
        gateway.deliver(gateway.broker.place(spec, locate=True))
        gateway.located_later(spec, float(settings.get("seconds", LOCATE_SECONDS)))
        return False
    if rule.fault == "notice":
        code = int(settings.get("code", 10349))
        session.error(spec.order_id, code, str(settings.get("text", "Order TIF was set to DAY based on order preset.")))
        return True
    _refuse(session, spec, rule)
    return False


def _refuse(session: Session, spec: OrderSpec, rule: Rule) -> None:
    """reject: an error alone, of any number and text, whatever it answers. inactive: Inactive and then the error, by itself 201."""
    gateway = session.gateway
    if rule.fault == "reject":
        code = int(rule.settings.get("code", 201))
        session.error(spec.order_id, code, str(rule.settings.get("text", _REJECTS.get(code, "Order rejected"))))
        if code not in (103, 110, 200, 321) and not _is_live(session, spec):
            gateway.broker.exchange.book.last_ids[spec.client_id] = max(
                spec.order_id, gateway.broker.exchange.book.last_ids.get(spec.client_id, 0)
            )
        return
    order = BookOrder(spec=spec, perm_id=0, quantity=spec.quantity, placed_at=gateway.now(), status=Status.INACTIVE)
    info = gateway.broker.contracts.info(spec.symbol)
    session.send(open_order_note(order, info, Status.INACTIVE).build(session.version))
    session.send(status_note(snapshot(order, gateway.now())).build(session.version))
    code = int(rule.settings.get("code", 201))
    session.error(spec.order_id, code, str(rule.settings.get("text", _REJECTS.get(code, "Order rejected"))))


def _is_live(session: Session, spec: OrderSpec) -> bool:
    known = session.gateway.broker.exchange.book.orders.get(spec.key)
    return known is not None and known.live


def _what_if(session: Session, spec: OrderSpec) -> None:
    broker = session.gateway.broker
    refusal = broker.admissions.check(spec, None)
    if refusal is not None:
        session.error(spec.order_id, refusal.code, refusal.text)
        return
    price = spec.limit_price or spec.stop_price or broker.last(spec.symbol)
    before, equity = broker.account.initial_margin(broker.last), broker.account.equity(broker.last)
    after = broker.account.margin_after(spec.symbol, spec.side, spec.quantity, price, broker.last)
    ratio = MAINTENANCE_MARGIN / INITIAL_MARGIN
    fee = commission_for(spec.quantity, spec.quantity * price)
    values: dict[str, object] = {
        "whatIf": "1",
        **_margins("initMargin", before, after),
        **_margins("maintMargin", before * ratio, after * ratio),
        **_margins("equityWithLoan", equity, equity - fee),
        "commission": fee,
        "commissionCurrency": "USD",
    }
    order = BookOrder(spec=spec, perm_id=0, quantity=spec.quantity, placed_at=session.gateway.now())
    order.limit_price, order.stop_price = spec.limit_price, spec.stop_price
    note = open_order_note(order, broker.contracts.info(spec.symbol), Status.PRE_SUBMITTED, values=values)
    session.send(note.build(session.version))


def _margins(name: str, before: float, after: float) -> Mapping[str, object]:
    return {
        f"{name}Before": round(before, 2),
        f"{name}Change": round(after - before, 2),
        f"{name}After": round(after, 2),
    }


def _cancel(session: Session, request: Request) -> None:
    gateway = session.gateway
    order = gateway.broker.exchange.book.orders.get((session.client_id, request["orderId"]))
    if gateway.held_upstream(session, lambda: _cancel(session, request)):
        return
    rule = gateway.faults.take(CANCEL_FAULTS, order.spec) if order is not None and order.live else None
    if rule is not None and rule.fault == "cancel_ignored":
        return
    if rule is not None and rule.fault == "cancel_rejected":
        text = rule.settings.get("text", "The order is not cancellable")
        session.error(request["orderId"], int(rule.settings.get("code", 161)), str(text))
        return
    if rule is not None and order is not None:
        price = order.limit_price or gateway.broker.last(order.spec.symbol)
        gateway.deliver(gateway.broker.fill(order, float(rule.settings.get("quantity", order.remaining)), price))
    gateway.deliver(gateway.broker.cancel(session.client_id, request["orderId"]))


def _global_cancel(session: Session, _request: Request) -> None:
    if not session.gateway.held_upstream(session, lambda: _global_cancel(session, _request)):
        session.gateway.deliver(session.gateway.broker.cancel_all())


def _open_orders(session: Session, _request: Request) -> None:
    _list_orders(session, session.gateway.broker.open_orders(session.client_id))


def _all_open_orders(session: Session, _request: Request) -> None:
    _list_orders(session, session.gateway.broker.open_orders())


def _list_orders(session: Session, orders: list[BookOrder]) -> None:
    for order in orders:
        info = session.gateway.broker.contracts.info(order.spec.symbol)
        session.send(open_order_note(order, info, order.status).build(session.version))
        session.send(status_note(snapshot(order, session.gateway.now())).build(session.version))
    session.send(out.message("openOrderEnd"))


def _completed_orders(session: Session, _request: Request) -> None:
    broker = session.gateway.broker
    for order in broker.completed_orders():
        session.send(completed_frame(session.version, order, broker.contracts.info(order.spec.symbol)))
    session.send(out.message("completedOrdersEnd"))


def _auto_open_orders(_session: Session, _request: Request) -> None:
    """There is no manual trading here whose orders could be bound."""


def _next_id(session: Session, _request: Request) -> None:
    session.send(out.message("nextValidId", session.gateway.broker.next_order_id(session.client_id)))


HANDLERS: dict[Incoming, Handler] = {
    Incoming.CANCEL_ORDER: _cancel,
    Incoming.REQ_GLOBAL_CANCEL: _global_cancel,
    Incoming.REQ_OPEN_ORDERS: _open_orders,
    Incoming.REQ_ALL_OPEN_ORDERS: _all_open_orders,
    Incoming.REQ_COMPLETED_ORDERS: _completed_orders,
    Incoming.REQ_AUTO_OPEN_ORDERS: _auto_open_orders,
    Incoming.REQ_IDS: _next_id,
}
