"""Which confidence bucket the signal behind a closed position was in. The money of a bucket is added up in positions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from positions.analytics import register_breakdown
from signals.models import SignalRecord

TITLE = "By signal confidence"
IDS_PER_QUERY = 500  # SQLite binds a limited number of parameters


def bucket(confidence: float) -> str:
    """Five-point buckets with their lower edge included: 0.75 is in "75–80 %"; 1.0 belongs to the last one."""
    low = min(95, int(confidence * 100 + 1e-9) // 5 * 5)
    return f"{low}–{low + 5} %"


def confidence_buckets(signal_ids: Collection[str]) -> Mapping[str, str]:
    """{signal id: bucket} of the signals that are stored."""
    found: dict[str, str] = {}
    ids = list(signal_ids)
    for start in range(0, len(ids), IDS_PER_QUERY):
        rows = (
            SignalRecord.objects.filter(signal_id__in=ids[start : start + IDS_PER_QUERY]).order_by().values_list("signal_id", "confidence")
        )
        found.update((signal_id, bucket(confidence)) for signal_id, confidence in rows)
    return found


def register() -> None:
    register_breakdown(TITLE, confidence_buckets)
