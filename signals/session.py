"""Whether the stock market is open, and when it opens next. The simulated market never closes.

Says what the exchange's calendar says on the server's clock; nothing here is worked out from hours of the day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings

from events.clock import utc_now
from events.exchange_time import exchange_date
from events.wording import left_words
from positions.exchange_days import exchange_calendar
from positions.models import RiskLimits
from signals.domain import session_clock
from signals.domain.session_clock import Session, SessionClock, SessionState

ROUND_CLOCK = "The simulated market trades round the clock, also while the exchange is closed."
ROUND_CLOCK_APPROVAL = "An approval now is sent at once to the simulated market."


def load_calendar() -> None:
    """Read the calendar now rather than at the first question: it takes a second."""
    exchange_clock(utc_now())


def never_closes() -> bool:
    """The market this desk trades on is the simulated one, which has no sessions."""
    return bool(settings.TRADING_MODE == "simulated")


def exchange_session(on: date) -> Session | None:
    """The regular session of an exchange day, whatever market this desk trades on."""
    found = exchange_calendar().session(on)
    if found is None:
        return None
    return Session(opens=datetime.fromtimestamp(found[0], UTC), closes=datetime.fromtimestamp(found[1], UTC))


def exchange_clock(now: datetime) -> SessionClock:
    """What the exchange is doing, whatever market this desk trades on."""
    return session_clock.clock_at(now, exchange_session)


def next_session(after: datetime) -> datetime:
    """When trading next begins at or after that moment; the simulated market trades at once."""
    if never_closes():
        return after
    today = exchange_session(exchange_date(after))
    if today is not None and today.opens == after:
        return after
    return session_clock.next_session(after, exchange_session).opens


def market_open(now: datetime) -> bool:
    """Whether the regular session is on, holidays and half days known."""
    return never_closes() or exchange_clock(now).state == SessionState.OPEN


def market_opened(now: datetime) -> datetime | None:
    """When the session that is on now began; None when none is, and in the simulated market, which never closes."""
    clock = None if never_closes() else exchange_clock(now)
    return clock.today.opens if clock is not None and clock.closes is not None and clock.today is not None else None


def market_closes(now: datetime) -> datetime | None:
    """When the session that is on now ends; None when none is, and in the simulated market, which never closes."""
    return None if never_closes() else exchange_clock(now).closes


def session_row(now: datetime | None = None) -> dict[str, Any]:
    """The session clock of the bar. `changes_at` is what `next` and `left` speak of, `until` when to ask again."""
    now = now or utc_now()
    clock = exchange_clock(now)
    changes_at = clock.closes or clock.upcoming.opens
    row: dict[str, Any] = {
        "state": clock.state.value,
        "label": session_clock.label(clock),
        "next": session_clock.next_change(clock),
        "until": clock.until.isoformat(),
        "changes_at": changes_at.isoformat(),
        "left": left_words((changes_at - now).total_seconds()),
        "half_day": clock.today is not None and clock.today.half,
        "sentences": [session_clock.state_sentence(clock), session_clock.next_open_sentence(clock)],
    }
    if never_closes():
        exchange = f"exchange {session_clock.label(clock).lower()}, {session_clock.next_change(clock)}"
        return row | {
            "state": SessionState.ROUND_CLOCK.value,
            "label": "Round the clock",
            "next": exchange,
            "sentences": [ROUND_CLOCK, *row["sentences"]],
            "approval": ROUND_CLOCK_APPROVAL,
        }
    last = _last_minutes() if clock.closes is not None else 0.0
    row["approval"] = session_clock.approval_sentence(clock, last_minutes=last)
    too_late = clock.closes - timedelta(minutes=last) if clock.closes is not None else clock.until
    return row | {"until": (too_late if too_late > now else clock.until).isoformat()}


def _last_minutes() -> float:
    """Before the close, in which the worker refuses entries."""
    limits = RiskLimits.objects.only("no_entry_before_close_minutes").first() or RiskLimits()
    return float(limits.no_entry_before_close_minutes)
