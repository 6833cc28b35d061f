"""Housekeeping: thinning keeps true points, and running it again changes nothing."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from positions.curves import falls
from positions.domain.flow_adjusted import FlowAdjusted
from positions.domain.performance import Falls
from positions.models import EquityPoint
from tradingsite.celery import app
from tradingsite.schedule import HOUSEKEEPING
from tradingsite.tasks import thin, thin_equity_points

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def add(account: str, *seconds: float) -> None:
    for second in seconds:
        EquityPoint.objects.create(account=account, at=NOON + timedelta(seconds=second), equity=Decimal(str(second)), cash=0)


def kept(account: str) -> list[tuple[float, str]]:
    rows = EquityPoint.objects.filter(account=account).order_by("at")
    return [((row.at - NOON).total_seconds(), row.resolution) for row in rows]


def test_the_last_point_of_each_minute_stays_as_it_was() -> None:
    add("A", 0, 5, 55, 60, 90, 119, 3600)
    assert thin(before=NOON + timedelta(hours=2), resolution="minute") == 2
    assert kept("A") == [(second, "minute") for second in (0, 55, 60, 119, 3600)]  # its lowest too, here the first
    assert EquityPoint.objects.get(at=NOON + timedelta(seconds=55)).equity == 55


def test_accounts_are_thinned_each_for_itself_and_newer_points_are_left_alone() -> None:
    add("A", 0, 3, 5, 100)
    add("B", 1, 4, 6)
    thin(before=NOON + timedelta(seconds=60), resolution="minute")
    assert kept("A") == [(0, "minute"), (5, "minute"), (100, "tick")]
    assert kept("B") == [(1, "minute"), (6, "minute")]


def test_minutes_become_hours_and_hours_days() -> None:
    add("A", 0, 60, 3599, 3600, 7199, 90_000)
    thin(before=NOON + timedelta(days=3), resolution="hour")
    assert kept("A") == [(second, "hour") for second in (0, 3599, 3600, 7199, 90_000)]
    thin(before=NOON + timedelta(days=3), resolution="day")
    assert kept("A") == [(second, "day") for second in (0, 7199, 90_000)]


def test_thinning_again_changes_nothing() -> None:
    add("A", *range(0, 7200, 30))
    thin_equity_points()
    first = kept("A")
    assert thin_equity_points() == 0
    assert kept("A") == first


def test_thinning_keeps_the_drawdown_of_any_range_whatever_it_is_thinned_to() -> None:
    rng = random.Random(3)
    start, equity = NOON - timedelta(days=800), 100_000.0
    points = []
    for number in range(4000):
        equity *= 1 + rng.gauss(0, 0.004)
        points.append(EquityPoint(account="A", at=start + timedelta(minutes=17 * number), equity=Decimal(f"{equity:.4f}"), cash=0))
    EquityPoint.objects.bulk_create(points)

    def figures() -> list[Falls | None]:
        last = (start + timedelta(days=60)).date()
        return [falls("A", first=first, last=last, adjusted=FlowAdjusted()) for first in (None, last - timedelta(days=30))]

    before = figures()
    for resolution in ("minute", "hour", "day"):
        thin(before=NOON, resolution=resolution)
        assert figures() == before
    assert EquityPoint.objects.count() < 400


def test_every_scheduled_task_exists_and_a_backlog_expires() -> None:
    app.loader.import_default_modules()
    assert set(HOUSEKEEPING) <= set(app.conf.beat_schedule)
    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["expires"] > 0, name
