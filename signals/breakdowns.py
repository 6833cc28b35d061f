"""Which confidence bucket the signal behind a closed position was in. The money of a bucket is added up in positions."""

from __future__ import annotations

from django.db.models import F, OuterRef, Subquery
from django.db.models.expressions import Combinable

from positions.analytics import Breakdown, register_breakdown
from positions.exact_sql import WholePart
from signals.models import SignalRecord

TITLE = "By signal confidence"


def percent() -> Combinable:
    """The whole percent of confidence of a position's signal; nothing where no such signal is stored."""
    behind = SignalRecord.objects.filter(signal_id=OuterRef("signal_id")).order_by()
    return Subquery(behind.values(percent=WholePart(F("confidence") * 100 + 1e-9))[:1])


def bucket(whole_percent: int) -> str:
    """Five-point buckets with their lower edge included: 75 is in "75–80 %"; 100 belongs to the last one."""
    low = min(95, whole_percent // 5 * 5)
    return f"{low}–{low + 5} %"


def register() -> None:
    register_breakdown(TITLE, Breakdown(key=percent, label=bucket))
