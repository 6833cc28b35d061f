"""Housekeeping that Celery beat asks for. Every task may run twice or not at all; each does nothing when nothing is due.

All of it may take long on years of data, so each is a long task: claimed by a row, with a limit of its own.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby

from celery import shared_task
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Trunc

from events.clock import utc_now
from events.exchange_time import EXCHANGE_ZONE, day_start, exchange_date
from events.long_tasks import long_task
from events.long_work import Work
from positions.cash_flows import flow_adjusted
from positions.domain.flow_adjusted import FlowAdjusted
from positions.domain.performance import deepest_falls
from positions.models import EquityPoint
from tradingsite import archive, backup, pulses, replay
from tradingsite.replay import KEPT_WHOLE

log = logging.getLogger(__name__)

# Points older than this are thinned to one each minute, hour, day.
AGES = {"minute": KEPT_WHOLE, "hour": timedelta(days=14), "day": timedelta(days=370)}
FINER = {"minute": ("tick",), "hour": ("tick", "minute"), "day": ("tick", "minute", "hour")}
CHUNK = 500
ONE_DAY = timedelta(days=1)


@long_task(name="thin-equity-points", limit=timedelta(minutes=20))
def thin_equity_points(work: Work) -> int:
    """Roll old equity points up. Returns how many went."""
    now = utc_now()
    return sum(thin(before=_start_of(resolution, now - age), resolution=resolution, step=work.step) for resolution, age in AGES.items())


def thin(*, before: datetime, resolution: str, step: Callable[[], None] = lambda: None) -> int:
    """Of all finer points before that time keep the last, the lowest, the highest and the deepest fall of each period and account:
    the curve passes only through true points, and its drawdown stays what it was. One account's day at a time, with a `step`
    after each, so that memory does not grow with what has piled up."""
    gone = 0
    for account in EquityPoint.objects.order_by().values_list("account", flat=True).distinct():
        adjusted = flow_adjusted(account)
        for finer in FINER[resolution]:
            points = EquityPoint.objects.filter(account=account, resolution=finer, at__lt=before)
            since = datetime.min.replace(tzinfo=UTC)
            while (oldest := points.filter(at__gte=since).order_by("at").values_list("at", flat=True).first()) is not None:
                since = day_start(exchange_date(oldest) + ONE_DAY)
                gone += _thin_stretch(account, _start_of("day", oldest), min(since, before), resolution, adjusted)
                step()
    return gone


def _thin_stretch(account: str, start: datetime, end: datetime, resolution: str, adjusted: FlowAdjusted) -> int:
    finer = EquityPoint.objects.filter(account=account, at__gte=start, at__lt=end, resolution__in=FINER[resolution]).order_by("at")
    keep: list[int] = []
    drop: list[int] = []
    rows = finer.annotate(period=Trunc("at", resolution, tzinfo=EXCHANGE_ZONE)).values_list("id", "at", "equity", "period")
    for _, period in groupby(rows, key=lambda row: (row[3], adjusted.number(row[1]))):
        points = [(key, at, float(equity)) for key, at, equity, _ in period]
        kept = _telling(points)
        for key, at, _ in points:
            (keep if at in kept else drop).append(key)
    for chunk in _chunks(drop):
        EquityPoint.objects.filter(id__in=chunk).delete()
    for chunk in _chunks(keep):
        EquityPoint.objects.filter(id__in=chunk).update(resolution=resolution)
    return len(drop)


def _telling(points: list[tuple[int, datetime, float]]) -> set[datetime]:
    """The times of the points of a period that its drawdown needs, and of its last one."""
    lowest, highest = min(points, key=lambda point: point[2]), max(points, key=lambda point: point[2])
    kept = {points[-1][1], lowest[1], highest[1]}
    falls = deepest_falls((at, equity) for _, at, equity in points)
    for fall in (falls.percent, falls.money) if falls is not None else ():
        if fall.size < 0:
            kept |= {fall.peak, fall.trough}
    return kept


def _start_of(period: str, at: datetime) -> datetime:
    """The period's beginning: a period is thinned only once it lies wholly behind us. Days are the exchange's, as ranges are."""
    if period == "day":
        return day_start(exchange_date(at))
    at = at.replace(second=0, microsecond=0)
    return at if period == "minute" else at.replace(minute=0)


def _chunks(keys: list[int]) -> list[list[int]]:
    """Short statements: no long lock beside the worker's writes, no limit of variables reached."""
    return [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]


@shared_task
def note_alive() -> None:
    """The sign of life that /readyz wants of the workers."""
    pulses.note(pulses.WORKERS)


@long_task(name="clear-expired-sessions", limit=timedelta(minutes=10))
def clear_expired_sessions(work: Work) -> None:
    call_command("clearsessions")


@long_task(name="optimize-database", limit=timedelta(minutes=10))
def optimize_database(work: Work) -> None:
    """SQLite's planner statistics; PostgreSQL keeps its own."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA optimize")


@long_task(name=backup.WORK, limit=backup.LIMIT, every=timedelta(hours=1))
def back_up_database(work: Work) -> str:
    """One copy each hour; the file's name, "" where there is none to make."""
    if connection.vendor != "sqlite":
        return ""
    try:
        work.outcome = backup.keep(utc_now(), step=work.step).name
    except backup.NoBackup as error:
        log.error("no backup: %s", error)
        return ""
    return work.outcome


@long_task(name=replay.WORK, limit=timedelta(minutes=5), every=timedelta(days=1))
def verify_journal(work: Work) -> bool:
    """Compare what came since the last night and a part of what is older; the overview shows when the two were last equal."""
    found = replay.advance(work.step)
    replay.remember(found)
    for difference in found.differences:
        log.error("the journal and the tables differ: %s", difference)
    work.outcome = f"{'equal' if found.equal else 'different'}: {found.scope}"
    return found.equal


@long_task(name=archive.WORK, limit=archive.LIMIT, every=timedelta(days=1))
def archive_old_rows(work: Work) -> dict[str, int]:
    """Move rows whose life is over to files. Returns how many of each table."""
    moved = archive.archive(work.step)
    work.outcome = archive.in_words(moved)
    return moved
