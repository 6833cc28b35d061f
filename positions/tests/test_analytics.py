"""Exchange days, ranges, and the promise that every page adds up the same closed positions."""

from __future__ import annotations

import random
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import Case, Sum, Value, When

from events.exchange_time import day_start, exchange_date
from positions import analytics
from positions.analytics import Breakdown, Period, closed_positions, first_day
from positions.curves import candles, equity_curve, falls, from_opening, session_ends
from positions.domain.flow_adjusted import Flow, FlowAdjusted
from positions.domain.performance import Result, figures, totals_of
from positions.models import FillRecord, MinuteBar
from positions.tests.rows import ACCOUNT, NOON, Trip, make_equity, make_position

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 4)  # a Wednesday


@pytest.mark.parametrize(
    ("period", "first"),
    [
        (Period.TODAY, date(2026, 3, 4)),
        (Period.WEEK, date(2026, 3, 2)),
        (Period.MONTH, date(2026, 3, 1)),
        (Period.YEAR, date(2026, 1, 1)),
        (Period.TWELVE_MONTHS, date(2025, 3, 4)),
        (Period.MAX, None),
    ],
)
def test_a_range_begins_on_its_exchange_day(period: Period, first: date | None) -> None:
    assert first_day(period, TODAY) == first


def test_an_exchange_day_is_23_hours_long_when_the_clocks_go_forward() -> None:
    assert day_start(date(2026, 3, 9)) - day_start(date(2026, 3, 8)) == timedelta(hours=23)
    assert day_start(date(2026, 11, 2)) - day_start(date(2026, 11, 1)) == timedelta(hours=25)


def test_a_close_before_midnight_at_the_exchange_belongs_to_that_day_although_utc_is_tomorrow() -> None:
    late = datetime(2026, 3, 5, 3, 30, tzinfo=UTC)  # 22:30 on the 4th in New York
    make_position(Trip(closed=late))
    assert exchange_date(late) == TODAY
    assert closed_positions(ACCOUNT, first=TODAY, last=TODAY).count() == 1
    assert closed_positions(ACCOUNT, first=TODAY + timedelta(days=1)).count() == 0


def test_open_positions_and_never_filled_ones_are_not_results() -> None:
    make_position(Trip(exit=None))
    never = make_position(Trip())
    never.open_time = None
    never.save()
    assert closed_positions(ACCOUNT).count() == 0


def test_every_way_of_adding_up_random_positions_agrees_with_the_fills_to_the_cent() -> None:
    rng = random.Random(20260304)
    for _ in range(120):
        shares = rng.choice([1, -1]) * rng.randint(1, 400)
        entry = round(rng.uniform(3, 900), 2)
        exit_price = round(entry * rng.uniform(0.9, 1.1), 2)
        opened = NOON + timedelta(minutes=rng.randint(0, 60 * 24 * 60))
        fee = round(rng.uniform(0.35, 4), 2)
        closed = opened + timedelta(minutes=5)
        make_position(
            Trip(
                symbol=rng.choice(["AAPL", "NVDA"]),
                shares=shares,
                entry=entry,
                exit=exit_price,
                opened=opened,
                closed=closed,
                commission=fee,
            )
        )
    found = closed_positions(ACCOUNT)
    fills = FillRecord.objects.aggregate(gross=Sum("realized_pnl"), fees=Sum("commission"))
    net = (Decimal(fills["gross"]) - Decimal(fills["fees"])).quantize(Decimal("0.01"))
    days, symbols = analytics.daily_totals(ACCOUNT), analytics.totals_by_symbol(found)
    months = {(total.day.year, total.day.month) for total in days if total.day}
    calendar = sum((week.net for month in months for week in analytics.month_calendar(days, *month)), Decimal(0))
    by_symbol = sum((group.performance.net for group in analytics.by_symbol(symbols)), Decimal(0))
    assert analytics.performance_of(symbols).net == sum((total.net for total in days), Decimal(0)) == calendar == by_symbol
    assert analytics.count_and_net(closed_positions(ACCOUNT)) == (120, calendar)
    assert calendar.quantize(Decimal("0.01")) == net
    assert sum(total.count for total in days) == 120
    results = [Result(net=p.realized_pnl, commission=p.commission, r_multiple=p.r_multiple) for p in found]
    one_by_one, added_up = asdict(figures(totals_of(results))), asdict(analytics.performance_of(symbols))
    assert one_by_one.pop("average_r") == pytest.approx(added_up.pop("average_r"))
    assert one_by_one == added_up


