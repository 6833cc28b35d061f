"""Confidence buckets of closed positions."""

from __future__ import annotations

import pytest

from events.clock import utc_now
from signals.breakdowns import bucket, confidence_buckets
from signals.models import SignalRecord


@pytest.mark.parametrize(
    ("confidence", "label"),
    [(0.75, "75–80 %"), (0.7999, "75–80 %"), (0.8, "80–85 %"), (0.85, "85–90 %"), (0.95, "95–100 %"), (1.0, "95–100 %"), (0.0, "0–5 %")],
)
def test_a_bucket_includes_its_lower_edge(confidence: float, label: str) -> None:
    assert bucket(confidence) == label


@pytest.mark.django_db
def test_only_stored_signals_have_a_bucket_however_many_are_asked_for() -> None:
    now = utc_now()
    SignalRecord.objects.create(signal_id="known", symbol="AAPL", direction=1, confidence=0.91, price=1.0, created_at=now, expires_at=now)
    assert confidence_buckets({"known", *(f"unknown-{n}" for n in range(1200))}) == {"known": "90–95 %"}
