"""What the account was worth at a past moment by what is known of it now: executions learned late, corrected and busted since.

An equity point says what was known when it was stored. A sale of yesterday that is learned today must not make yesterday's
open profit today's loss, so what has changed since in the positions concerned is added to the point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from events.order import OrderSide
from positions.domain.holding import LedgerEntry, fold
from positions.domain.pricing import signed
from positions.models import EquityPoint, FillRecord, MinuteBar, PositionRecord
from positions.store_growing import entries_of

LOOKED_BACK = timedelta(days=30)  # older executions are not corrected any more
BAR_LIFE = timedelta(days=5)  # over a long weekend the last bar is still the last price


def unrealized_before(account: str, moment: datetime) -> float:
    """The unrealized P&L that the account came into `moment` with; 0 before the first equity point."""
    point = EquityPoint.objects.filter(account=account, at__lt=moment).order_by("-at").values_list("at", "unrealized_pnl").first()
    if point is None:
        return 0.0
    at, unrealized = point
    return float(unrealized) + _changed_since(account, at, moment)


def _changed_since(account: str, known: datetime, moment: datetime) -> float:
    """By how much the unrealized P&L at `moment` differs from what was known of it at `known`."""
    executed = FillRecord.objects.filter(account=account, fill_time__gte=moment - LOOKED_BACK, fill_time__lt=moment)
    late = executed.filter(received_at__gt=known).exclude(position_id="")
    symbols = dict(late.values_list("exec_base", "symbol"))
    if not symbols:
        return 0.0
    versions = {
        fill.exec_base: fill for fill in executed.filter(exec_base__in=symbols, received_at__lte=known).order_by("revision")
    }  # the highest revision that was known
    concerned = PositionRecord.objects.filter(account=account, symbol__in=set(symbols.values()), updated_at__gt=known)
    entries = entries_of(concerned.values_list("position_id", flat=True))
    change = 0.0
    for position_id, symbol, created_at in concerned.values_list("position_id", "symbol", "created_at"):
        now = [entry for entry in entries.get(position_id, ()) if entry.at < moment]
        then = [] if created_at > known else _as_known(now, symbols, versions)
        mark = _mark(symbol, moment) or (now[-1].price if now else 0.0)
        change += _unrealized(now, mark) - _unrealized(then, mark)
    return change


def _as_known(entries: Iterable[LedgerEntry], late: Iterable[str], versions: dict[str, FillRecord]) -> list[LedgerEntry]:
    """The entries with the late executions as they were then, or not at all."""
    found = []
    for entry in entries:
        if entry.fill_id not in late:
            found.append(entry)
        elif (version := versions.get(entry.fill_id)) is not None:
            shares = signed(OrderSide(version.side), float(version.quantity))
            found.append(replace(entry, quantity=shares, price=float(version.price), busted=False))
    return found


def _unrealized(entries: Iterable[LedgerEntry], mark: float) -> float:
    holding = fold(entries)
    return 0.0 if not holding.quantity or holding.entry_price is None else (mark - holding.entry_price) * holding.quantity


def _mark(symbol: str, moment: datetime) -> float | None:
    """The last price before the moment, by the minute bars."""
    bars = MinuteBar.objects.filter(symbol=symbol, at__lt=moment, at__gte=moment - BAR_LIFE)
    return bars.order_by("-at").values_list("close", flat=True).first()
