"""Turns the brokerage's reports into the messages a client would see, in the order IB sends them.

One `Note` is one message to the client that owns the order; it is built per protocol version on delivery. Notes are
named, so that a scripted fault can reorder, repeat or drop them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from events.accounts import SIMULATED_ACCOUNT
from positions.gateway import times
from positions.gateway.brokerage import Charged, Executed, Report
from positions.gateway.market import SymbolInfo
from positions.gateway.messages_out import error, message
from positions.gateway.order_codec import completed_order_fields, open_order_fields
from positions.gateway.orders import DONE, LOCATE, BookOrder, Kind, OrderNotice, OrderRefused, OrderUpdated, Side, Status
from positions.gateway.store import Execution
from positions.gateway.wire import UNSET_DOUBLE, encode_frame

LIVE = -1  # request id of executions that answer no request


class NoteKind(StrEnum):
    OPEN_ORDER = "open_order"
    STATUS = "status"
    EXECUTION = "execution"
    COMMISSION = "commission"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One message for `client_id` about its order; `status` is the order status it carries, if any."""

    client_id: int
    order_id: int
    kind: NoteKind
    build: Callable[[int], bytes]  # protocol version → frame
    status: Status | None = None


def notes_of(reports: Iterable[Report], info: Callable[[str], SymbolInfo], form: str = "") -> list[Note]:
    """All messages of a batch of reports, first to last; `form` is how times are written, see times.py."""
    notes: list[Note] = []
    for report in reports:
        if isinstance(report, OrderUpdated):
            notes += _update_notes(report, info)
        elif isinstance(report, Executed):
            notes.append(execution_note(report.execution, info, form))
        elif isinstance(report, Charged):
            notes.append(commission_note(report.execution))
        else:
            notes.append(_error_note(report))
    return notes


def _update_notes(update: OrderUpdated, info: Callable[[str], SymbolInfo]) -> list[Note]:
    order = update.order
    status = status_note(update)
    if update.status in (Status.PENDING_CANCEL, Status.CANCELLED):
        return [status]
    if update.status is Status.SUBMITTED and update.filled and not update.modified:
        return [status]
    contract = info(order.spec.symbol)
    notes = [open_order_note(order, contract, update.status), status]
    if update.status is Status.FILLED and order.spec.kind is Kind.MARKET:
        notes += [open_order_note(order, contract, update.status, with_commission=True), status]
    return notes


def open_order_note(
    order: BookOrder, info: SymbolInfo, status: Status, *, with_commission: bool = False, values: dict[str, object] | None = None
) -> Note:
    """openOrder with the order as it is now; `values` adds what a what-if answer needs."""
    commission = order.commission if with_commission else UNSET_DOUBLE
    fields = (
        order_values(order)
        | {"status": _said(status, order.why_held), "commission": commission, "commissionCurrency": "USD"}
        | (values or {})
    )
    contract = contract_fields(info, order.spec.wire.get("exchange", "SMART"))
    return Note(
        client_id=order.spec.client_id,
        order_id=order.spec.order_id,
        kind=NoteKind.OPEN_ORDER,
        build=lambda version: encode_frame(open_order_fields(version, order.spec.order_id, contract, fields)),
        status=status,
    )


def status_note(update: OrderUpdated, *, status: Status | None = None) -> Note:
    """orderStatus; `status` overrides the word, for a scripted lie."""
    order, word = update.order, status or _said(update.status, update.why_held)
    frame = message(
        "orderStatus",
        order.spec.order_id,
        word,
        update.filled,
        update.remaining,
        update.average_price,
        order.perm_id,
        order.spec.parent_id,
        update.last_price,
        order.spec.client_id,
        update.why_held,
        0,
    )
    return Note(
        client_id=order.spec.client_id,
        order_id=order.spec.order_id,
        kind=NoteKind.STATUS,
        build=lambda _version: frame,
        status=word,
    )


def _said(status: Status, why_held: str) -> Status:
    """What the client reads: a short sale that waits for its shares is Inactive, and lives."""
    return Status.INACTIVE if status is Status.PRE_SUBMITTED and why_held == LOCATE else status