def test_a_month_is_whole_weeks_from_monday_and_shades_by_size() -> None:
    make_position(Trip(entry=100.0, exit=110.0))
    make_position(Trip(entry=100.0, exit=98.0, closed=NOON + timedelta(days=1)))
    weeks = analytics.month_calendar(analytics.daily_totals(ACCOUNT), 2026, 3)
    assert all(len(week.days) == 7 for week in weeks)
    assert weeks[0].days[0].day is None
    assert weeks[0].days[6].day == date(2026, 3, 1)
    wednesday, thursday = weeks[1].days[2], weeks[1].days[3]
    assert (wednesday.net, wednesday.count, wednesday.shade) == (Decimal("997.0000"), 1, 4)  # the fee of both entries is Wednesday's
    assert (thursday.net, thursday.shade) == (Decimal("-201.0000"), 1)
    assert weeks[1].net == Decimal("796.0000")


def test_a_registered_breakdown_groups_by_the_signal_and_puts_the_unknown_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "_breakdowns", {})
    key = Case(When(signal_id="s1", then=Value("lucky")))
    analytics.register_breakdown("By luck", Breakdown(key=lambda: key, label=str))
    make_position(Trip(signal_id="s1"))
    make_position(Trip(signal_id="s2", exit=140.0))
    [(title, groups)] = analytics.breakdowns(closed_positions(ACCOUNT))
    assert title == "By luck"
    assert [(group.label, group.performance.count) for group in groups] == [("lucky", 1), (analytics.UNLABELLED, 1)]


# --- curves ----------------------------------------------------------------------------------------------------------


def test_a_short_equity_range_is_shown_point_by_point() -> None:
    make_equity(["100.00", "101.50", "99.25"])
    curve = equity_curve(ACCOUNT, first=TODAY, last=TODAY)
    assert curve.equity == [Decimal("100.0000"), Decimal("101.5000"), Decimal("99.2500")]
    assert curve.at[1] - curve.at[0] == 60


def test_a_long_equity_range_keeps_to_the_points_asked_for_and_ends_with_the_newest() -> None:
    make_equity([str(1000 + n) for n in range(3000)])
    curve = equity_curve(ACCOUNT, first=None, last=TODAY + timedelta(days=5), points=200)
    assert 150 <= len(curve) <= 200
    assert curve.at == sorted(set(curve.at))
    assert curve.equity[-1] == Decimal("3999.0000")


def test_each_sought_point_is_the_last_one_stored_at_or_before_its_step() -> None:
    make_equity([str(n) for n in range(1, 1001)])
    curve = equity_curve(ACCOUNT, first=None, last=TODAY + timedelta(days=1), points=10)
    assert curve.equity == [Decimal(value) for value in range(100, 1001, 100)]


def test_a_dense_last_day_does_not_push_the_thinned_past_into_a_corner() -> None:
    make_equity(["100.00"] * 60, start=NOON - timedelta(days=60), step=timedelta(days=1))
    make_equity(["200.00"] * 600)
    curve = equity_curve(ACCOUNT, first=None, last=TODAY + timedelta(days=1))
    dense = sum(value == 200 for value in curve.equity)
    assert sum(value == 100 for value in curve.equity) == 60
    assert dense < 20
    assert curve.equity[-1] == 200


