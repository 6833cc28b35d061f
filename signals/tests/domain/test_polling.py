"""Whose turn it is: fair under any budget, whatever fails, dies, doubles or is edited meanwhile."""

from collections.abc import Coroutine
from dataclasses import replace
from math import ceil
from random import Random
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from signals.domain.limiter import BUDGETS, Budget, CallClass, LocalLimiter, budgets_within, polls_per_minute
from signals.domain.polling import CLAIM_SECONDS, Turn, hand_out, round_seconds

TICK = 5
POLLING = CallClass.STANDARD


def answer(question: Coroutine[Any, Any, float]) -> float:
    """What a coroutine returns that never really waits, without an event loop of its own."""
    try:
        question.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class VirtualDesk:
    """The queue, the budget and two schedulers on a clock that is moved by hand. Polls end one tick after they were handed out."""

    def __init__(self, symbols: int, limit: int, random: Random) -> None:
        self.now = 1_780_587_000.0
        self.random = random
        self.budgets = budgets_within(limit, 15)
        self.limiter = LocalLimiter(self.budgets, clock=lambda: self.now)
        self.turns: dict[str, Turn] = {}
        self.longest: dict[str, float] = {}  # ticker → the longest it waited for an attempt
        self.spent: list[float] = []  # when a request left
        self.most = 0
        for _ in range(symbols):
            self.add()

    def add(self) -> None:
        ticker = f"T{len(self.longest):03}"
        self.turns[ticker] = Turn(ticker=ticker, interval=60, added_at=self.now)
        self.longest[ticker] = 0.0
        self.most = max(self.most, len(self.turns))

    def remove(self) -> None:
        ticker = self.random.choice(sorted(self.turns))
        self._waited(self.turns.pop(ticker))

    def _waited(self, turn: Turn) -> None:
        self.longest[turn.ticker] = max(self.longest[turn.ticker], self.now - turn.waits_since)

    def token(self) -> bool:
        got = answer(self.limiter.take(POLLING)) == 0
        if got:
            self.spent.append(self.now)
        return got

    def run(self, seconds: int, *, failing: float, edits: bool, restarts: bool) -> None:
        started: list[str] = []
        for step in range(0, seconds, TICK):
            if step % 60 == 0:
                self.token()  # the provider's status
            if restarts and step % 300 == 150:
                started = []  # the workers died with what they were about to ask; its claims lapse
            self.end(started, failing)
            if edits and self.random.random() < 0.05:
                self.remove() if self.random.random() < 0.5 and len(self.turns) > 1 else self.add()
            seen = list(self.turns.values())
            started = self.schedule(seen)
            # The other scheduler looked at the same moment; it loses each claim that the first one made.
            started += self.schedule(seen if self.random.random() < 0.5 else list(self.turns.values()))
            self.now += TICK
        for turn in self.turns.values():
            self._waited(turn)

    def schedule(self, seen: list[Turn]) -> list[str]:
        tokens = answer(self.limiter.level(POLLING))
        chosen = [turn.ticker for turn in hand_out(seen, now=self.now, tokens=tokens)]
        claimed = [ticker for ticker in chosen if not self.turns[ticker].under_way(self.now)]
        for ticker in claimed:
            self.turns[ticker] = replace(self.turns[ticker], claimed_at=self.now)
        return claimed

    def end(self, started: list[str], failing: float) -> None:
        for ticker in started:
            turn = self.turns.get(ticker)
            if turn is None:
                continue
            if not self.token():
                self.turns[ticker] = replace(turn, claimed_at=None)
                continue
            self._waited(turn)
            errors = turn.errors + 1 if self.random.random() < failing else 0
            self.turns[ticker] = replace(turn, claimed_at=None, last_attempt=self.now, errors=errors)


