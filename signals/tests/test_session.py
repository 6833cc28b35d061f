"""When this desk's market is open, and what the bar says of it."""

from datetime import UTC, datetime, timedelta

import pytest

from positions.models import RiskLimits
from signals.session import market_closes, market_open, market_opened, next_session, session_row


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 6, 4, 13, 29, 59, tzinfo=UTC), False),
        (datetime(2026, 6, 4, 13, 30, tzinfo=UTC), True),
        (datetime(2026, 6, 4, 20, 0, tzinfo=UTC), False),
        (datetime(2026, 6, 6, 15, 0, tzinfo=UTC), False),  # a Saturday
        (datetime(2026, 11, 26, 16, 0, tzinfo=UTC), False),  # Thanksgiving
        (datetime(2026, 11, 27, 17, 59, tzinfo=UTC), True),  # a half day
        (datetime(2026, 11, 27, 18, 1, tzinfo=UTC), False),
    ],
)
def test_the_real_market_keeps_its_hours(settings, at, is_open):
    settings.TRADING_MODE = "paper"
    assert market_open(at) is is_open
    assert (market_closes(at) is not None) is is_open
    assert (market_opened(at) is not None) is is_open


def test_the_simulated_market_never_closes(settings):
    settings.TRADING_MODE = "simulated"
    assert market_open(datetime(2026, 6, 6, 3, 0, tzinfo=UTC))


def test_an_opening_is_the_next_one_at_its_own_moment_and_no_longer_a_second_later(settings):
    settings.TRADING_MODE = "paper"
    opens = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    assert next_session(opens) == opens
    assert next_session(opens + timedelta(seconds=1)) == datetime(2026, 12, 1, 14, 30, tzinfo=UTC)


AFTER_A_HALF_DAY = datetime(2026, 11, 27, 18, 30, tzinfo=UTC)


@pytest.mark.django_db
def test_after_a_half_day_the_bar_says_closed_and_that_an_approval_is_refused(settings):
    settings.TRADING_MODE = "paper"
    row = session_row(AFTER_A_HALF_DAY)
    assert (row["state"], row["label"], row["next"]) == ("closed", "Closed", "opens Mon, Nov 30, 09:30 EST")
    assert row["sentences"] == ["Half day: the exchange closed at 13:00 EST.", "Next open: Mon, Nov 30, 09:30 EST."]
    assert row["approval"].startswith("An approval now is refused")


@pytest.mark.django_db
def test_the_simulated_market_says_plainly_that_it_trades_while_the_exchange_is_closed(settings):
    settings.TRADING_MODE = "simulated"
    row = session_row(AFTER_A_HALF_DAY)
    assert row["state"] == "round_clock"
    assert row["next"] == "exchange closed, opens Mon, Nov 30, 09:30 EST"
    assert row["sentences"][0] == "The simulated market trades round the clock, also while the exchange is closed."
    assert "Half day: the exchange closed at 13:00 EST." in row["sentences"]
    assert row["approval"] == "An approval now is sent at once to the simulated market."


@pytest.mark.django_db
def test_the_bar_is_asked_again_when_the_last_minutes_begin_and_again_at_the_close(settings):
    settings.TRADING_MODE = "paper"
    RiskLimits.objects.update_or_create(pk=1, defaults={"no_entry_before_close_minutes": 10})
    close = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    assert session_row(close - timedelta(hours=1))["until"] == (close - timedelta(minutes=10)).isoformat()
    late = session_row(close - timedelta(minutes=9))
    assert late["until"] == close.isoformat()
    assert late["approval"] == "An approval now is refused: no entry in the last 10 minutes before the close."
