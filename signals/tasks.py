"""The periodic jobs of the signals app. Each may be lost, repeated or run twice at once without harm.

Nothing is carried in a task but a ticker: what is due, the rules and the watch list are read from the database at each run,
so an edit in the admin works from the next tick. Polls are handed out no faster than the request budget allows (see turns).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from celery import shared_task

from events.bus import EventBus
from events.clock import utc_now
from events.long_tasks import long_task
from events.long_work import Work
from signals import backfill, flow_link, flow_points, flow_watch, source_health, store, turns
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowBudgetSpent, FlowConfigError, FlowError, FlowUnauthorized
from signals.domain.judgement import Judgement
from signals.domain.limiter import CallClass
from signals.domain.monitor import OptionsFlowMonitor
from signals.domain.polling import MESSAGE_SECONDS, SourceState, TickerHealth
from signals.models import JobLease, SignalSettings, SourceHealth, WatchListEntry
from signals.session import market_open

log = logging.getLogger(__name__)

CLOSED_STATUS_SECONDS = 300
GAP_INTERVALS = 2
_one_context = Lock()


@shared_task
def poll_due() -> list[str]:
    """Start the polls that the request budget allows now, the longest unasked ticker first. Returns the tickers started."""
    now = utc_now()
    if not market_open(now) or source_health.load(source_health.API).state is SourceState.MISCONFIGURED:
        return []
    started = turns.take(now, tokens=flow_link.tokens(CallClass.STANDARD))
    for ticker in started:
        poll_ticker.apply_async((ticker,), expires=MESSAGE_SECONDS)
    return started


@shared_task
def poll_ticker(ticker: str) -> str:
    """Ask for the latest prediction of one ticker, store what it means, and keep the ticker's health."""
    entry = WatchListEntry.objects.filter(symbol=ticker, enabled=True).first()
    if entry is None:
        return "not watched any more"
    settings = SignalSettings.current()
    interval = store.poll_seconds(entry, settings)
    notes = _Notes()
    asked_at = utc_now()
    before = source_health.load(ticker)
    health = _poll(ticker, before, notes, entry, settings)
    for judgement in notes.kept:
        store.record(judgement, entry=entry, settings=settings, now=utc_now())
    source_health.save(ticker, health, **notes.detail)
    if notes.postponed:
        turns.give_back(ticker)
        return health.last_error
    turns.end(ticker, asked_at)
    _note_source(health, timedelta(seconds=interval), notes.stopped)
    if health.errors_in_row == 0 and _is_gap(before, interval):
        turns.note_gap(ticker, _milliseconds(before.last_success))
    return health.last_error or ", ".join(judgement.verdict for judgement in notes.kept)


class _Notes:
    """A ledger that only collects: the database is not touched from inside the event loop."""

    def __init__(self) -> None:
        self.kept: list[Judgement] = []
        self.stopped = ""
        self.postponed = False
        self.detail: dict[str, Any] = {}

    def keep(self, judgement: Judgement, event: object) -> bool:
        self.kept.append(judgement)
        return True


def _poll(ticker: str, health: TickerHealth, notes: _Notes, entry: WatchListEntry, settings: SignalSettings) -> TickerHealth:
    """Run the monitor once for one ticker, standing where the database says it stands."""
    run = store.load_run(ticker)
    rules = store.rules_for(entry, settings)
    known_new = health.last_new

    async def conversation(client: OptionsFlowClient) -> OptionsFlowMonitor:
        monitor = OptionsFlowMonitor(EventBus(), client, ledger=notes, poll_seconds=store.poll_seconds(entry, settings), rules=rules)
        monitor.health[ticker], monitor.runs[ticker] = _copy(health), run
        monitor.configure([ticker])
        await monitor._poll_predictions()
        return monitor

    try:
        monitor = flow_link.ask(conversation)
    except FlowConfigError as error:
        notes.stopped = str(error)
        return health
    notes.stopped, notes.postponed = monitor.stopped_because, ticker in monitor.postponed
    after = monitor.health[ticker]
    if notes.kept and notes.kept[0].prediction.timestamp <= run.newest:
        after.last_new = known_new
    return after


def _copy(health: TickerHealth) -> TickerHealth:
    return TickerHealth(**{name: getattr(health, name) for name in TickerHealth.__slots__})


def _is_gap(before: TickerHealth, interval: float) -> bool:
    return before.last_success is not None and utc_now() - before.last_success > GAP_INTERVALS * timedelta(seconds=interval)


def _milliseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0


