"""The P&L page: figures, equity curve, daily bars, month calendar, by symbol, by whatever floors above register; and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from events.clock import utc_now
from events.exchange_time import exchange_date
from positions import analytics
from positions.accounts import shown_account
from positions.analytics import PERIODS, DayTotal, Period, closed_positions, daily_totals, first_day
from positions.cash_flows import flow_adjusted
from positions.current import current_positions
from positions.curves import MAX_POINTS, Curve, equity_curve, falls, from_opening, session_ends
from positions.domain.flow_adjusted import FlowAdjusted
from positions.domain.performance import FORMULAS, Fall, Falls, sharpe
from positions.exact_sql import TenThousandths, money_of
from positions.export import csv_lines
from positions.forms import RangeForm
from positions.wishes import first_error

DEFAULT_PERIOD = Period.MONTH
MOST_DAYS = 260  # of the table beside the chart: a year of sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The exchange days a request asks about; `first` None is the beginning of history."""

    period: Period
    first: date | None
    last: date


def window_of(form: RangeForm) -> Window:
    """The range named by a valid form, ending on today's exchange date."""
    today = exchange_date(utc_now())
    period = Period(form.cleaned_data["range"] or DEFAULT_PERIOD)
    return Window(period=period, first=first_day(period, today), last=today)


@require_GET
def pnl(request: HttpRequest) -> HttpResponse:
    """The page. The equity curve is fetched by its module; everything else is in the first picture."""
    form = RangeForm(request.GET)
    if not form.is_valid():
        return render(request, "positions/refused.html", {"message": first_error(form), "back": request.path}, status=400)
    window = window_of(form)
    account = shown_account(request)
    closed = closed_positions(account, first=window.first, last=window.last)
    days, symbols = daily_totals(account, first=window.first, last=window.last), analytics.totals_by_symbol(closed)
    context = {
        "window": window,
        "periods": list(PERIODS.items()),
        "period_words": PERIODS[window.period].words,
        "realized": sum((total.net for total in days), Decimal(0)),
        "realized_fees": sum((total.fees for total in days), Decimal(0)),
        "realized_fills": sum(total.fills for total in days),
        "figures": analytics.performance_of(symbols),
        "formulas": FORMULAS,
        "sharpe": sharpe(session_ends(account, first=window.first, last=window.last, adjusted=flow_adjusted(account))),
        "days": days[::-1][:MOST_DAYS],
        "days_left_out": max(0, len(days) - MOST_DAYS),
        "daily_data": chart_days(days),
        "by_symbol": analytics.by_symbol(symbols),
        "breakdowns": analytics.breakdowns(closed),
        "calendar": _calendar(account, form.cleaned_data["month"], window, days),
        "open_pnl": _open_pnl(account),
        "account": account,
    }
    return render(request, "positions/pnl.html", context)


def chart_days(days: list[DayTotal]) -> dict[str, Any]:
    """The daily bars: at most MAX_POINTS, weeks instead of days beyond that."""
    if len(days) <= MAX_POINTS:
        bars = [[total.day.isoformat(), float(total.net), total.count] for total in days if total.day]
        return {"unit": "day", "bars": bars}
    weeks: dict[date, list[DayTotal]] = {}
    for total in days:
        if total.day:
            weeks.setdefault(total.day - timedelta(days=total.day.weekday()), []).append(total)
    bars = [[week.isoformat(), float(sum(t.net for t in totals)), sum(t.count for t in totals)] for week, totals in weeks.items()]
    return {"unit": "week", "bars": bars[-MAX_POINTS:]}


def _calendar(account: str, month: str, window: Window, days: list[DayTotal]) -> dict[str, Any]:
    """The whole month shown, whatever the range is; its neighbours for the arrows."""
    first = date.fromisoformat(f"{month}-01") if month else window.last.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    last = following - timedelta(days=1)
    if (window.first is not None and window.first > first) or window.last < last:
        days = daily_totals(account, first=first, last=last)
    weeks = analytics.month_calendar(days, first.year, first.month)
    return {
        "first": first,
        "last": last,
        "weeks": weeks,
        "net": sum((week.net for week in weeks), Decimal(0)),
        "count": sum(week.count for week in weeks),
        "previous": f"{first - timedelta(days=1):%Y-%m}",
        "next": f"{following:%Y-%m}" if following <= window.last else "",
        "today": window.last,
    }


def _open_pnl(account: str) -> Decimal:
    """Unrealized P&L of everything open, as last written by the worker."""
    return money_of(current_positions(account).aggregate(total=Sum(TenThousandths("unrealized_pnl")))["total"])


@require_GET
def equity_json(request: HttpRequest) -> HttpResponse:
    """Points of the equity curve, columns beside each other: {"at": [epoch s, ...], "equity": [...], "drawdown": {...}}."""
    form = RangeForm(request.GET)
    if not form.is_valid():
        return JsonResponse({"error": first_error(form)}, status=400)
    window = window_of(form)
    account = shown_account(request)
    curve = from_opening(equity_curve(account, first=window.first, last=window.last), account=account, first=window.first)
    adjusted = flow_adjusted(account)
    deepest = falls(account, first=window.first, last=window.last, adjusted=adjusted)
    return JsonResponse({"account": account, **curve_columns(curve, deepest, adjusted)})


def curve_columns(curve: Curve, deepest: Falls | None, adjusted: FlowAdjusted) -> dict[str, Any]:
    """The curve as the browser reads it, cents and no more; the deepest falls of all points; the cash flows that lie on it."""
    flows = [[int(flow.at.timestamp()), round(flow.amount, 2)] for flow in adjusted.flows]
    on_it = [flow for flow in flows if curve.at and curve.at[0] < flow[0] <= curve.at[-1]]
    return {
        "at": curve.at,
        "equity": [round(float(value), 2) for value in curve.equity],
        "drawdown": None if deepest is None else {"percent": _fall_row(deepest.percent), "money": _fall_row(deepest.money)},
        "flows": on_it,
        "return": _time_weighted(curve, adjusted),
    }


def _fall_row(fall: Fall) -> dict[str, Any]:
    return {"size": fall.size, "peak_at": int(fall.peak.timestamp()), "trough_at": int(fall.trough.timestamp())}


def _time_weighted(curve: Curve, adjusted: FlowAdjusted) -> float | None:
    """The return over the curve as a fraction, cash flows taken out; None without two points above zero."""
    if len(curve) < 2 or curve.equity[0] <= 0:
        return None
    first, last = (adjusted.index(datetime.fromtimestamp(curve.at[n], UTC), float(curve.equity[n])) for n in (0, -1))
    return last / first - 1.0 if first > 0 else None


@require_GET
def pnl_csv(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The positions closed in the range; their realized_pnl_net adds up to what the page says of closed trades."""
    form = RangeForm(request.GET)
    if not form.is_valid():
        return HttpResponseBadRequest(first_error(form), content_type="text/plain; charset=utf-8")
    window = window_of(form)
    found = closed_positions(shown_account(request), first=window.first, last=window.last)
    answer = StreamingHttpResponse(csv_lines(found), content_type="text/csv; charset=utf-8")
    name = f"closed-positions-{window.first.isoformat() if window.first else 'start'}-to-{window.last.isoformat()}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
