"""Corporate actions and transfers, and the symbols that IB's descriptions name."""

from __future__ import annotations

import re
from datetime import date

from events.symbols import canonical_symbol, is_symbol
from positions.statements.fields import optional
from positions.statements.statement import StatementAction

_LEADING = re.compile(r"\s*([A-Za-z0-9./ -]{1,21}?)\s*\(")
_LAST = re.compile(r"\(([A-Za-z0-9./ -]{1,21}),[^()]*\)\s*$")


def symbols_in(text: str) -> frozenset[str]:
    """Of "AAPL(US0378331005) Split 4 for 1 (AAPL, APPLE INC, US0378331005)": what stands before, and the result of it."""
    found = [match[1] for match in (_LEADING.match(text), _LAST.search(text)) if match is not None]
    return frozenset(symbol for symbol in map(canonical_symbol, found) if is_symbol(symbol))


def action(section: str, kind: str, text: str, symbol: str | None, quantity: str | None, day: date | None, line: int) -> StatementAction:
    """Raises BadStatement when its quantity is not a number."""
    named = canonical_symbol(symbol or "")
    return StatementAction(
        kind=kind[:60],
        text=text[:200],
        symbols=symbols_in(text) | ({named} if is_symbol(named) else frozenset()),
        quantity=optional(quantity, "The quantity of a corporate action"),
        day=day,
        section=section,
        lines=(line,),
    )
