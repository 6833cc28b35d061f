"""IB activity statements (CSV): one file of many sections, each row "Section,Header|Data|SubTotal|Total,…".

They carry no execution ids: a row is an order's total (DataDiscriminator Order) or an execution (Trade, Execution); closed lots
repeat what the others say. A section may change its columns half-way, and sections that would be empty are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from positions.statements.activity_trades import TradeReader, trade_rows
from positions.statements.cancels import settle
from positions.statements.csv_rows import Row, Sections, sections_of
from positions.statements.fields import account_among, number, symbol_of
from positions.statements.moments import Calendar
from positions.statements.row_list import ABOUT_THE_FILE, NOTHING_LIKE_IT, TOTAL, RowList, not_a_stock
from positions.statements.shares_moved import action
from positions.statements.statement import BadStatement, Statement, StatementAction, StatementBalance, StatementCash, StatementPosition

_CASH_SECTIONS = (
    "Deposits & Withdrawals",
    "Dividends",
    "Payment In Lieu Of Dividends",
    "Interest",
    "Fees",
    "Other Fees",
    "Withholding Tax",
)
_MOVES = ("Corporate Actions", "Transfers")
_ABOUT = ("Statement", "Account Information", "Codes", "Financial Instrument Information", "Notes/Legal Notes")
_NEEDS = {
    "Open Positions": "comparing the shares held at the end of the day",
    "Cash Report": "comparing the cash at the end of the day",
}
_CALENDAR = Calendar(())  # its dates never have slashes


def read_activity(text: str, account: str = "") -> Statement:
    """The statement of `account`, or of the only one. Raises BadStatement."""
    row_list = RowList()
    sections = sections_of(text, row_list)
    facts = _facts(sections)
    _refuse_another_kind(sections, facts)
    chosen = account_among(_accounts(sections, facts), account)
    return _Reader(sections, row_list, chosen, *_period(facts["Period"])).statement()


def _refuse_another_kind(sections: Sections, facts: dict[str, str]) -> None:
    title = facts.get("Title", "Activity").lower()
    if "Transaction History" in sections or "transaction history" in title:
        raise BadStatement(
            "The file is a Transaction History: it has days but no times, and no executions. "
            "Ask IB for the activity statement as CSV, or for an Activity Flex Query as XML."
        )
    if "activity" not in title or not facts.get("Period"):
        raise BadStatement("The file is not an IB activity statement in English: choose that language, and the format CSV, in the portal.")


def _facts(sections: Sections) -> dict[str, str]:
    rows = [*sections.get("Statement", []), *sections.get("Account Information", [])]
    return {row.get("Field Name", ""): row.get("Field Value", "") for _, row in rows}


def _accounts(sections: Sections, facts: dict[str, str]) -> list[str]:
    """A consolidated statement names the account in every row."""
    named = [row["Account"].strip() for rows in sections.values() for _, row in rows if row.get("Account", "").strip()]
    return named or [facts.get("Account", "").strip().split(" ")[0]]


def _period(text: str) -> tuple[date | None, date | None]:
    days = [_CALENDAR.day(part) for part in text.split(" - ")]
    return days[0], days[-1]


class _Reader:
    def __init__(self, sections: Sections, row_list: RowList, account: str, first: date | None, last: date | None) -> None:
        self._row_list, self._account = row_list, account
        self._first, self._last = first, last
        self._sections = {name: list(self._mine(name, rows)) for name, rows in sections.items() if name not in _ABOUT}
        for name in _ABOUT:
            row_list.leave_out(name, ABOUT_THE_FILE, *(line for line, _ in sections.get(name, ())))

    def _mine(self, name: str, rows: list[Row]) -> Iterator[Row]:
        for line, row in rows:
            if row.get("Account", "").strip() in ("", self._account):
                yield line, row
            else:
                self._row_list.leave_out(name, "of another account", line)

    def statement(self) -> Statement:
        rows = trade_rows(self._sections.get("Trades", []), self._row_list)
        stocks = self._stocks_among(rows, "Trades")
        reader = TradeReader(_CALENDAR, self._first, self._last)
        settled = settle([reader.trade(*row) for row in stocks], self._first)
        cash, actions = tuple(self._cash()), tuple(self._actions())
        positions, balances = tuple(self._positions()), tuple(self._balances())
        read = {"Trades", "Open Positions", "Cash Report", *_CASH_SECTIONS, *_MOVES}
        for name, others in self._sections.items():
            if name not in read:
                self._row_list.leave_out(name, NOTHING_LIKE_IT, *(line for line, _ in others))
        return Statement(
            source="activity",
            account=self._account[:32],
            first=self._first,
            last=self._last,
            trades=settled.trades,
            cancelled=settled.cancelled,
            cancels=settled.cancels,
            cash=cash,
            actions=actions,
            positions=positions,
            position_days=frozenset([self._last] if self._last is not None and "Open Positions" in self._sections else []),
            balances=balances,
            left_out=self._row_list.left_out(),
            notes=tuple(
                f"The statement has no {name} section: {use} needs it." for name, use in _NEEDS.items() if name not in self._sections
            ),
            skipped=len(rows) - len(stocks),
            rows=self._row_list.count,
        )

    def _stocks_among(self, rows: list[Row], section: str) -> list[Row]:
        stocks = []
        for line, row in rows:
            kind, currency = row.get("Asset Category", "Stocks"), row.get("Currency", "USD")
            if kind.startswith("Stocks") and currency == "USD":
                stocks.append((line, row))
            else:
                self._row_list.leave_out(section, not_a_stock("Stocks" if kind.startswith("Stocks") else kind, currency), line)
        return stocks

    def _cash(self) -> Iterator[StatementCash]:
        for section in _CASH_SECTIONS:
            for line, row in self._sections.get(section, ()):
                if row.get("Currency", "").startswith("Total") or not row.get("Amount", "").strip():
                    self._row_list.leave_out(section, TOTAL, line)
                    continue
                yield StatementCash(
                    kind=section,
                    text=row.get("Description", "")[:200],
                    amount=number(row.get("Amount"), f"An amount of {section}"),
                    currency=row.get("Currency", "")[:3],
                    day=_CALENDAR.day(row.get("Date") or row.get("Settle Date")),
                    section=section,
                    lines=(line,),
                )

    def _actions(self) -> Iterator[StatementAction]:
        for section in _MOVES:
            for line, row in self._sections.get(section, ()):
                if row.get("Asset Category", "").startswith("Total") or row.get("Currency", "").startswith("Total"):
                    self._row_list.leave_out(section, TOTAL, line)
                    continue
                day = _CALENDAR.day(row.get("Report Date") or row.get("Date/Time") or row.get("Date"))
                text = row.get("Description") or f"{row.get('Type', '')} {row.get('Direction', '')}".strip()
                quantity = row.get("Quantity") or row.get("Qty")
                yield action(section, section.removesuffix("s"), text, row.get("Symbol"), quantity, day, line)

    def _positions(self) -> Iterator[StatementPosition]:
        rows = []
        for line, row in self._sections.get("Open Positions", ()):
            if row.get("DataDiscriminator") == "Summary":
                rows.append((line, row))
            else:
                self._row_list.leave_out("Open Positions", "parts of a row that is compared", line)
        for line, row in self._stocks_among(rows, "Open Positions"):
            symbol = symbol_of(row.get("Symbol"))
            quantity = number(row.get("Quantity"), f"The size of {symbol}")
            yield StatementPosition(symbol=symbol, quantity=quantity, day=self._last, lines=(line,))

    def _balances(self) -> Iterator[StatementBalance]:
        for line, row in self._sections.get("Cash Report", ()):
            if row.get("Currency Summary", "").strip() == "Ending Cash" and row.get("Currency") == "USD":
                yield StatementBalance(amount=number(row.get("Total"), "The ending cash"), day=self._last, lines=(line,))
            else:
                self._row_list.leave_out("Cash Report", "not the US-dollar cash at the end", line)