def test_a_range_opens_with_what_the_account_was_worth_before_it() -> None:
    make_equity(["1.00"], account="U999", start=NOON - timedelta(days=1))
    make_equity(["90.00", "95.00"], start=NOON - timedelta(days=3), step=timedelta(days=1))
    make_equity(["100.00"])
    curve = from_opening(equity_curve(ACCOUNT, first=TODAY, last=TODAY), account=ACCOUNT, first=TODAY)
    assert curve.equity == [Decimal("95.0000"), Decimal("100.0000")]
    assert curve.at[0] == int(day_start(TODAY).timestamp())
    assert from_opening(curve, account=ACCOUNT, first=None) is curve


def test_points_of_other_accounts_and_other_days_stay_out() -> None:
    make_equity(["1.00"], account="U999")
    make_equity(["2.00"], start=NOON - timedelta(days=1))
    make_equity(["3.00"])
    assert equity_curve(ACCOUNT, first=TODAY, last=TODAY).equity == [Decimal("3.0000")]
    assert len(equity_curve("nobody", first=None, last=TODAY)) == 0


def test_sharpe_has_one_point_for_each_session_and_none_for_a_weekend_or_holiday() -> None:
    friday = datetime(2026, 4, 3, 17, tzinfo=UTC)  # Good Friday: closed
    for days, value in ((-1, "100.00"), (0, "101.00"), (1, "102.00"), (3, "103.00"), (4, "104.00")):
        make_equity(["1.00", value], start=friday + timedelta(days=days))
    ends = session_ends(ACCOUNT, first=date(2026, 4, 2), last=date(2026, 4, 8), adjusted=FlowAdjusted())
    assert ends == [100.0, 103.0, 104.0]  # Thursday, Monday, Tuesday; no point was stored on Wednesday


def test_a_withdrawal_is_no_return_of_the_session_it_falls_into() -> None:
    make_equity(["250000.00"])
    taken = Flow(at=NOON + timedelta(hours=1), amount=-50_000, before=250_000)
    make_equity(["200000.00"], start=NOON + timedelta(days=1))
    assert session_ends(ACCOUNT, first=TODAY, last=TODAY + timedelta(days=1), adjusted=FlowAdjusted([taken])) == [250_000, 250_000]


def test_the_deepest_fall_is_found_between_the_points_that_are_drawn() -> None:
    values = ["1000.00"] * 3000
    values[1501] = "900.00"
    make_equity(values, start=NOON - timedelta(days=3))
    assert Decimal(900) not in equity_curve(ACCOUNT, first=None, last=TODAY, points=200).equity
    found = falls(ACCOUNT, first=None, last=TODAY, adjusted=FlowAdjusted())
    assert found is not None
    assert (found.percent.size, found.money.size) == (pytest.approx(-0.1), -100)


def test_a_range_may_begin_with_its_fall() -> None:
    make_equity(["200.00"], start=NOON - timedelta(days=1))
    make_equity(["150.00"])
    found = falls(ACCOUNT, first=TODAY, last=TODAY, adjusted=FlowAdjusted())
    assert found is not None
    assert found.percent.size == -0.25


def _store_bars(count: int) -> None:
    MinuteBar.objects.bulk_create(
        MinuteBar(symbol="AAPL", at=NOON + timedelta(minutes=n), open=10 + n, high=12 + n, low=9 + n, close=11 + n, volume=5)
        for n in range(count)
    )


def test_minute_bars_are_shown_as_they_are_when_they_fit() -> None:
    _store_bars(3)
    step, bars = candles("AAPL", start=NOON, end=NOON + timedelta(hours=1))
    assert step == 60
    assert [(bar.open, bar.close) for bar in bars] == [(10, 11), (11, 12), (12, 13)]


def test_a_long_span_gets_coarser_candles_that_keep_open_extremes_close_and_volume() -> None:
    _store_bars(10)
    step, bars = candles("AAPL", start=NOON, end=NOON + timedelta(days=3))
    assert step == 300
    assert (bars[0].open, bars[0].high, bars[0].low, bars[0].close, bars[0].volume) == (10, 16, 9, 15, 25)