def snapshot(order: BookOrder, at: float) -> OrderUpdated:
    """The order's present state as an update, for answers to queries."""
    return OrderUpdated(
        order=order,
        status=order.status,
        filled=order.filled,
        remaining=order.remaining,
        average_price=order.average_price,
        last_price=order.last_price,
        why_held=order.why_held,
        at=at,
    )


def execution_frame(execution: Execution, info: SymbolInfo, moment: str, request_id: int = LIVE) -> bytes:
    """`moment` is the time of the execution as the client reads it."""
    side = "BOT" if execution.side is Side.BUY else "SLD"
    return message(
        "execDetails",
        request_id,
        execution.order_id,
        *contract_fields(info, info.primary_exchange),
        execution.exec_id,
        moment,
        SIMULATED_ACCOUNT,
        info.primary_exchange,
        side,
        execution.quantity,
        execution.price,
        execution.perm_id,
        execution.client_id,
        execution.liquidation,
        execution.cumulative_quantity,
        execution.average_price,
        execution.order_ref,
        "",
        "",
        "",
        2,
    )


def execution_note(execution: Execution, info: Callable[[str], SymbolInfo], form: str = "") -> Note:
    found = info(execution.symbol)
    return Note(
        client_id=execution.client_id,
        order_id=execution.order_id,
        kind=NoteKind.EXECUTION,
        build=lambda version: execution_frame(execution, found, times.written(execution.at, version, form)),
    )


def commission_frame(execution: Execution) -> bytes:
    realized = UNSET_DOUBLE if execution.realized is None else execution.realized
    return message("commissionReport", execution.exec_id, execution.commission, "USD", realized, UNSET_DOUBLE, "")


def placeholder(report: Executed) -> Note:
    """The commission before IB has reckoned it: -1, which is no credit."""
    return commission_note(replace(report.execution, commission=-1.0))


def commission_note(execution: Execution) -> Note:
    frame = commission_frame(execution)
    return Note(
        client_id=execution.client_id,
        order_id=execution.order_id,
        kind=NoteKind.COMMISSION,
        build=lambda _version: frame,
    )


def _error_note(report: OrderRefused | OrderNotice) -> Note:
    return Note(
        client_id=report.client_id,
        order_id=report.order_id,
        kind=NoteKind.ERROR,
        build=lambda version: error(version, report.order_id, report.code, report.text),
    )


def completed_frame(version: int, order: BookOrder, info: SymbolInfo) -> bytes:
    """completedOrder as IB fills it: total quantity 0, the filled size and a sentence instead."""
    at = datetime.fromtimestamp(order.completed_at or 0.0, UTC)
    values = order_values(order) | {
        "totalQuantity": 0,
        "lmtPrice": order.limit_price or 0.0,
        "status": order.status,
        "filledQuantity": order.filled,
        "parentPermId": 0,
        "completedTime": f"{at:%Y%m%d %H:%M:%S} UTC",
        "completedStatus": order.completed_status,
    }
    return encode_frame(completed_order_fields(version, contract_fields(info, "SMART"), values))


def contract_fields(info: SymbolInfo, exchange: str) -> list[object]:
    """The eleven contract fields of server messages."""
    return [info.con_id, info.symbol, "STK", "", 0, "?", "", exchange or "SMART", "USD", info.symbol, "NMS"]


def order_values(order: BookOrder) -> dict[str, object]:
    """The fields of openOrder: the client's own words, with what the book has made of them."""
    spec = order.spec
    values: dict[str, object] = dict(spec.wire)
    values.update(
        action=spec.side,
        totalQuantity=order.quantity,
        orderType=spec.kind,
        tif=spec.tif,
        ocaType=spec.oca_type or 3,
        account=SIMULATED_ACCOUNT,
        clientId=spec.client_id,
        permId=order.perm_id,
        parentId=spec.parent_id,
        dontUseAutoPriceForHedge="1",
    )
    if order.limit_price is not None:
        values["lmtPrice"] = order.limit_price
    if spec.kind in (Kind.STOP, Kind.STOP_LIMIT) and order.stop_price is not None:
        values["auxPrice"] = order.stop_price
    if spec.kind in (Kind.TRAIL, Kind.TRAIL_LIMIT) and order.stop_price is not None:
        values["trailStopPrice"] = round(order.stop_price, 4)
    return values


def is_done(status: Status) -> bool:
    return status in DONE
