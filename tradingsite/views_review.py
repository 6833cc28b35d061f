"""The weekly review: the week stands in the address, so that it can be sent to somebody; the same as a CSV file."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from events.clock import utc_now
from events.exchange_time import EXCHANGE_ZONE, exchange_date
from positions.accounts import shown_account
from positions.export import text_cell
from tradingsite.review import KINDS, lines_of, monday_of, week_word


@require_GET
def review_now(request: HttpRequest) -> HttpResponse:
    return redirect("review", week_word(exchange_date(utc_now())))


@require_GET
def review(request: HttpRequest, week: str) -> HttpResponse:
    """Who did what to limits and trading in that week, and why."""
    monday = _monday(week)
    lines = lines_of(shown_account(request), monday)
    context = {
        "week": week,
        "first": monday,
        "last": monday + timedelta(days=6),
        "before": week_word(monday - timedelta(days=7)),
        "after": week_word(monday + timedelta(days=7)) if monday + timedelta(days=7) <= exchange_date(utc_now()) else "",
        "lines": lines,
        "counts": [(kind, sum(line.kind == kind for line in lines)) for kind in KINDS],
    }
    return render(request, "tradingsite/review.html", context)


@require_GET
def review_csv(request: HttpRequest, week: str) -> HttpResponse:
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="review-{week}.csv"'
    writer = csv.writer(answer)
    writer.writerow(("at_utc", "at_exchange", "kind", "what", "who", "why"))
    for line in lines_of(shown_account(request), _monday(week)):
        texts = [text_cell(text) for text in (line.kind, line.what, line.who, line.why)]
        writer.writerow((_utc(line.at), line.at.astimezone(EXCHANGE_ZONE).isoformat(timespec="seconds"), *texts))
    return answer


def _monday(week: str) -> date:
    monday = monday_of(week)
    if monday is None or not 2000 <= monday.year <= 2099:
        raise Http404("no such week")
    return monday


def _utc(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
