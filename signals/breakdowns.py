"""Which confidence bucket the signal behind a closed position was in. The money of a bucket is added up in positions."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import QuerySet

from positions.analytics import register_breakdown
from positions.models import PositionRecord
from signals.models import SignalRecord

TITLE = "By signal confidence"


def bucket(confidence: float) -> str:
    """Five-point buckets with their lower edge included: 0.75 is in "75–80 %"; 1.0 belongs to the last one."""
    low = min(95, int(confidence * 100 + 1e-9) // 5 * 5)
    return f"{low}–{low + 5} %"


def confidence_buckets(closed: QuerySet[PositionRecord]) -> Mapping[str, str]:
    """{signal id: bucket} of the stored signals behind those positions, in one statement however many there are."""
    behind = SignalRecord.objects.filter(signal_id__in=closed.order_by().values("signal_id"))
    return {signal_id: bucket(confidence) for signal_id, confidence in behind.order_by().values_list("signal_id", "confidence")}


def register() -> None:
    register_breakdown(TITLE, confidence_buckets)
