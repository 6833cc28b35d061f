"""Confidence buckets of closed positions."""

from __future__ import annotations

import pytest

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from positions.analytics import totals_by
from positions.models import PositionRecord
from signals.breakdowns import bucket, percent
from signals.models import SignalRecord

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("confidence", "label"),
    [(0.75, "75–80 %"), (0.7999, "75–80 %"), (0.8, "80–85 %"), (0.85, "85–90 %"), (0.95, "95–100 %"), (1.0, "95–100 %"), (0.0, "0–5 %")],
)
def test_a_bucket_includes_its_lower_edge(confidence: float, label: str) -> None:
    position(signal(confidence))
    [whole] = totals_by(PositionRecord.objects.all(), percent())
    assert bucket(whole) == label


def test_positions_of_no_stored_signal_are_in_no_bucket() -> None:
    for signal_id in ("", "unknown", "unknown", signal(0.91)):
        position(signal_id)
    counts = {key: totals.count for key, totals in totals_by(PositionRecord.objects.all(), percent()).items()}
    assert counts == {None: 3, 91: 1}


def signal(confidence: float) -> str:
    now = utc_now()
    row = {"symbol": "AAPL", "direction": 1, "price": 1.0, "created_at": now, "expires_at": now}
    return SignalRecord.objects.create(signal_id="known", confidence=confidence, **row).signal_id


def position(signal_id: str) -> None:
    now = utc_now()
    name = f"p-{PositionRecord.objects.count()}"
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT, position_id=name, signal_id=signal_id, symbol="AAPL", created_at=now, updated_at=now
    )
