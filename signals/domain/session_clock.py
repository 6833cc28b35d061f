"""The session clock: what the exchange is doing at a moment, when that changes, when it opens next, and what an approval meets.

Everything is read from the exchange's own calendar, so weekends, holidays, half days and changes of daylight saving come
with it. All moments are aware UTC; words are in exchange time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from events.exchange_time import EXCHANGE_ZONE, exchange_date
from events.wording import day_words, moment_words, quantity_text

REGULAR_CLOSE = time(16, 0)
PRE_MARKET = time(4, 0)  # from here to the opening an exchange day is "pre-market"; this desk sends nothing then
LONGEST_PAUSE = 15  # days without a session; the longest one of the last hundred years was four months, in 1914


class SessionState(StrEnum):
    OPEN = "open"
    PRE_MARKET = "pre_market"
    CLOSED = "closed"
    ROUND_CLOCK = "round_clock"  # the simulated market


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One regular session; `half` when it closes before 16:00."""

    opens: datetime
    closes: datetime

    @property
    def half(self) -> bool:
        return self.closes.astimezone(EXCHANGE_ZONE).time() < REGULAR_CLOSE


SessionOf = Callable[[date], Session | None]  # exchange day → its session, None on a weekend or holiday


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClock:
    """The exchange at `now`. `until` is when `state` changes next; `today` is the session of this exchange day, if it has one."""

    now: datetime
    state: SessionState
    today: Session | None
    upcoming: Session  # the next session that has not opened yet
    until: datetime

    @property
    def closes(self) -> datetime | None:
        """When the session that is on ends; None when none is."""
        return self.today.closes if self.today is not None and self.state == SessionState.OPEN else None


def clock_at(now: datetime, session_of: SessionOf) -> SessionClock:
    """Raises LookupError when the calendar names no session in the next two weeks: it does not reach that far."""
    day = exchange_date(now)
    today, upcoming = session_of(day), next_session(now, session_of)
    if today is not None and today.opens <= now < today.closes:
        return SessionClock(now=now, state=SessionState.OPEN, today=today, upcoming=upcoming, until=today.closes)
    early = datetime.combine(day, PRE_MARKET, EXCHANGE_ZONE)
    if today is not None and early <= now < today.opens:
        return SessionClock(now=now, state=SessionState.PRE_MARKET, today=today, upcoming=upcoming, until=today.opens)
    return SessionClock(now=now, state=SessionState.CLOSED, today=today, upcoming=upcoming, until=_begins(upcoming))


def next_session(after: datetime, session_of: SessionOf) -> Session:
    """The first session that opens after that moment."""
    first = exchange_date(after)
    for ahead in range(LONGEST_PAUSE):
        session = session_of(first + timedelta(days=ahead))
        if session is not None and session.opens > after:
            return session
    raise LookupError(f"the exchange's calendar names no session after {after.isoformat()}")


def _begins(session: Session) -> datetime:
    """When the pre-market of a session's day begins."""
    return datetime.combine(exchange_date(session.opens), PRE_MARKET, EXCHANGE_ZONE)


# ---- words ----------------------------------------------------------------------------------------------------------


def label(clock: SessionClock) -> str:
    """One or two words for the bar."""
    if clock.state == SessionState.OPEN:
        return "Half day" if clock.today is not None and clock.today.half else "Open"
    return "Pre-market" if clock.state == SessionState.PRE_MARKET else "Closed"


def next_change(clock: SessionClock) -> str:
    """What comes next, beside the label: "closes 13:00 EST", "opens Mon, Nov 30, 09:30 EST"."""
    closes = clock.closes
    if closes is not None:
        return f"closes {moment_words(closes, clock.now)}"
    return f"opens {moment_words(clock.upcoming.opens, clock.now)}"


def state_sentence(clock: SessionClock) -> str:
    """What the exchange is doing now, and why when it is shut."""
    today, now = clock.today, clock.now
    if today is None:
        weekend = now.astimezone(EXCHANGE_ZONE).weekday() >= 5
        return f"The exchange is closed: {'weekend' if weekend else 'exchange holiday'}."
    half = "Half day: the" if today.half else "The"
    closes = moment_words(today.closes, now)
    if clock.state == SessionState.OPEN:
        return f"{half} exchange is open and closes at {closes}."
    if now < today.opens:
        return f"{half} exchange opens at {moment_words(today.opens, now)} and closes at {closes}."
    return f"{half} exchange closed at {closes}."


def next_open_sentence(clock: SessionClock) -> str:
    """The next opening, always with its day and date."""
    opens = clock.upcoming.opens
    half = ", a half day" if clock.upcoming.half else ""
    local = opens.astimezone(EXCHANGE_ZONE)
    return f"Next open: {day_words(opens, clock.now)}, {local:%H:%M} {local:%Z}{half}."


def approval_sentence(clock: SessionClock, *, last_minutes: float = 0.0) -> str:
    """What happens to an approval at that moment, for a market that keeps the exchange's hours.

    `last_minutes` before the close no entry is sent (a risk limit).
    """
    closes = clock.closes
    if closes is None:
        return f"An approval now is refused; nothing is kept for later. Approve again from {moment_words(clock.upcoming.opens, clock.now)}."
    stops = closes - timedelta(minutes=last_minutes)
    if clock.now >= stops:
        return f"An approval now is refused: no entry in the last {quantity_text(last_minutes)} minutes before the close."
    if last_minutes:
        return f"An approval now is sent at once; from {moment_words(stops, clock.now)} on it is refused, the close is too near."
    return "An approval now is sent at once."
