"""IB activity statements (CSV): one file of many sections, each row "Section,Header|Data,…".

They carry no execution ids: a row is an order's total (DataDiscriminator Order) or an execution (Trade, Execution).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date

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

_TIMES = ("%Y-%m-%d, %H:%M:%S", "%Y-%m-%d %H:%M:%S")
_DAY_WORDS = ("%B %d, %Y", "%b %d, %Y", "%Y-%m-%d")
_EXECUTIONS, _ORDERS = ("Trade", "Execution"), ("Order",)
_CASH_SECTIONS = ("Deposits & Withdrawals", "Dividends", "Interest", "Fees", "Withholding Tax")

Row = dict[str, str]


def read_activity(text: str) -> Statement:
    """Raises BadStatement."""
    sections = _sections(text)
    if "Statement" not in sections or "Trades" not in sections:
        raise BadStatement("The file is not an IB activity statement with trades: its Statement or Trades section is missing.")
    facts = {
        row.get("Field Name", ""): row.get("Field Value", "") for row in [*sections["Statement"], *sections.get("Account Information", [])]
    }
    first, last = _period(facts.get("Period", ""))
    listed = [row for row in sections["Trades"] if row.get("DataDiscriminator") in (*_EXECUTIONS, *_ORDERS)]
    finest = _EXECUTIONS if any(row["DataDiscriminator"] in _EXECUTIONS for row in listed) else _ORDERS
    rows = [row for row in listed if row["DataDiscriminator"] in finest]
    stocks = [row for row in rows if row.get("Asset Category") == "Stocks" and row.get("Currency") == "USD"]
    return Statement(
        source="activity",
        account=facts.get("Account", "").split(" ")[0][:32],
        first=first,
        last=last,
        trades=tuple(_trade(row) for row in stocks),
        cash=tuple(_cash(row, name) for name in _CASH_SECTIONS for row in sections.get(name, []) if _is_money(row)),
        positions=tuple(_position(row, last) for row in sections.get("Open Positions", []) if row.get("DataDiscriminator") == "Summary"),
        skipped=len(rows) - len(stocks),
    )


def _sections(text: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for section, header, cells in _lines(text):
        found.setdefault(section, []).append(dict(zip(header, cells, strict=False)))
    return found


def _lines(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """(section, its header, the cells) of every data row."""
    headers: dict[str, list[str]] = {}
    try:
        for count, cells in enumerate(csv.reader(io.StringIO(text))):
            if count > MOST_ROWS:
                raise BadStatement(f"The file has more than {MOST_ROWS:,} rows. Ask IB for a shorter period.")
            if len(cells) < 3:
                continue
            if cells[1] == "Header":
                headers[cells[0]] = cells[2:]
            elif cells[1] == "Data" and cells[0] in headers:
                yield cells[0], headers[cells[0]], cells[2:]
    except csv.Error as error:
        raise BadStatement(f"The file is not readable as CSV: {str(error)[:120]}.") from None


def _period(text: str) -> tuple[date | None, date | None]:
    parts = [part.strip() for part in text.split(" - ")] if text else []
    days = [day_of(part, *_DAY_WORDS) for part in parts]
    return (days[0], days[-1]) if days else (None, None)


def _trade(row: Row) -> StatementTrade:
    symbol = symbol_of(row.get("Symbol"))
    at = moment(row.get("Date/Time"), *_TIMES)
    return StatementTrade(
        exec_id="",
        symbol=symbol,
        day=at.date(),
        at=at,
        quantity=number(row.get("Quantity"), f"The quantity of a {symbol} trade"),
        price=number(row.get("T. Price"), f"The price of a {symbol} trade"),
        commission=-number(row.get("Comm/Fee") or "0", f"The commission of a {symbol} trade"),
        realized=optional(row.get("Realized P/L"), f"The realized result of a {symbol} trade"),
    )


def _is_money(row: Row) -> bool:
    return bool(row.get("Amount", "").strip()) and not row.get("Currency", "").startswith("Total")


def _cash(row: Row, section: str) -> StatementCash:
    return StatementCash(
        kind=section,
        text=row.get("Description", "")[:200],
        amount=number(row.get("Amount"), f"An amount of {section}"),
        currency=row.get("Currency", "")[:3],
        day=day_of(row.get("Date") or row.get("Settle Date"), *_DAY_WORDS),
    )


def _position(row: Row, day: date | None) -> StatementPosition:
    symbol = symbol_of(row.get("Symbol"))
    return StatementPosition(symbol=symbol, quantity=number(row.get("Quantity"), f"The size of {symbol}"), day=day)