@given(
    symbols=st.integers(1, 60),
    limit=st.integers(5, 60),
    failing=st.sampled_from([0.0, 0.3, 1.0]),
    edits=st.booleans(),
    restarts=st.booleans(),
    seed=st.integers(0, 10_000),
)
@example(symbols=208, limit=30, failing=0.0, edits=False, restarts=False, seed=0)
@example(symbols=208, limit=30, failing=1.0, edits=True, restarts=True, seed=1)
@example(symbols=116, limit=13, failing=1.0, edits=True, restarts=False, seed=9576)
@example(symbols=88, limit=11, failing=0.0, edits=False, restarts=True, seed=9453)
@example(symbols=23, limit=30, failing=0.3, edits=True, restarts=True, seed=2)
def test_no_symbol_waits_longer_than_its_share_of_any_budget(symbols, limit, failing, edits, restarts, seed):
    desk = VirtualDesk(symbols, limit, Random(seed))
    budget = polls_per_minute(desk.budgets)
    seconds = min(60 * (2 * ceil(symbols / budget) + 2), 2400)
    desk.run(seconds, failing=failing, edits=edits, restarts=restarts)
    bound = 60 * (ceil(desk.most / budget) + 1)
    assert max(desk.longest.values()) <= bound
    for earlier, later in zip(desk.spent, desk.spent[limit:], strict=False):
        assert later - earlier >= 60  # no minute held more requests than the provider allows


def test_the_longest_unasked_is_first_whatever_its_name_and_whether_it_failed():
    turns = [
        Turn(ticker="AAA", interval=60, added_at=0, last_attempt=900),
        Turn(ticker="ZZZ", interval=60, added_at=0, last_attempt=500, errors=9),
        Turn(ticker="NEW", interval=60, added_at=700),
    ]
    assert [turn.ticker for turn in hand_out(turns, now=1000, tokens=9)] == ["ZZZ", "NEW", "AAA"]
    assert [turn.ticker for turn in hand_out(turns, now=1000, tokens=1.9)] == ["ZZZ"]
    assert hand_out(turns, now=1000, tokens=0.9) == []


def test_a_poll_about_to_begin_has_its_token_and_a_lost_one_is_handed_out_again():
    turn = Turn(ticker="AAA", interval=60, added_at=0, claimed_at=1000)
    other = Turn(ticker="BBB", interval=60, added_at=0)
    assert hand_out([turn, other], now=1001, tokens=1) == []
    assert hand_out([turn, other], now=1020, tokens=1) == [other]
    assert hand_out([turn, other], now=1000 + CLAIM_SECONDS, tokens=1) == [turn]


def test_after_an_error_a_ticker_is_asked_again_soon_and_then_ever_more_rarely():
    def again(errors: int) -> int:
        turn = Turn(ticker="AAA", interval=600, added_at=0, last_attempt=6000, errors=errors)
        return next(second for second in range(1, 601) if turn.due(6000 + second, offset=0))

    assert [again(errors) for errors in (0, 1, 2, 3, 7, 40)] == [600, 15, 30, 60, 600, 600]


def test_how_long_a_round_takes():
    assert round_seconds([60] * 8, 23) == 60
    assert round_seconds([60] * 208, 23) == 208 / 23 * 60
    assert round_seconds([], 23) == 0
    # 40 a minute for those that are asked each hour leave the rest 20 - 40/60: (20 tickers, 19.33 a minute)
    assert abs(round_seconds([60] * 20 + [3600] * 40, 20) - 20 / (20 - 40 / 60) * 60) < 1e-6


def test_the_budget_never_exceeds_what_the_provider_allows():
    for limit in range(5, 2000):
        budget = budgets_within(limit, limit)[POLLING]
        assert budget.burst + budget.per_minute == limit
        assert polls_per_minute(budgets_within(limit, limit)) >= 1
    assert polls_per_minute(budgets_within(30, 15)) == 23
    assert budgets_within(30, 15) == BUDGETS == {POLLING: Budget(burst=6, per_minute=24), CallClass.HEAVY: Budget(burst=3, per_minute=12)}
