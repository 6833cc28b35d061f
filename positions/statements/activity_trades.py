"""The Trades section of an activity statement: which rows are compared, and what one says."""

from __future__ import annotations

from datetime import date

from positions.statements.csv_rows import Row
from positions.statements.fields import number, optional, symbol_of
from positions.statements.moments import Calendar
from positions.statements.row_list import RowList
from positions.statements.statement import BadStatement, StatementTrade, trade_date_within

_EXECUTIONS, _ORDERS = ("Trade", "Execution"), ("Order",)
_FEES = ("Comm/Fee", "Comm in USD", "Commission")  # the column is named after what it holds
_NEEDED = {"Symbol": "the symbol", "Date/Time": "the time", "Quantity": "the quantity", "T. Price": "the price"}
_BOOKED = {"A": "assigned", "Ex": "exercised", "Ep": "expired", "GEA": "exercised or assigned"}


def trade_rows(rows: list[Row], row_list: RowList) -> list[Row]:
    """The executions, else the orders: told at both levels they would count twice."""
    kinds = {row.get("DataDiscriminator") for _, row in rows}
    if rows and kinds == {None}:
        raise BadStatement(
            "The Trades section has no column DataDiscriminator. Ask IB for the activity statement as CSV, not changed since."
        )
    wanted = _EXECUTIONS if kinds & set(_EXECUTIONS) else _ORDERS
    found = []
    for line, row in rows:
        kind = row.get("DataDiscriminator")
        if kind in wanted:
            found.append((line, row))
        else:
            row_list.leave_out(
                "Trades", "orders: their executions are compared" if kind in _ORDERS else "parts of a row that is compared", line
            )
    return found


class TradeReader:
    """Reads the trades of one file, whose period is `first` to `last`."""

    def __init__(self, calendar: Calendar, first: date | None, last: date | None) -> None:
        self._calendar = calendar
        self._first, self._last = first, last

    def trade(self, line: int, row: dict[str, str]) -> StatementTrade:
        """Raises BadStatement."""
        if not row.keys() >= _NEEDED.keys():
            name = next(name for name in _NEEDED if name not in row)
            raise _no_column(name, f"{_NEEDED[name]} of a trade")
        symbol = symbol_of(row["Symbol"])
        fee = next((row[name] for name in _FEES if name in row), None)
        if fee is None:
            raise _no_column("Comm/Fee", f"the commission of a {symbol} trade")
        at, of = self._calendar.moment(row["Date/Time"]), f"a {symbol} trade"
        codes = row.get("Code", "").replace(" ", "").split(";")
        return StatementTrade(
            exec_id="",
            symbol=symbol,
            day=trade_date_within(at, self._first, self._last),
            at=at,
            quantity=number(row["Quantity"], "The quantity", of),
            price=number(row["T. Price"], "The price", of),
            commission=-number(fee, "The commission", of),
            realized=optional(row.get("Realized P/L"), "The realized result", of),
            booked=next((_BOOKED[code] for code in codes if code in _BOOKED), ""),
            closes=";".join(code for code in ("C", "O") if code in codes),
            is_cancel="Ca" in codes,
            lines=(line,),
        )


def _no_column(name: str, what: str) -> BadStatement:
    return BadStatement(
        f"The Trades section has no column {name}, so {what} is not known. Ask IB for the activity statement as CSV, whole."
    )
