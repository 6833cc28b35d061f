"""The session clock over half days, holidays, weekends and changes of daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from signals.domain import session_clock
from signals.domain.session_clock import SessionState
from signals.session import exchange_clock, exchange_session

NEW_YORK = ZoneInfo("America/New_York")


def eastern(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "label", "change", "next_open"),
    [
        ("2026-11-25 12:00", "Open", "closes 16:00 EST", "Next open: Fri, Nov 27, 09:30 EST, a half day."),
        ("2026-11-26 12:00", "Closed", "opens Fri, Nov 27, 09:30 EST", "Next open: Fri, Nov 27, 09:30 EST, a half day."),
        ("2026-11-27 03:59", "Closed", "opens 09:30 EST", "Next open: Fri, Nov 27, 09:30 EST, a half day."),
        ("2026-11-27 04:00", "Pre-market", "opens 09:30 EST", "Next open: Fri, Nov 27, 09:30 EST, a half day."),
        ("2026-11-27 09:30", "Half day", "closes 13:00 EST", "Next open: Mon, Nov 30, 09:30 EST."),
        ("2026-11-27 12:59", "Half day", "closes 13:00 EST", "Next open: Mon, Nov 30, 09:30 EST."),
        ("2026-11-27 13:00", "Closed", "opens Mon, Nov 30, 09:30 EST", "Next open: Mon, Nov 30, 09:30 EST."),
        ("2026-11-29 12:00", "Closed", "opens Mon, Nov 30, 09:30 EST", "Next open: Mon, Nov 30, 09:30 EST."),  # a Sunday
        ("2026-12-24 12:59", "Half day", "closes 13:00 EST", "Next open: Mon, Dec 28, 09:30 EST."),
        ("2026-12-24 13:01", "Closed", "opens Mon, Dec 28, 09:30 EST", "Next open: Mon, Dec 28, 09:30 EST."),
        ("2026-12-31 16:30", "Closed", "opens Mon, Jan 4, 2027, 09:30 EST", "Next open: Mon, Jan 4, 2027, 09:30 EST."),
        ("2027-01-01 11:00", "Closed", "opens Mon, Jan 4, 09:30 EST", "Next open: Mon, Jan 4, 09:30 EST."),
        ("2026-03-06 16:30", "Closed", "opens Mon, Mar 9, 09:30 EDT", "Next open: Mon, Mar 9, 09:30 EDT."),  # clocks go forward between
        ("2026-03-09 10:00", "Open", "closes 16:00 EDT", "Next open: Tue, Mar 10, 09:30 EDT."),
        ("2026-10-30 16:30", "Closed", "opens Mon, Nov 2, 09:30 EST", "Next open: Mon, Nov 2, 09:30 EST."),  # and back
        ("2026-11-01 01:30", "Closed", "opens Mon, Nov 2, 09:30 EST", "Next open: Mon, Nov 2, 09:30 EST."),  # the hour that comes twice
        ("2026-07-13 23:45", "Closed", "opens Tue, Jul 14, 09:30 EDT", "Next open: Tue, Jul 14, 09:30 EDT."),
        ("2029-07-05 12:00", "Open", "closes 16:00 EDT", "Next open: Fri, Jul 6, 09:30 EDT."),  # further than the library looks by itself
    ],
)
def test_the_clock_says_the_state_its_end_and_the_next_opening_with_its_day(at: str, label: str, change: str, next_open: str) -> None:
    clock = exchange_clock(eastern(at))
    assert session_clock.label(clock) == label
    assert session_clock.next_change(clock) == change
    assert session_clock.next_open_sentence(clock) == next_open


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("2026-11-25 12:00", "The exchange is open and closes at 16:00 EST."),
        ("2026-11-26 12:00", "The exchange is closed: exchange holiday."),
        ("2026-11-27 08:00", "Half day: the exchange opens at 09:30 EST and closes at 13:00 EST."),
        ("2026-11-27 10:00", "Half day: the exchange is open and closes at 13:00 EST."),
        ("2026-11-27 15:00", "Half day: the exchange closed at 13:00 EST."),
        ("2026-11-29 12:00", "The exchange is closed: weekend."),
        ("2026-11-30 17:00", "The exchange closed at 16:00 EST."),
    ],
)
def test_it_says_why_the_exchange_is_shut(at: str, sentence: str) -> None:
    assert session_clock.state_sentence(exchange_clock(eastern(at))) == sentence


@pytest.mark.parametrize(
    ("at", "last_minutes", "sentence"),
    [
        ("2026-11-27 12:00", 0, "An approval now is sent at once."),
        ("2026-11-27 12:00", 5, "An approval now is sent at once; from 12:55 EST on it is refused, the close is too near."),
        ("2026-11-27 12:55", 5, "An approval now is refused: no entry in the last 5 minutes before the close."),
        ("2026-11-27 13:00", 5, "An approval now is refused; nothing is kept for later. Approve again from Mon, Nov 30, 09:30 EST."),
        ("2026-11-30 08:00", 5, "An approval now is refused; nothing is kept for later. Approve again from 09:30 EST."),
    ],
)
def test_it_says_what_an_approval_meets(at: str, last_minutes: float, sentence: str) -> None:
    assert session_clock.approval_sentence(exchange_clock(eastern(at)), last_minutes=last_minutes) == sentence


def test_at_the_end_of_a_state_another_begins_and_none_before_over_a_whole_year() -> None:
    """The page asks again at `until`: between two of them nothing it shows may change."""
    now, end = eastern("2026-01-01 00:00"), eastern("2027-01-05 00:00")
    open_seconds = 0.0
    while now < end:
        clock = exchange_clock(now)
        assert clock.until > now
        if clock.state == SessionState.OPEN:
            open_seconds += (clock.until - now).total_seconds()
        middle, last = now + (clock.until - now) / 2, clock.until - timedelta(seconds=1)
        assert {exchange_clock(moment).state for moment in (middle, last)} == {clock.state}
        assert exchange_clock(clock.until).state != clock.state
        now = clock.until
    days = [exchange_session((eastern("2026-01-01 12:00") + timedelta(days=n)).date()) for n in range(369)]
    assert open_seconds == sum((day.closes - day.opens).total_seconds() for day in days if day is not None)
