"""Every row of a file accounted for: compared, not comparable with the reason, or about another day with that day named. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from positions.statements.row_list import places
from positions.statements.statement import Lines, Statement

COMPARED, NOT_COMPARABLE, OTHER_DAY = "compared", "not_comparable", "other_day"
_ORDER = (COMPARED, OTHER_DAY, NOT_COMPARABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One row, or rows that make one figure, and what became of it; `about` is the reason or the day."""

    fate: str
    section: str
    about: str
    lines: Lines


def account_for(statement: Statement, day: date, compared: frozenset[int], *, balance: bool) -> list[dict[str, Any]]:
    """Groups of rows whose counts add up to the rows of the file. `balance` says whether the day's cash was compared."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for placed in _placed(statement, day, compared, balance):
        if placed.lines:
            groups.setdefault((placed.fate, placed.section, placed.about), []).extend(placed.lines)
    ordered = sorted(groups.items(), key=lambda group: (_ORDER.index(group[0][0]), min(group[1])))
    return [
        {"fate": fate, "section": section, "about": about, "count": len(lines), "lines": places(lines)}
        for (fate, section, about), lines in ordered
    ]


def _placed(statement: Statement, day: date, compared: frozenset[int], balance: bool) -> Iterator[Placed]:
    for trade in (*statement.trades, *statement.cancelled, *statement.cancels):
        mine = not compared.isdisjoint(trade.lines)
        fate = COMPARED if mine else OTHER_DAY
        yield Placed(fate=fate, section="Trades", about="" if mine and trade.day == day else trade.day.isoformat(), lines=trade.lines)
    for position in statement.positions:
        yield _dated("Open Positions", position.day, day, position.lines, "")
    for amount in statement.balances:
        yield _dated("Cash Report", amount.day, day, amount.lines, "" if balance else "our books have no cash of that day")
    for cash in statement.cash:
        yield _dated(cash.section, cash.day, day, cash.lines, "money that moved without an execution: shown with the cash")
    for action in statement.actions:
        yield _dated(action.section, action.day, day, action.lines, "shares that moved without a trade: shown beside differences")
    for left in statement.left_out:
        yield Placed(fate=NOT_COMPARABLE, section=left.section, about=left.reason, lines=left.lines)


def _dated(section: str, of: date | None, day: date, lines: Lines, reason: str) -> Placed:
    if of is not None and of != day:
        return Placed(fate=OTHER_DAY, section=section, about=of.isoformat(), lines=lines)
    if of is None and not reason:
        reason = "without a day"
    return Placed(fate=NOT_COMPARABLE if reason else COMPARED, section=section, about=reason, lines=lines)


def counted(groups: Iterable[dict[str, Any]], fate: str) -> int:
    return sum(group["count"] for group in groups if group["fate"] == fate)


def sentences(groups: list[dict[str, Any]], rows: int) -> Iterator[str]:
    """The same as text: the sum first, then each group with the places of its rows."""
    parts = [f"{counted(groups, COMPARED):,} compared", f"{counted(groups, OTHER_DAY):,} about other days"]
    yield f"{rows:,} rows in the file: {', '.join(parts)}, {counted(groups, NOT_COMPARABLE):,} not comparable"
    for group in groups:
        words = {COMPARED: "compared", OTHER_DAY: "about another day", NOT_COMPARABLE: "not comparable"}[group["fate"]]
        about = f" ({group['about']})" if group["about"] else ""
        yield f"  {words}{about}: {group['count']:,} of {group['section'] or 'no section'}, rows {group['lines']}"
