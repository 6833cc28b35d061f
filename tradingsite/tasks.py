"""Housekeeping that Celery beat asks for. Every task may run twice or not at all; each does nothing when nothing is due."""

import logging
from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.core.management import call_command
from django.db import connection
from django.db.models import Max
from django.db.models.functions import Trunc

from events.clock import utc_now
from positions.models import EquityPoint
from tradingsite import backup
from tradingsite.replay import KEPT_WHOLE, remember, verify

log = logging.getLogger(__name__)

# Points older than this are thinned to one each minute, hour, day.
AGES = {"minute": KEPT_WHOLE, "hour": timedelta(days=14), "day": timedelta(days=370)}
FINER = {"minute": ("tick",), "hour": ("tick", "minute"), "day": ("tick", "minute", "hour")}
CHUNK = 500


@shared_task
def thin_equity_points() -> int:
    """Roll old equity points up. Returns how many went."""
    now = utc_now()
    return sum(thin(before=_start_of(resolution, now - age), resolution=resolution) for resolution, age in AGES.items())


def thin(*, before: datetime, resolution: str) -> int:
    """Of all finer points before that time keep the last of each period and account: the curve passes only through true points."""
    finer = EquityPoint.objects.filter(at__lt=before, resolution__in=FINER[resolution])
    periods = finer.order_by().annotate(period=Trunc("at", resolution, tzinfo=UTC)).values("account", "period")
    last = set(periods.annotate(last=Max("at")).values_list("account", "last"))
    keep: list[int] = []
    drop: list[int] = []
    for key, account, at in finer.order_by().values_list("id", "account", "at"):
        (keep if (account, at) in last else drop).append(key)
    for chunk in _chunks(drop):
        EquityPoint.objects.filter(id__in=chunk).delete()
    for chunk in _chunks(keep):
        EquityPoint.objects.filter(id__in=chunk).update(resolution=resolution)
    return len(drop)


def _start_of(period: str, at: datetime) -> datetime:
    """The period's beginning: a period is thinned only once it lies wholly behind us."""
    at = at.replace(second=0, microsecond=0)
    if period == "minute":
        return at
    return at.replace(minute=0) if period == "hour" else at.replace(hour=0, minute=0)


def _chunks(keys: list[int]) -> list[list[int]]:
    """Short statements: no long lock beside the worker's writes, no limit of variables reached."""
    return [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]


@shared_task
def clear_expired_sessions() -> None:
    call_command("clearsessions")


@shared_task
def optimize_database() -> None:
    """SQLite's planner statistics; PostgreSQL keeps its own."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA optimize")


@shared_task(soft_time_limit=280, time_limit=300)
def back_up_database() -> str:
    """One copy each hour; the file's name, "" where there is none to make."""
    if connection.vendor != "sqlite":
        return ""
    try:
        return backup.keep(utc_now()).name
    except backup.NoBackup as error:
        log.error("no backup: %s", error)
        return ""


@shared_task(soft_time_limit=1500, time_limit=1600)
def verify_journal() -> bool:
    """Fold the whole journal and compare; the overview shows when the two were last equal."""
    replay = verify()
    remember(replay)
    for difference in replay.differences:
        log.error("the journal and the tables differ: %s", difference)
    return replay.equal
