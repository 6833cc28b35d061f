"""Snapshots for pages that join a topic: GET /live/positions, orders, equity, bars answer with the rows of the frames."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest

from events import live
from events.clock import utc_now
from events.position import PositionStatus
from events.symbols import canonical_symbol
from positions.accounts import traded_account
from positions.current import current_positions, living_orders
from positions.models import BrokerCheck, EquityPoint, MinuteBar, OrderRecord, PositionRecord
from positions.orders import LIVE_STATES
from positions.shown_rows import shown_rows

LATELY = timedelta(hours=24)


def positions(request: HttpRequest) -> list[dict[str, Any]]:
    """Everything held, and what closed in the last day."""
    account = traded_account()
    held = current_positions(account)
    closed = PositionRecord.objects.filter(account=account, status=PositionStatus.CLOSED, close_time__gte=utc_now() - LATELY)[:200]
    return [*shown_rows(held), *shown_rows(closed)]


def orders(request: HttpRequest) -> list[dict[str, Any]]:
    """Every living order, and the newest of the last day."""
    account = traded_account()
    mine, living = OrderRecord.objects.filter(account=account), living_orders(account)
    # Not "in FINISHED": SQLite would walk the finished orders of all years by state instead of the late ones by time.
    done = mine.filter(updated_at__gte=utc_now() - LATELY).exclude(state__in=LIVE_STATES).order_by("-updated_at")[:300]
    return [*shown_rows(living), *shown_rows(done)]


def equity(request: HttpRequest) -> list[dict[str, Any]]:
    """The newest point."""
    return [point.as_row() for point in EquityPoint.objects.filter(account=traded_account()).order_by("-at")[:1]]


def bars(request: HttpRequest) -> list[dict[str, Any]]:
    """The newest completed minutes of ?symbol=, oldest first."""
    symbol = canonical_symbol(request.GET.get("symbol", "")[:21])
    newest = MinuteBar.objects.filter(symbol=symbol).order_by("-at")[:390]
    return [bar_row(bar) for bar in reversed(newest)]


def broker(request: HttpRequest) -> list[dict[str, Any]]:
    """The newest comparison of our book with the broker's."""
    return [check.data for check in BrokerCheck.objects.filter(account=traded_account()).order_by("-at", "-pk")[:1]]


def bar_row(bar: Any) -> dict[str, Any]:
    """A MinuteBar row or a broker Bar as frames carry it."""
    return {
        "symbol": bar.symbol,
        "at": bar.at.isoformat(),
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
    }


def register() -> None:
    live.register("positions", positions)
    live.register("orders", orders)
    live.register("equity", equity)
    live.register("bars", bars)
    live.register("broker", broker)
