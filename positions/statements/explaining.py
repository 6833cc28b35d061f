"""What a file itself says of a difference: corporate actions and transfers beside shares, money without executions beside cash. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from positions.statements.statement import ZERO, Statement, StatementAction, StatementCash


def shares(statement: Statement, symbol: str, day: date) -> list[str]:
    """The corporate actions and transfers of the symbol until the day."""
    found = [a for a in statement.actions if symbol in a.symbols and (a.day is None or a.day <= day)]
    return [_moved(action) for action in found]


def all_shares_moved(statement: Statement, day: date) -> list[str]:
    """Every corporate action and transfer of the day."""
    return [_moved(action) for action in statement.actions if action.day in (day, None)]


def _moved(action: StatementAction) -> str:
    how_many = "" if action.quantity is None else f", {action.quantity.normalize():+,f} shares"
    return f"{action.kind}{_on(action.day)}: {action.text or 'no description'}{how_many}"


def cash(statement: Statement, day: date, difference: Decimal) -> list[str]:
    """The day's US-dollar money without an execution, and whether some of it is just the difference."""
    moved = [c for c in statement.cash if c.day in (day, None) and c.currency in ("USD", "")]
    lines = [f"{c.kind}: {c.text or 'no description'}, {c.amount:+,.2f} USD" for c in moved]
    if moved and _sum(moved) == difference:
        lines.append("together they are the difference")
    return lines


def _sum(moved: list[StatementCash]) -> Decimal:
    return round(sum((c.amount for c in moved), ZERO), 2)


def _on(day: date | None) -> str:
    return "" if day is None else f" on {day.isoformat()}"


def findings(rows: list[dict[str, Any]], positions: list[dict[str, Any]], balance: dict[str, Any] | None) -> list[str]:
    """A sentence for everything that differs; a comparison agrees if there is none."""
    found = [_execution(row) for row in rows if row["state"] != "match"]
    found += [
        f"differs: {row['symbol']} at the end of the day: ours {row['ours']:,.10g}, statement {row['theirs']:,.10g}.{_beside(row)}"
        for row in positions
        if not row["ok"]
    ]
    if balance is not None and balance["difference"]:
        ours, theirs, difference = (f"{balance[name]:,.2f}" for name in ("ours", "theirs", "difference"))
        figures = f"ours {ours}, statement {theirs}, difference {difference} USD"
        found.append(f"differs: cash at the end of the day: {figures}.{_beside(balance)}")
    return found


def _execution(row: dict[str, Any]) -> str:
    figures = [f"{c['name'].lower()} ours {c['ours'] or '–'}, statement {c['theirs'] or '–'}" for c in row["pairs"] if c["differs"]]
    said = f" ({'; '.join(figures)})" if row["state"] == "differs" and figures else ""
    of = f" of {row['day']}" if row.get("day") else ""
    lines = row.get("lines", "")
    place = f" {'Row' if lines.isdigit() else 'Rows'} {lines} of the file." if lines else ""
    return f"{row['state'].replace('_', ' ')}: {row['symbol']} {row['key']}{of}{said}. {row['cause']}{place}{_beside(row)}"


def _beside(row: dict[str, Any]) -> str:
    texts = row.get("because", ())
    return f" The file says: {'; '.join(texts)}." if texts else ""
