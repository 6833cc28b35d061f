"""How well the watch list is covered: how old the oldest answer is, what the request budget allows, and what that means in words.

The overview, the health frame, /readyz and the admin of the watch list show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from events.clock import utc_now
from events.wording import age_words, count_words
from signals import flow_link, turns
from signals.domain.limiter import polls_per_minute
from signals.domain.polling import INTERVALS_TO_DEGRADED, Turn, round_seconds
from signals.session import market_open, market_opened

GRACE = 30.0  # seconds beyond the limit before a ticker is called late: a poll and its answer take some of them
NAMED = 3  # tickers named in a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Ages and times in seconds."""

    symbols: int
    per_minute: int  # predictions the budget allows to ask for
    round: float  # until each ticker's turn has come once; never shorter than the shortest interval
    limit: float  # the shortest age at which a ticker is too old
    oldest: str = ""
    age: float = 0.0  # of the oldest ticker's last answer, or its wait for the first
    never: int = 0  # tickers without any answer yet
    late: tuple[str, ...] = ()  # tickers older than their limit, the oldest first
    open: bool = True  # while the market is closed nobody polls
    out_of_reach: int = 0  # tickers whose limit is shorter than a round

    @property
    def state(self) -> str:
        return "degraded" if self.late and self.open else "ok"

    @property
    def most(self) -> int:
        """How many tickers fit, if each has the shortest limit of this list."""
        return int(self.per_minute * self.limit / 60)

    def words(self) -> str:
        listed = count_words(self.symbols, "symbol")
        if not self.symbols:
            return "No symbol is watched."
        if not self.open:
            return f"{listed}; the market is closed and nothing is asked."
        if not self.late:
            oldest = f"; the oldest answer ({self.oldest}) is {age_words(self.age)} old" if self.oldest else ""
            return f"{listed}, up to {self.per_minute} asked a minute{oldest}."
        never = f" {count_words(self.never, 'symbol')} not answered for yet." if self.never else ""
        oldest = f"{some_of(self.late)}; the oldest waits {age_words(self.age)}"
        budget = f"The budget allows {self.per_minute} a minute, one round takes {age_words(self.round)}."
        return f"No fresh answer for {len(self.late)} of {listed}: {oldest}.{never} {budget}"

    def beyond(self) -> str:
        """What is wrong with a list that is longer than the budget; empty when all of it is asked in time."""
        if not self.out_of_reach:
            return ""
        return (
            f"The list is longer than the request budget allows. With {count_words(self.symbols, 'symbol')} and "
            f"{count_words(self.per_minute, 'request')} a minute "
            f"each is asked about every {age_words(self.round)}, but an answer counts as fresh for {age_words(self.limit)} only. "
            f"At most {self.most} symbols fit. Take symbols off the list, poll them less often, or, if the provider allows your key "
            "more requests, set FLOW_REQUESTS_PER_MINUTE."
        )

    def as_row(self) -> dict[str, object]:
        """For the health frame."""
        return {
            "symbols": self.symbols,
            "per_minute": self.per_minute,
            "oldest": self.oldest,
            "oldest_age": round(self.age),
            "late": len(self.late),
            "never": self.never,
        }


def some_of(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def coverage(now: datetime | None = None) -> Coverage:
    """As the database says it is now."""
    now = now or utc_now()
    opened = market_opened(now) or datetime.fromtimestamp(0, UTC)
    per_minute = polls_per_minute(flow_link.budgets())
    return measure(turns.queue(now), now=now.timestamp(), opened=opened.timestamp(), per_minute=per_minute, is_open=market_open(now))


def measure(queue: list[Turn], *, now: float, opened: float, per_minute: int, is_open: bool) -> Coverage:
    """`opened`: when the session began; what was not asked before is not held against a ticker."""
    asked = [turn for turn in queue if not turn.left_out]
    ages = sorted(((now - max(opened, _known_since(turn)), turn) for turn in asked), key=lambda pair: (-pair[0], pair[1].ticker))
    limits = [INTERVALS_TO_DEGRADED * turn.interval for turn in asked]
    a_round = round_seconds([turn.interval for turn in asked], per_minute)
    return Coverage(
        symbols=len(queue),
        per_minute=per_minute,
        round=a_round,
        limit=min(limits, default=0.0),
        oldest=ages[0][1].ticker if ages else "",
        age=max(0.0, ages[0][0]) if ages else 0.0,
        never=sum(turn.last_success is None for turn in asked),
        late=tuple(turn.ticker for age, turn in ages if age > INTERVALS_TO_DEGRADED * turn.interval + GRACE),
        open=is_open,
        out_of_reach=sum(a_round > limit for limit in limits),
    )


def _known_since(turn: Turn) -> float:
    return turn.added_at if turn.last_success is None else turn.last_success
