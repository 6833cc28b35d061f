"""A broker's statement in our words, and the ways a file can fail to be one. Pure: no database, no wall clock.

Amounts are Decimal in the statement's currency; quantities are signed shares; a commission is a cost, positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

LARGEST = Decimal(10) ** 13
ZERO = Decimal(0)
MOST_ROWS = 50_000
STATEMENT_ZONE = ZoneInfo("America/New_York")  # statements print exchange time


class BadStatement(ValueError):
    """The file is refused; the text says why, for the person who gave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTrade:
    """One execution, or (exec_id "") one order as activity statements list them. `realized` is net of commissions.

    `commission` is None where it was charged in another currency than the trade's.
    """

    exec_id: str
    symbol: str
    day: date
    at: datetime
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    realized: Decimal | None
    currency: str = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementCash:
    """Money that moved without an execution: deposits, dividends, interest, fees."""

    kind: str
    text: str
    amount: Decimal
    currency: str
    day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPosition:
    """A holding at the end of `day`."""

    symbol: str
    quantity: Decimal
    day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementBalance:
    """US dollars at the end of `day`."""

    amount: Decimal
    day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Everything of a file that we compare, of one account. `skipped` counts trades that are not US-dollar stocks."""

    source: str
    account: str
    first: date | None
    last: date | None
    trades: tuple[StatementTrade, ...]
    cash: tuple[StatementCash, ...] = ()
    positions: tuple[StatementPosition, ...] = ()
    balances: tuple[StatementBalance, ...] = ()
    skipped: int = 0

    @property
    def days(self) -> list[date]:
        """The days it has trades of, else its own period's end."""
        found = sorted({trade.day for trade in self.trades})
        return found or [day for day in (self.last or self.first,) if day is not None]


def number(text: str | None, what: str) -> Decimal:
    """A finite amount; thousands separators are allowed. Raises BadStatement."""
    try:
        value = Decimal((text or "").strip().replace(",", ""))
    except InvalidOperation:
        raise BadStatement(f"{what} is not a number: {shown(text)}.") from None
    if not value.is_finite() or abs(value) > LARGEST:
        raise BadStatement(f"{what} is not a number that can be true: {shown(text)}.")
    return value


def optional(text: str | None, what: str) -> Decimal | None:
    return None if text is None or text.strip() in ("", "--", "-") else number(text, what)


def symbol_of(text: str | None) -> str:
    symbol = (text or "").strip().upper()
    if not symbol or len(symbol) > 21 or not symbol.isprintable():
        raise BadStatement(f"A trade has no usable symbol: {shown(text)}.")
    return symbol


def account_among(found: list[str], wanted: str) -> str:
    """The account to read of a file that may hold several. Raises BadStatement when it is not clear which."""
    accounts = list(dict.fromkeys(found))
    if len(accounts) > 1 and wanted not in accounts:
        raise BadStatement(f"The file holds {len(accounts)} accounts and none of them is the one traded here.")
    return wanted if wanted in accounts else accounts[0] if accounts else ""


def shown(text: str | None) -> str:
    """What the file says, short and printable."""
    return repr((text or "")[:40])
