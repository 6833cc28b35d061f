"""Confidence buckets of closed positions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from events.clock import utc_now
from positions.models import PositionRecord
from signals.breakdowns import bucket, confidence_buckets
from signals.models import SignalRecord


@pytest.mark.parametrize(
    ("confidence", "label"),
    [(0.75, "75–80 %"), (0.7999, "75–80 %"), (0.8, "80–85 %"), (0.85, "85–90 %"), (0.95, "95–100 %"), (1.0, "95–100 %"), (0.0, "0–5 %")],
)
def test_a_bucket_includes_its_lower_edge(confidence: float, label: str) -> None:
    assert bucket(confidence) == label


@pytest.mark.django_db
@pytest.mark.parametrize("unknown", [0, 700])
def test_only_stored_signals_have_a_bucket_in_one_statement_however_many_are_asked_for(
    unknown: int, django_assert_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    now = utc_now()
    SignalRecord.objects.create(signal_id="known", symbol="AAPL", direction=1, confidence=0.91, price=1.0, created_at=now, expires_at=now)
    rows = [PositionRecord(position_id=f"p-{n}", signal_id=f"unknown-{n}", created_at=now, updated_at=now) for n in range(unknown)]
    PositionRecord.objects.bulk_create([*rows, PositionRecord(position_id="p", signal_id="known", created_at=now, updated_at=now)])
    with django_assert_num_queries(1):
        assert confidence_buckets(PositionRecord.objects.all()) == {"known": "90–95 %"}
