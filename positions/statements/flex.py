"""IB Flex Query statements (XML): Trades at execution level, CashTransactions, CashReport, OpenPositions, CorporateActions.

The file comes from outside: entities, document types and external references are refused by the parser, never expanded.
A period that is broken out by day is one FlexStatement for each day; several accounts are several, too. A row is an element
with attributes below a FlexStatement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain, islice
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from positions.statements.cancels import settle
from positions.statements.fields import account_among, number, symbol_of
from positions.statements.flex_trades import TradeReader, executions
from positions.statements.moments import Calendar
from positions.statements.row_list import ABOUT_THE_FILE, FINER, NOTHING_LIKE_IT, RowList, not_a_stock
from positions.statements.shares_moved import action
from positions.statements.statement import (
    ZERO,
    BadStatement,
    Lines,
    Statement,
    StatementAction,
    StatementBalance,
    StatementCash,
    StatementPosition,
)

_DATED = ("dateTime", "tradeDate", "reportDate", "date", "fromDate", "toDate")
_ABOUT = {"AccountInformation"}
_SECTIONS = {"OpenPositions": "Open Positions", "CashReport": "Cash Report", "CashTransactions": "Cash Transactions"}
_MOVES = {"CorporateActions": "Corporate Actions", "Transfers": "Transfers"}
_MOVE_KINDS = {
    "FS": "Forward split", "RS": "Reverse split", "SO": "Spin-off", "TC": "Merger", "TO": "Tender offer", "SD": "Stock dividend",
    "HD": "Choice of dividend", "RI": "Rights issue", "DW": "Delisting, worthless", "IC": "Change of identifier",
}  # fmt: skip
Row = tuple[int, Element]


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
    chosen = account_among([part.get("accountId", "").strip() for part in parts], account)
    return _Reader(parts, chosen).statement()


def _parsed(text: str) -> Element:
    try:
        root: Element = fromstring(text, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise BadStatement("The file defines entities or a document type. A Flex statement has none, so it is refused.") from None
    except (ParseError, ValueError) as error:
        raise BadStatement(f"The file is not well-formed XML: {str(error)[:120]}.") from None
    return root


class _Reader:
    def __init__(self, parts: Sequence[Element], account: str) -> None:
        self._rows = RowList()
        self._parts: list[tuple[Element, dict[str, list[Row]]]] = []  # the account's parts, with the rows of each section
        self._account = account
        for part in parts:
            self._sort(part)
        mine = [part for part, _ in self._parts]
        if not any(part.find("Trades") is not None for part in mine):
            raise BadStatement("The Flex Query has no Trades section. Add it, with the level of detail Execution.")
        # a query writes all its dates in one format: a look at the first ones spares the walk through the rest
        slashes = any("/" in text for text in islice(_dates(mine), 1000))
        self._calendar = Calendar(_dates(mine) if slashes else ())

    def _sort(self, part: Element) -> None:
        """Every row gets its number; those of other accounts are left out."""
        mine = part.get("accountId", "").strip() == self._account
        sections: dict[str, list[Row]] = {}
        for section in part:
            for element in section.iter():
                if not element.attrib:
                    continue
                line = self._rows.next()
                if not mine:
                    self._rows.leave_out(section.tag, "of another account", line)
                elif section.tag in _ABOUT:
                    self._rows.leave_out(section.tag, ABOUT_THE_FILE, line)
                else:
                    sections.setdefault(section.tag, []).append((line, element))
        if mine:
            self._parts.append((part, sections))

    def statement(self) -> Statement:
        bounds = [self._calendar.day(part.get(name)) for part, _ in self._parts for name in ("fromDate", "toDate")]
        days = [day for day in bounds if day is not None]
        first, last = min(days, default=None), max(days, default=None)
        stocks, skipped = self._stocks_among(executions(self._section("Trades"), self._rows), "Trades")
        reader = TradeReader(self._calendar, first, last)
        settled = settle([reader.trade(*row) for row in stocks], first)
        for row, known in settled.repeated:
            self._rows.leave_out("Trades", f"repeats row {known.lines[0]}", *row.lines)
        cash, actions = tuple(self._cash()), tuple(self._actions())
        positions, balances = self._positions(), tuple(self._balances())
        self._leave_the_rest()
        return Statement(
            source="flex",
            account=self._account[:32],
            first=first,
            last=last,
            trades=settled.trades,
            cancelled=settled.cancelled,
            cancels=settled.cancels,
            cash=cash,
            actions=actions,
            positions=positions,
            position_days=self._position_days(positions),
            balances=balances,
            left_out=self._rows.left_out(),
            notes=(*self._missing_sections(), *reader.notes([row for _, row in stocks])),
            skipped=skipped,
            rows=self._rows.count,
        )

    def _section(self, name: str) -> list[Row]:
        return [row for _, sections in self._parts for row in sections.get(name, ())]

    def _stocks_among(self, rows: Sequence[Row], section: str) -> tuple[list[Row], int]:
        stocks = []
        for line, row in rows:
            kind, currency = row.get("assetCategory") or "STK", row.get("currency") or "USD"
            if kind == "STK" and currency == "USD":
                stocks.append((line, row))
            else:
                self._rows.leave_out(section, not_a_stock(kind, currency), line)
        return stocks, len(rows) - len(stocks)

    def _finest(self, rows: Sequence[Row], level: str, section: str) -> list[Row]:
        """Where the same amounts are told at several levels of detail: the rows of `level`."""
        found = [row for row in rows if row[1].get("levelOfDetail") == level]
        if not found:
            return list(rows)
        kept = {line for line, _ in found}
        self._rows.leave_out(
            section, FINER if level == "DETAIL" else "parts of a row that is compared", *(n for n, _ in rows if n not in kept)
        )
        return found

    def _cash(self) -> Iterator[StatementCash]:
        for line, row in self._finest(self._section("CashTransactions"), "DETAIL", "Cash Transactions"):
            yield StatementCash(
                kind=row.get("type", "")[:60],
                text=row.get("description", "")[:200],
                amount=number(row.get("amount"), "The amount of a cash transaction"),
                currency=row.get("currency", "USD")[:3],
                day=self._calendar.day(row.get("reportDate") or row.get("dateTime")),
                section="Cash Transactions",
                lines=(line,),
            )

    def _actions(self) -> Iterator[StatementAction]:
        for tag, section in _MOVES.items():
            for line, row in self._section(tag):
                day = self._calendar.day(row.get("reportDate") or row.get("dateTime") or row.get("date"))
                kind = _MOVE_KINDS.get(row.get("type", ""), row.get("type") or section.removesuffix("s"))
                text = row.get("actionDescription") or row.get("description") or ""
                yield action(section, kind, text, row.get("symbol"), row.get("quantity"), day, line)

    def _positions(self) -> tuple[StatementPosition, ...]:
        """Shares by symbol and day; lots are added up where the query gives nothing else."""
        lines: dict[tuple[str, date | None], Lines] = {}
        held = dict.fromkeys(lines, ZERO)
        for part, sections in self._parts:
            stocks, _ = self._stocks_among(sections.get("OpenPositions", ()), "Open Positions")
            for line, row in self._finest(stocks, "SUMMARY", "Open Positions"):
                key = symbol_of(row.get("symbol")), self._calendar.day(row.get("reportDate") or part.get("toDate"))
                held[key] = held.get(key, ZERO) + number(row.get("position"), f"The size of {key[0]}")
                lines[key] = (*lines.get(key, ()), line)
        return tuple(
            StatementPosition(symbol=symbol, quantity=quantity, day=day, lines=lines[symbol, day])
            for (symbol, day), quantity in held.items()
        )

    def _position_days(self, positions: Sequence[StatementPosition]) -> frozenset[date]:
        listed = [part for part, _ in self._parts if part.find("OpenPositions") is not None]
        days = [*(self._calendar.day(part.get("toDate")) for part in listed), *(position.day for position in positions)]
        return frozenset(day for day in days if day is not None)

    def _balances(self) -> Iterator[StatementBalance]:
        for part, sections in self._parts:
            for line, row in sections.get("CashReport", ()):
                if row.get("currency") == "USD" and row.get("endingCash"):
                    day = self._calendar.day(row.get("toDate") or part.get("toDate"))
                    yield StatementBalance(amount=number(row.get("endingCash"), "The ending cash"), day=day, lines=(line,))
                else:
                    why = "without an ending cash" if row.get("currency") == "USD" else "not of US-dollar cash"
                    self._rows.leave_out("Cash Report", why, line)

    def _leave_the_rest(self) -> None:
        read = {"Trades", *_SECTIONS, *_MOVES}
        for _, sections in self._parts:
            for tag, rows in sections.items():
                if tag not in read:
                    self._rows.leave_out(tag, NOTHING_LIKE_IT, *(line for line, _ in rows))

    def _missing_sections(self) -> Iterator[str]:
        for tag, name in (*_SECTIONS.items(), ("CorporateActions", "Corporate Actions")):
            if all(part.find(tag) is None for part, _ in self._parts):
                yield f"The Flex Query has no {name} section: add it to have {_USES[tag]}."


_USES = {
    "OpenPositions": "the shares held at the end of the day compared",
    "CashReport": "the cash at the end of the day compared",
    "CashTransactions": "dividends, interest and fees shown beside a difference in cash",
    "CorporateActions": "splits and mergers shown beside the differences they explain",
}


def _dates(parts: Sequence[Element]) -> Iterator[str]:
    for element in chain.from_iterable(part.iter() for part in parts):
        yield from (element.get(name, "") for name in _DATED)
