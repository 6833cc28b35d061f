"""IB activity statements (CSV): one file of many sections, each row "Section,Header|Data|SubTotal|Total,…".

They carry no execution ids: a row is an order's total (DataDiscriminator Order) or an execution (Trade, Execution); closed lots
repeat what the others say. A section may change its columns half-way, and sections that would be empty are left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date

from positions.statements.moments import Calendar, exchange_day
from positions.statements.statement import (
    MOST_ROWS,
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

_EXECUTIONS, _ORDERS = ("Trade", "Execution"), ("Order",)
_CASH_SECTIONS = ("Deposits & Withdrawals", "Dividends", "Interest", "Fees", "Withholding Tax")
_CALENDAR = Calendar(())  # its dates never have slashes

Row = dict[str, str]
Sections = dict[str, list[Row]]


def read_activity(text: str, account: str = "") -> Statement:
    """The statement of `account`, or of the only one. Raises BadStatement."""
    sections = _sections(text)
    facts = _facts(sections)
    if "activity" not in facts.get("Title", "Activity").lower() or not facts.get("Period"):
        raise BadStatement("The file is not an IB activity statement in English: choose that language, and the format CSV, in the portal.")
    chosen = account_among(_accounts(sections, facts), account)
    first, last = _period(facts["Period"])
    rows = [row for row in _finest(sections.get("Trades", [])) if _is_of(row, chosen)]
    stocks = [row for row in rows if row.get("Asset Category", "").startswith("Stocks") and row.get("Currency") == "USD"]
    return Statement(
        source="activity",
        account=chosen[:32],
        first=first,
        last=last,
        trades=tuple(_trade(row) for row in _not_cancelled(stocks)),
        cash=tuple(_cash(row, name) for name in _CASH_SECTIONS for row in sections.get(name, []) if _is_money(row) and _is_of(row, chosen)),
        positions=tuple(_position(row, last) for row in sections.get("Open Positions", []) if _is_stock(row) and _is_of(row, chosen)),
        balances=tuple(_balances(sections, chosen, last)),
        skipped=len(rows) - len(stocks),
    )


def _sections(text: str) -> Sections:
    found: Sections = {}
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


def _facts(sections: Sections) -> dict[str, str]:
    rows = [*sections.get("Statement", []), *sections.get("Account Information", [])]
    return {row.get("Field Name", ""): row.get("Field Value", "") for row in rows}


def _accounts(sections: Sections, facts: dict[str, str]) -> list[str]:
    """A consolidated statement names the account in every row."""
    named = [row["Account"].strip() for rows in sections.values() for row in rows if row.get("Account", "").strip()]
    return named or [facts.get("Account", "").split(" ")[0]]


def _is_of(row: Row, account: str) -> bool:
    return row.get("Account", "").strip() in ("", account)


def _period(text: str) -> tuple[date | None, date | None]:
    days = [_CALENDAR.day(part) for part in text.split(" - ")]
    return days[0], days[-1]


def _finest(rows: list[Row]) -> list[Row]:
    """The executions, else the orders: told at both levels they would count twice."""
    kinds = {row.get("DataDiscriminator") for row in rows}
    wanted = _EXECUTIONS if kinds & set(_EXECUTIONS) else _ORDERS
    return [row for row in rows if row.get("DataDiscriminator") in wanted]


def _not_cancelled(rows: list[Row]) -> list[Row]:
    """A busted trade is listed twice, the second time under the code Ca. Both go."""
    kept = [row for row in rows if not _is_cancel(row)]
    for cancel in [row for row in rows if _is_cancel(row)]:
        back = -number(cancel.get("Quantity"), "The quantity of a cancelled trade")
        same = (row for row in kept if all(row.get(name) == cancel.get(name) for name in ("Symbol", "T. Price")))
        busted = next((row for row in same if number(row.get("Quantity"), "A quantity") == back), None)
        if busted is not None:
            kept.remove(busted)
    return kept


def _is_cancel(row: Row) -> bool:
    return "Ca" in [code.strip() for code in row.get("Code", "").split(";")]


def _trade(row: Row) -> StatementTrade:
    symbol = symbol_of(row.get("Symbol"))
    at = _CALENDAR.moment(row.get("Date/Time"))
    return StatementTrade(
        exec_id="",
        symbol=symbol,
        day=exchange_day(at),
        at=at,
        quantity=number(row.get("Quantity"), f"The quantity of a {symbol} trade"),
        price=number(row.get("T. Price"), f"The price of a {symbol} trade"),
        commission=-number(_fee(row), f"The commission of a {symbol} trade"),
        realized=optional(row.get("Realized P/L"), f"The realized result of a {symbol} trade"),
    )


def _fee(row: Row) -> str | None:
    """The column is named after what it holds: Comm/Fee, or Comm in USD."""
    return next((row[name] for name in ("Comm/Fee", "Comm in USD", "Commission") if name in row), None)


def _is_money(row: Row) -> bool:
    return bool(row.get("Amount", "").strip()) and not row.get("Currency", "").startswith("Total")


def _is_stock(row: Row) -> bool:
    kind, currency = row.get("Asset Category", "Stocks"), row.get("Currency", "USD")
    return row.get("DataDiscriminator") == "Summary" and kind.startswith("Stocks") and currency == "USD"


def _cash(row: Row, section: str) -> StatementCash:
    return StatementCash(
        kind=section,
        text=row.get("Description", "")[:200],
        amount=number(row.get("Amount"), f"An amount of {section}"),
        currency=row.get("Currency", "")[:3],
        day=_CALENDAR.day(row.get("Date") or row.get("Settle Date")),
    )


def _position(row: Row, day: date | None) -> StatementPosition:
    symbol = symbol_of(row.get("Symbol"))
    return StatementPosition(symbol=symbol, quantity=number(row.get("Quantity"), f"The size of {symbol}"), day=day)


def _balances(sections: Sections, account: str, day: date | None) -> Iterator[StatementBalance]:
    for row in sections.get("Cash Report", []):
        what = row.get("Currency Summary", "").strip()
        if what == "Ending Cash" and row.get("Currency") == "USD" and _is_of(row, account):
            yield StatementBalance(amount=number(row.get("Total"), "The ending cash"), day=day)
