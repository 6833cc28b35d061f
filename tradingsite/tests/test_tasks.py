"""Housekeeping: thinning keeps true points, and running it again changes nothing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

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
    add("A", 0, 5, 55, 60, 119, 3600)
    assert thin(before=NOON + timedelta(hours=2), resolution="minute") == 3
    assert kept("A") == [(55, "minute"), (119, "minute"), (3600, "minute")]
    assert EquityPoint.objects.get(at=NOON + timedelta(seconds=55)).equity == 55


def test_accounts_are_thinned_each_for_itself_and_newer_points_are_left_alone() -> None:
    add("A", 0, 5, 100)
    add("B", 1, 6)
    thin(before=NOON + timedelta(seconds=60), resolution="minute")
    assert kept("A") == [(5, "minute"), (100, "tick")]
    assert kept("B") == [(6, "minute")]


def test_minutes_become_hours_and_hours_days() -> None:
    add("A", 0, 60, 3599, 3600, 7199, 90_000)
    thin(before=NOON + timedelta(days=3), resolution="hour")
    assert kept("A") == [(3599, "hour"), (7199, "hour"), (90_000, "hour")]
    thin(before=NOON + timedelta(days=3), resolution="day")
    assert kept("A") == [(7199, "day"), (90_000, "day")]


def test_thinning_again_changes_nothing() -> None:
    add("A", *range(0, 7200, 30))
    thin_equity_points()
    first = kept("A")
    assert thin_equity_points() == 0
    assert kept("A") == first


def test_every_scheduled_task_exists_and_a_backlog_expires() -> None:
    app.loader.import_default_modules()
    assert set(HOUSEKEEPING) <= set(app.conf.beat_schedule)
    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["expires"] > 0, name
