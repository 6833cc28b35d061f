"""The rows of a CSV statement by section, each with its number; what is no IB statement in sections is refused by what it is."""

from __future__ import annotations

import csv
import io

from positions.statements.row_list import HEADING, TOTAL, RowList
from positions.statements.statement import BadStatement

Row = tuple[int, dict[str, str]]
Sections = dict[str, list[Row]]

_FLEX = {"ClientAccountID", "BOF", "HEADER", "BOS"}


def sections_of(text: str, rows: RowList) -> Sections:
    """Data rows as column → cell; headings and totals are left out. Raises BadStatement."""
    _refuse_another_kind(text)
    found: Sections = {}
    headers: dict[str, list[str]] = {}
    try:
        for cells in csv.reader(io.StringIO(text)):
            if not cells:
                continue
            line, section, kind = rows.next(), cells[0], cells[1] if len(cells) > 1 else ""
            if kind == "Data" and section in headers:
                found.setdefault(section, []).append((line, dict(zip(headers[section], cells[2:], strict=False))))
            elif kind == "Header":
                headers[section] = cells[2:]
                rows.leave_out(section, HEADING, line)
                found.setdefault(section, [])
            else:
                rows.leave_out(section, TOTAL if kind in ("Total", "SubTotal") else "not rows of a known form", line)
    except csv.Error as error:
        raise BadStatement(f"The file is not readable as CSV: {str(error)[:120]}.") from None
    return found


def _refuse_another_kind(text: str) -> None:
    start = text.lstrip()[:400].partition("\n")[0].strip()
    if start.startswith(("Statement;", '"Statement";')) or start.count(";") > max(3, start.count(",")):
        raise BadStatement(
            "The columns of the file are set apart by semicolons: a spreadsheet saved it again, which may have changed its numbers. "
            "Give the file as IB wrote it."
        )
    if {cell.strip().strip('"') for cell in start.split(",")} & _FLEX:
        raise BadStatement(
            "The file is a Flex Query delivered as CSV. Set the format of the query to XML in the portal, run it again and give that file."
        )
