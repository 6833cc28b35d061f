"""IB Flex Query statements (XML): Trades at execution level, CashTransactions, CashReport, OpenPositions.

The file comes from outside: entities, document types and external references are refused by the parser, never expanded.
A period that is broken out by day is one FlexStatement for each day; several accounts are several, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from positions.statements.moments import Calendar, exchange_day
from positions.statements.statement import (
    MOST_ROWS,
    ZERO,
    BadStatement,
    Statement,
    StatementBalance,
    StatementCash,
    StatementPosition,
    StatementTrade,
    account_among,
    number,
    optional,
    symbol_of,
)

_DATED = ("dateTime", "tradeDate", "reportDate", "fromDate", "toDate")
_CANCELLED = ("TradeCancel",)


def read_flex(text: str, account: str = "") -> Statement:
    """The statement of `account`, or of the only one. Raises BadStatement."""
    root = _parsed(text)
    if root.tag == "FlexStatementResponse":
        raise BadStatement("IB answered that the statement is not ready or was refused; the file holds no statement.")
    if root.tag != "FlexQueryResponse":
        raise BadStatement(f"The file is XML but not a Flex Query response; its root is {root.tag[:40]!r}.")
    if root.get("type") == "TCF":
        raise BadStatement("The file is a Trade Confirmation Flex Query. Use an Activity Flex Query with the Trades section.")
    parts = list(root.iter("FlexStatement"))
    if not parts:
        raise BadStatement("The file holds no statement: IB had nothing for that period, or the query names no account.")
    chosen = account_among([part.get("accountId", "") for part in parts], account)
    return _statement(chosen, [part for part in parts if part.get("accountId", "") == chosen])


def _parsed(text: str) -> Element:
    try:
        root: Element = fromstring(text, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise BadStatement("The file defines entities or a document type. A Flex statement has none, so it is refused.") from None
    except (ParseError, ValueError) as error:
        raise BadStatement(f"The file is not well-formed XML: {str(error)[:120]}.") from None
    return root


def _statement(account: str, parts: Sequence[Element]) -> Statement:
    if not any(part.find("Trades") is not None for part in parts):
        raise BadStatement("The Flex Query has no Trades section. Add it, with the level of detail Execution.")
    calendar = Calendar(_dates(parts))
    rows = _executions(parts)
    stocks = _stocks(rows)
    days = [day for part in parts for day in (calendar.day(part.get("fromDate")), calendar.day(part.get("toDate"))) if day is not None]
    return Statement(
        source="flex",
        account=account[:32],
        first=min(days, default=None),
        last=max(days, default=None),
        trades=tuple(_trade(row, calendar) for row in _not_cancelled(stocks)),
        cash=tuple(_cash(row, calendar) for row in _finest(_rows(parts, "CashTransactions", "CashTransaction"), "DETAIL")),
        positions=_positions(parts, calendar),
        balances=tuple(_balances(parts, calendar)),
        skipped=len(rows) - len(stocks),
    )


def _dates(parts: Sequence[Element]) -> Iterator[str]:
    for element in chain.from_iterable(part.iter() for part in parts):
        yield from (element.get(name, "") for name in _DATED)


def _rows(parts: Sequence[Element], section: str, name: str) -> list[Element]:
    found = [row for part in parts for inner in part.iter(section) for row in inner.iter(name)]
    if len(found) > MOST_ROWS:
        raise BadStatement(f"The file has more than {MOST_ROWS:,} rows. Ask IB for a shorter period.")
    return found


def _stocks(rows: list[Element]) -> list[Element]:
    return [row for row in rows if row.get("assetCategory", "STK") == "STK" and row.get("currency", "USD") == "USD"]


def _finest(rows: list[Element], level: str) -> list[Element]:
    """Where the same amounts are told at several levels of detail: the rows of `level`."""
    return [row for row in rows if row.get("levelOfDetail") == level] or rows


def _executions(parts: Sequence[Element]) -> list[Element]:
    found = _rows(parts, "Trades", "Trade")
    executions = [row for row in found if row.get("levelOfDetail", "EXECUTION") == "EXECUTION"]
    others = any(part.find("Trades/*") is not None for part in parts)
    if others and not executions:
        raise BadStatement("The file lists orders, not executions. Choose the level of detail Execution in the Flex Query.")
    if executions and not any(row.get("ibExecID", "").strip() for row in executions):
        raise BadStatement("A trade has no IB execution id (ibExecID). Add that field to the Flex Query.")
    return executions


def _not_cancelled(rows: list[Element]) -> list[Element]:
    """A busted trade is listed twice: as it was, and as its cancellation. Both go."""
    cancels = [row for row in rows if _is_cancel(row)]
    kept = [row for row in rows if not _is_cancel(row)]
    for cancel in cancels:
        busted = next((row for row in kept if _busts(cancel, row)), None)
        if busted is not None:
            kept.remove(busted)
    return kept


def _is_cancel(row: Element) -> bool:
    notes = row.get("notes", "").replace(",", ";").split(";")
    return row.get("transactionType") in _CANCELLED or "(Ca." in row.get("buySell", "") or "Ca" in notes


def _busts(cancel: Element, row: Element) -> bool:
    original = cancel.get("origTradeID", "").strip()
    if original not in ("", "0"):
        return original == row.get("tradeID", "").strip()
    if cancel.get("ibExecID", "").strip() and cancel.get("ibExecID") == row.get("ibExecID"):
        return True
    same = all(cancel.get(name) == row.get(name) for name in ("symbol", "tradePrice"))
    return same and number(cancel.get("quantity"), "A quantity") == -number(row.get("quantity"), "A quantity")


def _trade(row: Element, calendar: Calendar) -> StatementTrade:
    exec_id = _exec_id(row)
    at = calendar.moment(row.get("dateTime") or f"{row.get('tradeDate', '')} {row.get('tradeTime', '')}")
    currency = row.get("currency", "USD")
    own = row.get("ibCommissionCurrency") or currency
    fee = -number(row.get("ibCommission"), f"The commission of {exec_id}") if own == currency else None
    return StatementTrade(
        exec_id=exec_id,
        symbol=symbol_of(row.get("symbol")),
        day=exchange_day(at),
        at=at,
        quantity=_signed(row, exec_id),
        price=number(row.get("tradePrice"), f"The price of {exec_id}"),
        commission=fee,
        realized=optional(row.get("fifoPnlRealized"), f"The realized result of {exec_id}"),
        currency=currency[:3],
    )


def _exec_id(row: Element) -> str:
    """IB's id; what was booked without an execution (an assignment, a fraction) has none and keeps the name of its booking."""
    exec_id = (row.get("ibExecID") or "").strip() or f"{row.get('transactionType', 'booked')} {row.get('tradeID', '')}".strip()
    if len(exec_id) > 64 or not exec_id.isprintable():
        raise BadStatement("A trade has no usable IB execution id (ibExecID).")
    return exec_id


