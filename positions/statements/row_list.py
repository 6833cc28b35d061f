"""Where every row of a file went while it was read: counted once each, and grouped by the reason why it is not compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from positions.statements.statement import MOST_ROWS, BadStatement, LeftOut, Lines

HEADING, TOTAL = "headings", "totals of other rows"
ABOUT_THE_FILE = "facts about the file itself"
NOTHING_LIKE_IT = "of a section that our books have nothing to compare with"
FINER = "told again in more detail by other rows"
KINDS = {
    "OPT": "options", "FOP": "options on futures", "FUT": "futures", "CASH": "currencies", "BOND": "bonds", "BILL": "bills",
    "WAR": "warrants", "FUND": "funds", "CFD": "contracts for difference", "CRYPTO": "crypto-currencies", "CMDTY": "commodities",
}  # fmt: skip


class RowList:
    """Counts the rows of a file and keeps those that are left out."""

    def __init__(self) -> None:
        self.count = 0
        self._left_out: dict[tuple[str, str], list[int]] = {}  # (section, reason) → lines

    def next(self) -> int:
        """The number of the next row, from 1. Raises BadStatement when the file has too many."""
        self.count += 1
        if self.count > MOST_ROWS:
            raise BadStatement(f"The file has more than {MOST_ROWS:,} rows. Ask IB for a shorter period.")
        return self.count

    def leave_out(self, section: str, reason: str, *lines: int) -> None:
        self._left_out.setdefault((section[:60], reason), []).extend(lines)

    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(LeftOut(section=section, reason=reason, lines=tuple(lines)) for (section, reason), lines in self._left_out.items())


def not_a_stock(kind: str, currency: str) -> str:
    """Why a row is not of a US-dollar stock."""
    return f"in {currency[:3]}, not in US dollars" if kind in ("STK", "Stocks") else f"{KINDS.get(kind, kind[:40])}, not stocks"


def places(lines: Lines | Iterable[int], most: int = 8) -> str:
    """Row numbers as people write them: "3–5, 9 and 12 more"."""
    ordered = sorted(set(lines))
    spans: list[list[int]] = []
    for line in ordered:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    words = ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in spans[:most])
    rest = sum(b - a + 1 for a, b in spans[most:])
    return f"{words} and {rest:,} more" if rest else words
