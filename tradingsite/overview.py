"""What the overview shows before its first frame: equity today, what waits, what is held, what happened."""

from __future__ import annotations

from typing import Any

from events.clock import utc_now
from events.exchange_time import exchange_date
from events.models import EventRecord
from events.rows import tape_row, without_quiet
from positions.current import current_positions
from positions.curves import equity_curve
from positions.models import EquityPoint
from positions.shown_rows import shown_rows
from signals.models import SignalRecord

MOST_SIGNALS = 8
MOST_POSITIONS = 30
TAPE_ROWS = 40
CHART_POINTS = 1000


def first_picture(account: str) -> dict[str, Any]:
    """The template's context: rows as the live feed sends them, so that both are drawn alike."""
    now = utc_now()
    pending = SignalRecord.objects.filter(state=SignalRecord.State.PENDING, expires_at__gt=now)
    held = current_positions(account).order_by("symbol")
    return {
        "equity": EquityPoint.objects.filter(account=account).order_by("-at").first(),
        "pending": [record.as_row() for record in pending[:MOST_SIGNALS]],
        "positions_total": held.count(),
        "positions": shown_rows(held[:MOST_POSITIONS]),
        "tape": [tape_row(record.data, record.seq) for record in without_quiet(EventRecord.objects.all())[:TAPE_ROWS]],
    }


def todays_equity(account: str) -> dict[str, Any]:
    """Equity since exchange midnight in at most CHART_POINTS points; after a quiet day, the last day that has any, dated."""
    newest = EquityPoint.objects.filter(account=account).order_by("-at").first()
    if newest is None:
        return {"day": None, "today": True, "base": None, "points": []}
    day = exchange_date(newest.at)
    curve = equity_curve(account, first=day, last=day, points=CHART_POINTS)
    return {
        "day": day.isoformat(),
        "today": day == exchange_date(utc_now()),
        "base": float(newest.equity - newest.day_pnl),  # equity at the day's start: the line is green above it, red below
        "points": [[at, float(equity)] for at, equity in zip(curve.at, curve.equity, strict=True)],
    }
