"""IB Flex Query statements (XML): Trades at execution level, CashTransactions, OpenPositions.

The file comes from outside: entities, document types and external references are refused by the parser, never expanded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from positions.statements.statement import (
    MOST_ROWS,
    BadStatement,
    Statement,
    StatementCash,
    StatementPosition,
    StatementTrade,
    day_of,
    moment,
    number,
    optional,
    symbol_of,
)

_DAYS = ("%Y%m%d", "%Y-%m-%d")
_TIMES = tuple(f"{day}{gap}{time}" for day in _DAYS for gap in (";", " ", ", ", "T") for time in ("%H%M%S", "%H:%M:%S"))


def read_flex(text: str) -> Statement:
    """Raises BadStatement."""
    try:
        root = fromstring(text, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise BadStatement("The file defines entities or a document type. A Flex statement has none, so it is refused.") from None
    except (ParseError, ValueError) as error:
        raise BadStatement(f"The file is not well-formed XML: {str(error)[:120]}.") from None
    if root.tag != "FlexQueryResponse":
        raise BadStatement(f"The file is XML but not a Flex Query response; its root is {root.tag[:40]!r}.")
    statements = list(root.iter("FlexStatement"))
    if len(statements) != 1:
        raise BadStatement(f"The file holds {len(statements)} accounts; give one Flex statement of one account.")
    return _statement(statements[0])


def _statement(element: Element) -> Statement:
    rows = list(_rows(element, "Trades", "Trade"))
    stocks = [row for row in rows if row.get("assetCategory", "STK") == "STK" and row.get("currency", "USD") == "USD"]
    return Statement(
        source="flex",
        account=element.get("accountId", "")[:32],
        first=day_of(element.get("fromDate"), *_DAYS),
        last=day_of(element.get("toDate"), *_DAYS),
        trades=tuple(_trade(row) for row in _not_cancelled(stocks)),
        cash=tuple(_cash(row) for row in _rows(element, "CashTransactions", "CashTransaction")),
        positions=tuple(_position(row) for row in _rows(element, "OpenPositions", "OpenPosition") if row.get("levelOfDetail") != "LOT"),
        skipped=len(rows) - len(stocks),
    )


def _rows(element: Element, section: str, name: str) -> Iterator[Element]:
    found = [row for part in element.iter(section) for row in part.findall(name)]
    if len(found) > MOST_ROWS:
        raise BadStatement(f"The file has more than {MOST_ROWS:,} rows. Ask IB for a shorter period.")
    levels = {row.get("levelOfDetail", "EXECUTION") for row in found}
    if name == "Trade" and found and "EXECUTION" not in levels:
        raise BadStatement("The file lists orders, not executions. Choose the level of detail Execution in the Flex Query.")
    yield from (row for row in found if name != "Trade" or row.get("levelOfDetail", "EXECUTION") == "EXECUTION")


def _not_cancelled(rows: list[Element]) -> list[Element]:
    """A busted trade is listed twice: as it was, and as its cancellation."""
    gone = {row.get("origTradeID") or row.get("ibExecID") for row in rows if row.get("transactionType") == "TradeCancel"}
    kept = [row for row in rows if row.get("transactionType") != "TradeCancel"]
    return [row for row in kept if not gone & {row.get("tradeID") or "", row.get("ibExecID") or ""}]


def _trade(row: Element) -> StatementTrade:
    exec_id = (row.get("ibExecID") or "").strip()
    if not exec_id or len(exec_id) > 64:
        raise BadStatement("A trade has no IB execution id (ibExecID). Add that field to the Flex Query.")
    at = _when(row)
    return StatementTrade(
        exec_id=exec_id,
        symbol=symbol_of(row.get("symbol")),
        day=at.date(),
        at=at,
        quantity=number(row.get("quantity"), f"The quantity of {exec_id}"),
        price=number(row.get("tradePrice"), f"The price of {exec_id}"),
        commission=-number(row.get("ibCommission", "0"), f"The commission of {exec_id}"),
        realized=optional(row.get("fifoPnlRealized"), f"The realized result of {exec_id}"),
        currency=row.get("currency", "USD")[:3],
    )


def _when(row: Element) -> datetime:
    if row.get("dateTime"):
        return moment(row.get("dateTime"), *_TIMES)
    return moment(f"{row.get('tradeDate', '')};{row.get('tradeTime', '')}", *_TIMES)


def _cash(row: Element) -> StatementCash:
    text = row.get("dateTime") or row.get("reportDate") or ""
    return StatementCash(
        kind=row.get("type", "")[:60],
        text=row.get("description", "")[:200],
        amount=number(row.get("amount"), "The amount of a cash transaction"),
        currency=row.get("currency", "USD")[:3],
        day=day_of(text, *_DAYS, *_TIMES),
    )


def _position(row: Element) -> StatementPosition:
    return StatementPosition(
        symbol=symbol_of(row.get("symbol")),
        quantity=number(row.get("position"), "The size of a position"),
        day=day_of(row.get("reportDate"), *_DAYS),
    )
