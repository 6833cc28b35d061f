"""Closed positions as CSV (RFC 4180), streamed row by row from the same query as the pages.

Spreadsheets run cells that begin with = + - @ as formulas; text cells that could be taken for one get a leading
apostrophe. Numbers are written by us from Decimal columns and need none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from events.exchange_time import exchange_date
from positions.models import PositionRecord

COLUMNS = (
    "position_id", "symbol", "side", "quantity", "opened_utc", "closed_utc", "exchange_date", "entry_price", "exit_price",
    "commission", "realized_pnl_net", "risk_taken", "r_multiple", "mfe", "mae", "mfe_r", "mae_r",
    "strategy", "reason", "signal_id", "account",
)  # fmt: skip
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


class _Echo:
    """A file that hands back what is written to it, so that rows can be streamed."""

    def write(self, text: str) -> str:
        return text


def csv_lines(found: QuerySet[PositionRecord]) -> Iterator[str]:
    """The header, then one line for each position in the order they closed."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for record in found.order_by("close_time", "position_id").defer("data").iterator(chunk_size=500):
        yield writer.writerow(_cells(record))


def _cells(record: PositionRecord) -> list[Any]:
    return [
        text_cell(record.position_id),
        text_cell(record.symbol),
        "long" if record.direction > 0 else "short",
        number_cell(record.opened_quantity),
        record.open_time.isoformat() if record.open_time else "",
        record.close_time.isoformat() if record.close_time else "",
        exchange_date(record.close_time).isoformat() if record.close_time else "",
        number_cell(record.entry_price),
        number_cell(record.exit_price),
        number_cell(record.commission),
        number_cell(record.realized_pnl),
        number_cell(record.risk_taken),
        ratio_cell(record.r_multiple),
        number_cell(record.max_favorable),
        number_cell(record.max_adverse),
        ratio_cell(record.mfe_r),
        ratio_cell(record.mae_r),
        text_cell(record.strategy),
        text_cell(record.reason),
        text_cell(record.signal_id),
        text_cell(record.account),
    ]


def text_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def ratio_cell(value: float | None) -> str:
    """Empty where it is not known: no R is not zero R."""
    return "" if value is None else f"{value:.4f}"


def number_cell(value: Decimal | None) -> str:
    """A plain number as stored, without an exponent; empty when unknown."""
    return "" if value is None else f"{value:f}"
