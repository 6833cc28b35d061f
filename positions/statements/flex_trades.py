"""The Trades section of a Flex Query: which rows are executions, and what one says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from xml.etree.ElementTree import Element

from positions.statements.fields import number, optional, symbol_of
from positions.statements.moments import Calendar
from positions.statements.row_list import TOTAL, RowList
from positions.statements.statement import BadStatement, StatementTrade, trade_date_within

Row = tuple[int, Element]

_CANCELLED = ("TradeCancel",)
_BOOKED = ("BookTrade",)
_CODES = {"A": "assigned", "Ex": "exercised", "Ep": "expired", "GEA": "exercised or assigned", "CA": "a corporate action"}
_OTHER_LEVELS = {"Order": "orders: their executions are compared", "Lot": "closed lots: parts of what the executions say"}
_NEEDED = {
    "symbol": ("Symbol", "the symbol"),
    "quantity": ("Quantity", "the quantity"),
    "tradePrice": ("TradePrice", "the price"),
    "ibCommission": ("IBCommission", "the commission"),
}


def executions(rows: Sequence[Row], row_list: RowList) -> list[Row]:
    """The rows at execution level; the others are left out. Raises BadStatement when the query gives none, or no ids."""
    found = []
    for line, row in rows:
        if row.tag == "Trade" and row.get("levelOfDetail", "EXECUTION") == "EXECUTION":
            found.append((line, row))
        else:
            row_list.leave_out("Trades", _OTHER_LEVELS.get(row.tag, TOTAL), line)
    if rows and not found:
        raise BadStatement("The file lists orders, not executions. Choose the level of detail Execution in the Flex Query.")
    with_id = any(row.get("ibExecID", "").strip() for _, row in found)
    if not with_id and any(not _booking(row) and not _is_cancel(row) for _, row in found):
        raise BadStatement("A trade has no IB execution id (ibExecID). Add that field to the Flex Query.")
    return found


class TradeReader:
    """Reads the executions of one file, whose period is `first` to `last`."""

    def __init__(self, calendar: Calendar, first: date | None, last: date | None) -> None:
        self._calendar = calendar
        self._first, self._last = first, last

    def trade(self, line: int, row: Element) -> StatementTrade:
        """Raises BadStatement."""
        exec_id = _exec_id(row)
        written = [row.get(name) for name in _NEEDED]
        if None in written:
            name, (field, what) = list(_NEEDED.items())[written.index(None)]
            raise BadStatement(f"The Flex Query lacks the field {field} ({name}) of Trades, so {what} of {exec_id} is not known. Add it.")
        at = self._calendar.moment(row.get("dateTime") or f"{row.get('tradeDate', '')} {row.get('tradeTime', '')}")
        currency = row.get("currency") or "USD"
        own = row.get("ibCommissionCurrency") or currency
        fee = -number(row.get("ibCommission"), "The commission", exec_id) if own == currency else None
        is_cancel = _is_cancel(row)
        return StatementTrade(
            exec_id="" if is_cancel and not row.get("ibExecID", "").strip() else exec_id,
            symbol=symbol_of(row.get("symbol")),
            day=self._calendar.day(row.get("tradeDate")) or trade_date_within(at, self._first, self._last),
            at=at,
            quantity=_signed(row, exec_id),
            price=number(row.get("tradePrice"), "The price", exec_id),
            commission=fee,
            realized=optional(row.get("fifoPnlRealized"), "The realized result", exec_id),
            currency=currency[:3],
            report_day=self._calendar.day(row.get("reportDate")),
            booked=_booking(row),
            closes=_closes(row.get("openCloseIndicator", "")),
            is_cancel=is_cancel,
            trade_id=_id(row, "tradeID"),
            transaction_id=_id(row, "transactionID"),
            original_trade_id=_id(row, "origTradeID"),
            original_transaction_id=_id(row, "origTransactionID"),
            lines=(line,),
        )

    @staticmethod
    def notes(rows: Sequence[Element]) -> Iterator[str]:
        """What the query does not ask for, though the comparison would use it."""
        if rows and all(row.get("fifoPnlRealized") is None for row in rows):
            yield "The Flex Query lacks the field FifoPnlRealized of Trades: realized results were not compared. Add it."
        if rows and all(row.get("assetCategory") is None for row in rows):
            yield "The Flex Query lacks the field AssetClass of Trades: every row was taken for a stock. Add it."


@lru_cache(maxsize=64)
def _closes(indicator: str) -> str:
    """IB's mark for opening and closing, in whatever words, as "O", "C", "C;O" or ""."""
    words = {word.strip().upper() for word in indicator.replace(",", ";").split(";")}
    return ";".join(word for word in ("C", "O") if word in words or (word == "C" and "CLOSE" in words) or (word == "O" and "OPEN" in words))


def _id(row: Element, name: str) -> str:
    value = row.get(name, "").strip()
    return "" if value == "0" else value


def _notes(row: Element) -> list[str]:
    notes = row.get("notes")
    return [note.strip() for note in notes.replace(",", ";").split(";")] if notes else []


def _is_cancel(row: Element) -> bool:
    return row.get("transactionType") in _CANCELLED or "(Ca." in row.get("buySell", "") or "Ca" in _notes(row)


def _booking(row: Element) -> str:
    """How IB made it without an execution; "" for what was executed."""
    if row.get("ibExecID", "").strip():
        return ""
    word = next((_CODES[note] for note in _notes(row) if note in _CODES), "")
    return word or ("booked" if row.get("transactionType") in _BOOKED else "")


def _exec_id(row: Element) -> str:
    """IB's id; what was booked without an execution (an assignment, a fraction) has none and keeps the name of its booking."""
    exec_id = (row.get("ibExecID") or "").strip() or f"{row.get('transactionType', 'booked')} {row.get('tradeID', '')}".strip()
    if len(exec_id) > 64 or not exec_id.isprintable():
        raise BadStatement("A trade has no usable IB execution id (ibExecID).")
    return exec_id


def _signed(row: Element, exec_id: str) -> Decimal:
    """Sold shares are negative; a cancellation reverses the side it names."""
    quantity = number(row.get("quantity"), "The quantity", exec_id)
    side = row.get("buySell", "")
    if "(Ca." in side:
        return abs(quantity) if side.startswith("SELL") else -abs(quantity)
    if _is_cancel(row):
        return quantity
    return -abs(quantity) if side.startswith("SELL") else quantity
