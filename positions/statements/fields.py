"""Single fields of a statement file: amounts, symbols and account numbers, each read or refused in a sentence. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from events.symbols import canonical_symbol
from positions.statements.statement import BadStatement

LARGEST = Decimal(10) ** 13
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[\d.'\s\u00a0\u202f]*,\d*")
_MASKED = re.compile(r"[*•]|X{3,}")


def number(text: str | None, what: str, of: str = "") -> Decimal:
    """A finite amount; thousands may be set apart by commas, as IB does. Raises BadStatement, naming `what` (of `of`)."""
    value = _amount(text or "")
    if value is not None:
        return value
    what, words = f"{what} of {of}" if of else what, (text or "").strip()
    if _DECIMAL_COMMA.fullmatch(words) is not None:
        raise BadStatement(
            f"{what} is written with a decimal comma: {shown(text)}. Give the file as IB wrote it, not saved again by a spreadsheet."
        )
    try:
        Decimal(words)
    except InvalidOperation:
        raise BadStatement(f"{what} is not a number: {shown(text)}.") from None
    raise BadStatement(f"{what} is not a number that can be true: {shown(text)}.")


@lru_cache(maxsize=16_384)  # a file says the same sizes, prices and fees again and again
def _amount(text: str) -> Decimal | None:
    words = text.strip()
    if _PLAIN.fullmatch(words) is None:
        if _GROUPED.fullmatch(words) is None:
            return None
        words = words.replace(",", "")
    value = Decimal(words)
    return value if abs(value) <= LARGEST else None


def optional(text: str | None, what: str, of: str = "") -> Decimal | None:
    return None if text is None or text.strip() in ("", "--", "-") else number(text, what, of)


@lru_cache(maxsize=4096)
def symbol_of(text: str | None) -> str:
    """The one spelling of the symbol. Raises BadStatement."""
    symbol = canonical_symbol(text or "")
    if not symbol or len(symbol) > 21 or not symbol.isprintable():
        raise BadStatement(f"A trade has no usable symbol: {shown(text)}.")
    return symbol


def account_among(found: list[str], wanted: str) -> str:
    """The account to read of a file that may hold several. Raises BadStatement when it is not clear which."""
    accounts = [account for account in dict.fromkeys(found) if account]
    if not accounts:
        raise BadStatement(
            "The file does not say of which account it is. "
            "Ask IB for the statement with its Account Information, or with the account in the query."
        )
    if wanted in accounts:
        return wanted
    masked = next((account for account in accounts if _MASKED.search(account)), None)
    if masked is not None:
        raise BadStatement(
            f"The file hides its account number ({masked[:16]}), so it may be of another account than the one traded here. "
            "Ask IB for the statement with the account number shown."
        )
    if len(accounts) > 1:
        raise BadStatement(f"The file holds {len(accounts)} accounts and none of them is the one traded here.")
    return accounts[0]


def shown(text: str | None) -> str:
    """What the file says, short and printable."""
    return repr((text or "")[:40])
