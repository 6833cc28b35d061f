"""The queue of the watch list in the database: whose turn it is, polls handed out and ended, history that is to be fetched.

A poll is claimed by a conditional UPDATE of the ticker's row, so two schedulers hand it out once. Its claim ends with the poll, or lapses.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from signals.domain.polling import CLAIM_SECONDS, SourceState, Turn, hand_out
from signals.models import SignalSettings, SourceHealth, WatchListEntry

RETRY_UNKNOWN = timedelta(hours=1)
_COLUMNS = ("ticker", "state", "last_attempt", "last_success", "claimed_at", "errors_in_row", "detail__dropped")


def queue(now: datetime) -> list[Turn]:
    """Every watched ticker, in the list's order. Every page asks for it: plain values, two queries, however long the list is."""
    default = SignalSettings.current().poll_seconds
    watched = WatchListEntry.objects.filter(enabled=True)
    rows = SourceHealth.objects.filter(ticker__in=watched.order_by().values("symbol"))
    known = {values[0]: values for values in rows.values_list(*_COLUMNS)}
    entries = watched.values_list("symbol", "poll_seconds", "added_at")
    return [_turn(symbol, seconds or default, added_at, known.get(symbol), now) for symbol, seconds, added_at in entries]


def _turn(symbol: str, interval: int, added_at: datetime, known: tuple[Any, ...] | None, now: datetime) -> Turn:
    if known is None:
        return Turn(ticker=symbol, interval=interval, added_at=added_at.timestamp())
    _, state, last_attempt, last_success, claimed_at, errors, dropped = known
    return Turn(
        ticker=symbol,
        interval=interval,
        added_at=added_at.timestamp(),
        last_attempt=_epoch(last_attempt),
        last_success=_epoch(last_success),
        claimed_at=_epoch(claimed_at),
        errors=0 if state == SourceState.MISCONFIGURED else errors,  # what only a person can mend is not hurried
        left_out=bool(dropped) and last_attempt is not None and now - last_attempt < RETRY_UNKNOWN,
    )


def _epoch(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def take(now: datetime, *, tokens: float) -> list[str]:
    """Claim the polls that may leave now, and return their tickers, the longest unasked first."""
    chosen = hand_out(queue(now), now=now.timestamp(), tokens=tokens)
    return [turn.ticker for turn in chosen if claim(turn.ticker, now)]


def claim(ticker: str, now: datetime) -> bool:
    """Whether this poll is ours: nobody else has it."""
    SourceHealth.objects.get_or_create(ticker=ticker)
    free = Q(claimed_at=None) | Q(claimed_at__lte=now - timedelta(seconds=CLAIM_SECONDS))
    return bool(SourceHealth.objects.filter(free, ticker=ticker).update(claimed_at=now))


def end(ticker: str, asked_at: datetime) -> None:
    """The poll took place, well or badly: the ticker goes to the end of the queue."""
    SourceHealth.objects.filter(ticker=ticker).update(last_attempt=asked_at, claimed_at=None)


def give_back(ticker: str) -> None:
    """Nothing was asked: the ticker keeps its place."""
    SourceHealth.objects.filter(ticker=ticker).update(claimed_at=None)


def note_gap(ticker: str, since_ms: int) -> None:
    """Have the predictions after `since_ms` fetched; the beginning of an older gap that still waits stays."""
    SourceHealth.objects.filter(ticker=ticker, gap_since=None).update(gap_since=since_ms)


def next_gap() -> tuple[str, int] | None:
    """(ticker, epoch milliseconds) of the gap that began first."""
    row = SourceHealth.objects.filter(gap_since__isnull=False).order_by("gap_since", "ticker").first()
    return (row.ticker, row.gap_since) if row is not None and row.gap_since is not None else None


def gap_filled(ticker: str, since_ms: int) -> None:
    SourceHealth.objects.filter(ticker=ticker, gap_since=since_ms).update(gap_since=None)