def _signed(row: Element, exec_id: str) -> Decimal:
    quantity = number(row.get("quantity"), f"The quantity of {exec_id}")
    return -abs(quantity) if row.get("buySell", "").startswith("SELL") else quantity


def _cash(row: Element, calendar: Calendar) -> StatementCash:
    return StatementCash(
        kind=row.get("type", "")[:60],
        text=row.get("description", "")[:200],
        amount=number(row.get("amount"), "The amount of a cash transaction"),
        currency=row.get("currency", "USD")[:3],
        day=calendar.day(row.get("dateTime") or row.get("reportDate")),
    )


def _positions(parts: Sequence[Element], calendar: Calendar) -> tuple[StatementPosition, ...]:
    """Shares by symbol and day; lots are added up where the query gives nothing else."""
    rows = [
        (row, calendar.day(row.get("reportDate") or part.get("toDate")))
        for part in parts
        for row in _finest(_stocks(_rows([part], "OpenPositions", "OpenPosition")), "SUMMARY")
    ]
    held = dict.fromkeys([(symbol_of(row.get("symbol")), day) for row, day in rows], ZERO)
    for row, day in rows:
        held[symbol_of(row.get("symbol")), day] += number(row.get("position"), "The size of a position")
    return tuple(StatementPosition(symbol=symbol, quantity=quantity, day=day) for (symbol, day), quantity in held.items())


def _balances(parts: Sequence[Element], calendar: Calendar) -> Iterator[StatementBalance]:
    for part in parts:
        for row in _rows([part], "CashReport", "CashReportCurrency"):
            if row.get("currency") == "USD" and row.get("endingCash"):
                day = calendar.day(row.get("toDate") or part.get("toDate"))
                yield StatementBalance(amount=number(row.get("endingCash"), "The ending cash"), day=day)
