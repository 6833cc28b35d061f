"""Listening to IB at the wire: each decoded message becomes one of our reports and is handed over, in order of arrival.

`Ear` replaces the library's own bookkeeping of orders and fills, which marks living orders cancelled, adds corrections
instead of replacing them and loses fills learned after a reconnect. Nothing here keeps state of an order; `_known` only
remembers what an orderStatus leaves out (ref, symbol, prices). The decoder swallows whatever a callback raises, so every
callback is guarded and a failure is told to `on_fault`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from events.clock import monotonic, utc_now
from positions.broker import ib_convert
from positions.broker.ib_convert import BadFrame
from positions.broker.ib_library import Wrapper
from positions.broker.ib_times import UnknownTime, moment
from positions.domain.ports import BrokerListener, CommissionReport, ErrorReport, ExecutionReport, OrderReport, OrderTicket, PositionReport

log = logging.getLogger(__name__)

EXECUTION_FRAME = "11"
TIME_OF_EXECUTION = 15  # its place in that frame
# orderStatus, updateAccountValue, updatePortfolio, updateAccountTime; openOrder, execDetails, commissionReport, position, completedOrder
LIST_FRAMES = frozenset({"3", "6", "7", "8", "5", EXECUTION_FRAME, "59", "61", "101"})
NO_MORE_LINES = 101
FINAL_STATUSES = frozenset({"Cancelled", "ApiCancelled", "Filled", "Inactive"})
Key = tuple[int, int]  # (client_id, ib_order_id), or (-1, perm_id) for orders made by hand in TWS


@dataclass(slots=True)
class Reading:
    """What one snapshot has collected so far; `phase` is the list being read now."""

    phase: str = ""
    open_orders: dict[Key, OrderReport] = field(default_factory=dict)
    completed_orders: list[OrderReport] = field(default_factory=list)
    executions: list[ExecutionReport] = field(default_factory=list)
    commissions: list[CommissionReport] = field(default_factory=list)
    positions: dict[tuple[str, int], PositionReport] = field(default_factory=dict)
    refused: int = 0


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """A frame that cannot be true is counted and dropped; any other failure of ours is an alarm, never silence."""

    @functools.wraps(method)
    def call(self: Ear, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except BadFrame as error:
            self.refuse(method.__name__, error)
        except Exception as error:
            log.exception("%s failed", method.__name__)
            self.on_fault(method.__name__, error)

    return call


class Ear(Wrapper):
    """The library's wrapper with our own ears for orders, fills, positions and errors; one per session."""

    def __init__(
        self,
        ib: Any,
        listener: BrokerListener,
        *,
        on_fault: Callable[[str, BaseException], None],
        on_code: Callable[[int, str], None],
        on_no_line: Callable[[str], None],
    ) -> None:
        super().__init__(ib)
        self.listener = listener
        self.on_fault = on_fault
        self.on_code = on_code
        self.on_no_line = on_no_line
        self.reading: Reading | None = None
        self.refused = 0  # frames that could not be true, this session
        self.account_values: dict[str, float] = {}
        self.account = ""
        self.next_id: asyncio.Future[int] | None = None
        self.row_at = 0.0  # when a row of the lists that `connect` and `snapshot` read last came
        self._known: dict[Key, OrderReport] = {}
        self._alarmed: set[str] = set()  # the time zones nobody knows that an alarm was about

    def decoding(self, handlers: Mapping[int, Callable[[list[str]], None]]) -> Callable[[list[str]], None]:
        """What decodes each frame instead of the library's own loop, which drops what it cannot read and tells nobody.

        A list in which a row was lost must not pass for complete: an order missing from it would be taken for gone.
        """

        def decode(fields: list[str]) -> None:
            if fields and fields[0] in LIST_FRAMES:
                self.row_at = monotonic()
            try:
                if fields[0] == EXECUTION_FRAME:  # what was executed counts, also where only the time of receipt is known
                    at = self._epoch(fields[TIME_OF_EXECUTION], "an execution")
                    fields[TIME_OF_EXECUTION] = at or str(int(utc_now().timestamp()))
                handlers[int(fields[0])](fields)
            except Exception as error:
                failure = BadFrame(f"{type(error).__name__}: {error} in {str(fields)[:200]}")
                if fields[:1] == [EXECUTION_FRAME]:
                    self.on_fault("execution frame", failure)  # money happened and we cannot read it
                self.refuse("a frame", failure)

        return decode

    def _epoch(self, text: str, what: str) -> str:
        """The moment as epoch seconds, which the library cannot misread; "" and an alarm, once for a zone, when it cannot be read."""
        try:
            return str(int(moment(text, zone=self.ib.TimezoneTWS or "UTC").timestamp()))
        except UnknownTime as error:
            if error.zone not in self._alarmed:
                self._alarmed.add(error.zone)
                self.on_fault(f"time of {what}", error)
            return ""

    # --- orders ---

    def remember(self, ticket: OrderTicket, client_id: int) -> None:
        """What a later orderStatus of this order will leave out."""
        self._known[(client_id, ticket.ib_order_id)] = OrderReport(
            order_ref=ticket.order_ref,
            ib_order_id=ticket.ib_order_id,
            client_id=client_id,
            perm_id=0,
            status="",
            symbol=ticket.contract.symbol,
            side=ticket.side,
            order_type=ib_convert.ORDER_TYPES[ticket.order_type],
            quantity=ticket.quantity,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            trail_amount=ticket.trail_amount,
            trail_percent=ticket.trail_percent,
            parent_ib_order_id=ticket.parent_ib_order_id,
            oca_group=ticket.oca_group,
            account=ticket.account,
            transmit=ticket.transmit,
            received_at=utc_now(),
        )

    def is_order(self, ib_order_id: int) -> bool:
        """Whether an error about this id is about an order of ours (ids are shared with requests)."""
        return (self.clientId, ib_order_id) in self._known

    @guarded
    def openOrder(self, orderId: int, contract: Any, order: Any, orderState: Any) -> None:
        self.ib.client.updateReqId(orderId + 1)
        if order.whatIf:
            self._what_if(order, orderState)
            return
        report = ib_convert.open_order(orderId, contract, order, orderState, received_at=utc_now(), from_query=self._in("open_orders"))
        known = self._known.get(self._key(report.client_id, orderId, report.perm_id))
        if known is not None:
            report = replace(
                report,
                order_ref=report.order_ref or known.order_ref,
                filled=known.filled,
                remaining=known.remaining,
                average_price=known.average_price,
                why_held=known.why_held if known.status == report.status else "",
            )
        self._tell_order(report)

    @guarded
    def orderStatus(
        self,
        orderId: int,
        status: str,
        filled: float,
        remaining: float,
        avgFillPrice: float,
        permId: int,
        parentId: int,
        lastFillPrice: float,
        clientId: int,
        whyHeld: str,
        mktCapPrice: float = 0.0,
    ) -> None:
        known = self._known.get(self._key(clientId, orderId, permId))
        heard: dict[str, Any] = {
            "status": ib_convert.words(status, 32),
            "filled": ib_convert.quantity(filled, what="filled quantity"),
            "remaining": ib_convert.quantity(remaining, what="remaining quantity"),
            "average_price": ib_convert.price(avgFillPrice),
            "why_held": ib_convert.words(whyHeld, 80),
            "from_query": self._in("open_orders"),
            "received_at": utc_now(),
        }
        if known is None:
            report = OrderReport(
                order_ref="", ib_order_id=orderId, client_id=clientId, perm_id=permId, parent_ib_order_id=parentId, **heard
            )
        else:
            report = replace(known, perm_id=permId or known.perm_id, **heard)
        self._tell_order(report)

    def _tell_order(self, report: OrderReport) -> None:
        key = self._key(report.client_id, report.ib_order_id, report.perm_id)
        self._known[key] = report
        if not report.from_query:
            self.listener.on_order(report)
            return
        if self.reading is not None:
            self.reading.open_orders[key] = report
        if report.status in FINAL_STATUSES:  # pushed while the list was read: a last word cannot be asked for again
            self.listener.on_order(replace(report, from_query=False))

    def openOrderEnd(self) -> None:
        self._endReq("openOrders")

    @guarded
    def completedOrder(self, contract: Any, order: Any, orderState: Any) -> None:
        if self.reading is not None:
            self.reading.completed_orders.append(ib_convert.completed_order(contract, order, orderState, received_at=utc_now()))

    def _what_if(self, order: Any, state: Any) -> None:
        """The first answer may still carry unset margins; only real numbers end the question."""
        if ib_convert.number(state.initMarginChange) is not None:
            self._endReq(order.orderId, state)

    @staticmethod
    def _key(client_id: int, ib_order_id: int, perm_id: int) -> Key:
        return (client_id, ib_order_id) if ib_order_id > 0 else (-1, perm_id)

    # --- executions ---

    @guarded
    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:
        asked = reqId in self._futures
        try:
            report = ib_convert.execution(contract, execution, received_at=utc_now(), from_query=asked)
        except BadFrame as error:
            self.on_fault("execDetails", error)  # money happened and we cannot read it
            raise
        if not report.order_ref:
            known = self._known.get(self._key(report.client_id, report.ib_order_id, report.perm_id))
            report = replace(report, order_ref=known.order_ref if known else "")
        if asked and self.reading is not None:
            self.reading.executions.append(report)
        else:
            self.listener.on_execution(report)

    @guarded
    def commissionReport(self, commissionReport: Any) -> None:
        report = ib_convert.commission(commissionReport, received_at=utc_now())
        if report is None:
            return  # it comes again, or a reading brings it
        if self.reading is not None and self._in("executions"):
            self.reading.commissions.append(report)
        else:
            self.listener.on_commission(report)

    # --- bars ---

    def historicalData(self, reqId: int, bar: Any) -> None:
        """A bar whose time cannot be read is left out: no time of receipt could stand for it."""
        if len(str(bar.date)) > len("YYYYMMDD"):
            bar.date = self._epoch(str(bar.date), "a bar")
        if bar.date:
            super().historicalData(reqId, bar)

    # --- positions and account ---

    @guarded
    def position(self, account: str, contract: Any, posSize: float, avgCost: float) -> None:
        if contract.secType not in ("STK", ""):
            return
        try:
            report = ib_convert.position(account, contract, posSize, avgCost)
        except BadFrame as error:
            self.on_fault("position", error)
            raise
        if self.reading is not None:
            self.reading.positions[(report.account, report.con_id)] = report

    def positionEnd(self) -> None:
        self._endReq("positions")

    @guarded
    def updateAccountValue(self, tag: str, val: str, currency: str, account: str) -> None:
        value = ib_convert.number(val)
        if value is None or (self.account and account != self.account) or currency not in ("USD", "BASE", ""):
            return
        key = tag if currency in ("USD", "") else f"{tag}.{currency}"
        self.account_values[key] = value
        self.listener.on_account(key, value)

    @guarded
    def nextValidId(self, reqId: int) -> None:
        if self.next_id is not None and not self.next_id.done():
            self.next_id.set_result(int(reqId))

    # --- errors and the link ---

    @guarded
    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str = "") -> None:
        contract = self._reqId2Contract.get(reqId)
        super().error(reqId, errorCode, errorString, advancedOrderRejectJson)  # ends the request it belongs to
        message = ib_convert.words(errorString)
        if int(errorCode) == NO_MORE_LINES:  # about market data, whatever order has the same number
            if contract is not None:  # else the stream was given up before its answer came
                self.on_no_line(ib_convert.symbol_from_ib(contract.symbol))
            return
        order_id = reqId if reqId > 0 and self.is_order(reqId) else -1
        self.on_code(int(errorCode), message)
        self.listener.on_error(ErrorReport(code=int(errorCode), message=message, ib_order_id=order_id, received_at=utc_now()))

    def refuse(self, what: str, error: BadFrame) -> None:
        self.refused += 1
        if self.reading is not None:
            self.reading.refused += 1
        log.warning("refused %s: %s", what, error)

    def _in(self, phase: str) -> bool:
        return self.reading is not None and self.reading.phase == phase