def _note_source(ticker_health: TickerHealth, interval: timedelta, stopped: str) -> None:
    """Fold one ticker's poll into the health of the API itself."""
    health, now = source_health.load(source_health.API), utc_now()
    if stopped:
        health.misconfigured(stopped)
    elif ticker_health.errors_in_row == 0 or ticker_health.dropped:
        health.succeeded(now, new=False)
    elif ticker_health.state is not SourceState.MISCONFIGURED:
        health.failed(now, ticker_health.last_error, interval=interval)
    source_health.save(source_health.API, health)


@long_task(name="backfill", limit=timedelta(minutes=20))
def fill_gaps(work: Work) -> int:
    """Store what one ticker missed during a gap; it is never traded. Returns how many predictions were new.

    One ticker at a time on all hosts, the oldest gap first: after a night the whole list has one, and whoever waits for the
    budget of history here must not keep the threads from polling."""
    if (gap := turns.next_gap()) is None:
        return 0
    ticker, since_ms = gap
    try:
        new = backfill.run(ticker, since_ms, step=work.step)
    except FlowBudgetSpent:
        return 0  # it is still the oldest at the next tick
    except Exception:
        turns.gap_filled(ticker, since_ms)  # what cannot be fetched must not stand before the gaps of others
        raise
    turns.gap_filled(ticker, since_ms)
    return new


@shared_task
def poll_status() -> str:
    """Ask how the provider is: its clock against ours, its market, its tickers. Every 5 minutes while the market is closed."""
    now = utc_now()
    closed = not market_open(now)
    seconds = CLOSED_STATUS_SECONDS if closed else 60
    if not _first_in_slot("poll_status", int(now.timestamp()) // seconds):
        return "done by another scheduler"
    health = source_health.load(source_health.API)
    detail: dict[str, Any] = {"closed": closed}
    try:
        status = flow_link.ask(lambda client: client.status.get_status_async())
    except (FlowUnauthorized, FlowConfigError) as error:
        health.misconfigured(str(error))
    except FlowBudgetSpent:
        return "waiting for our own budget"
    except FlowError as error:
        health.failed(utc_now(), str(error), interval=timedelta(seconds=seconds))
    else:
        health.succeeded(utc_now(), new=False)
        detail |= flow_points.status_summary(status, utc_now())
    source_health.save(source_health.API, health, **detail)
    return health.last_error or "ok"


@shared_task
def refresh_tickers() -> int:
    """Note which tickers the provider has; a watched one that came back is polled again."""
    if not _first_in_slot("refresh_tickers", int(utc_now().timestamp()) // 3600):
        return 0
    try:
        data = flow_link.ask(lambda client: client.tickers.get_tickers_async())
    except FlowBudgetSpent:
        return 0
    except FlowError as error:
        log.warning("tickers not refreshed: %s", error)
        return 0
    tickers = flow_points.ticker_list(data)
    health = source_health.load(source_health.API)
    source_health.save(source_health.API, health, tickers=tickers[:500])
    offered = set(tickers)  # as long as the provider likes: no list to hand to the database
    for row in SourceHealth.objects.exclude(ticker=source_health.API):
        if row.ticker in offered and row.detail.get("dropped"):
            SourceHealth.objects.filter(pk=row.pk).update(detail=row.detail | {"dropped": False}, last_attempt=None)
    return len(tickers)


@shared_task
def refresh_flow_context(ticker: str) -> dict[str, int]:
    """Store the newest prints, divergence points and minute bars of a ticker that a person is looking at.
    One at a time in each process: whoever waits for budget here must not keep the threads from polling."""
    if not _one_context.acquire(blocking=False):
        return {}
    try:
        if not flow_watch.begin(ticker):
            return {}
        stored = flow_points.refresh(ticker)
        if stored:
            flow_watch.finish(ticker)
        return stored
    finally:
        _one_context.release()


@shared_task
def expire_signals() -> list[str]:
    """Expire the pending signals nobody decided on in time."""
    return [signal.signal_id for signal in store.expire_due(utc_now())]


@long_task(name="prune-flow", limit=timedelta(minutes=20))
def prune_flow(work: Work) -> int:
    """Forget option prints, divergence points and minute bars older than 30 days."""
    return flow_points.prune(utc_now() - timedelta(days=30), step=work.step)


def _first_in_slot(name: str, slot: int) -> bool:
    """Whether nobody ran this job in this slot of time yet; claims it."""
    JobLease.objects.get_or_create(name=name)
    return bool(JobLease.objects.filter(name=name, slot__lt=slot).update(slot=slot))
