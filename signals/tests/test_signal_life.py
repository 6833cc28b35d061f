"""A signal's life against a naive model on the real database: refreshed, decided by two people, expired, superseded, in any order."""

import uuid
from datetime import UTC, datetime, timedelta

from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from events.models import CommandRecord, EventRecord, WorkerLease
from positions.models import EquityPoint, RiskLimits, TradingState
from signals import store
from signals.approval import Decision, Refusal, approve, reject
from signals.domain.judgement import judge
from signals.domain.predictions import Prediction
from signals.models import PredictionRecord, SignalRecord, SignalSettings, WatchListEntry
from signals.proposal import Ticket

START = datetime(2026, 6, 4, 15, 30, 9, tzinfo=UTC)
LIFE = timedelta(seconds=120)
TICKETS = {1: Ticket(quantity=10, entry=100.1, stop=99.0, target=103.0), -1: Ticket(quantity=10, entry=99.9, stop=101.0, target=97.0)}
PEOPLE = st.sampled_from(["ann", "bob"])


class SignalLife(RuleBasedStateMachine):
    """The model: each signal's state, and when the pending one ends. People hold on to the version they last saw."""

    @initialize()
    def set_up(self) -> None:
        for model in (CommandRecord, EventRecord, SignalRecord, PredictionRecord, WorkerLease):
            model.objects.all().delete()
        self.now = START
        self.states: dict[str, str] = {}
        self.directions: dict[str, int] = {}
        self.expires: dict[str, datetime] = {}
        self.decided: dict[str, tuple[str, str]] = {}  # signal → (who, key of the form that won)
        self.entry, _ = WatchListEntry.objects.update_or_create(symbol="AAPL", defaults={"allow_short": True})
        self.settings, _ = SignalSettings.objects.update_or_create(pk=1, defaults={"pending_seconds": LIFE.seconds})
        RiskLimits.objects.get_or_create(pk=1)
        TradingState.objects.update_or_create(pk=1, defaults={"state": "active"})
        EquityPoint.objects.get_or_create(account="DUSIM1", at=START, defaults={"equity": 100_000, "cash": 100_000})
        WorkerLease.objects.create(name="life", epoch=1, state="ready", heartbeat_at=START, health={"account": "DUSIM1"})
        self.users = {name: get_user_model().objects.get_or_create(username=name)[0] for name in ("ann", "bob")}

    def pending(self) -> str:
        return next((key for key, state in self.states.items() if state == "pending"), "")

    def close(self, state: str) -> None:
        self.states[self.pending()] = state

    def work(self) -> None:
        """The worker is alive and quotes a price."""
        quote = {"last": 100.0, "bid": 99.99, "ask": 100.01, "at": self.now.isoformat(), "live": True}
        WorkerLease.objects.update(heartbeat_at=self.now, health={"account": "DUSIM1", "quotes": {"AAPL": quote}})

    @rule(word=st.sampled_from(["BUY", "SELL"]), twice=st.booleans())
    def predict(self, word: str, twice: bool) -> None:
        """A poll, or two schedulers' polls of the same prediction."""
        self.now += timedelta(seconds=20)
        direction = 1 if word == "BUY" else -1
        said = Prediction(
            source="api", ticker="AAPL", timestamp=int(self.now.timestamp() * 1000), word=word, direction=direction,
            numeric=direction, confidence=0.9, stock_price=100.0, model_path="m.pt", data_time=self.now,
        )  # fmt: skip
        rules, run = store.rules_for(self.entry, self.settings), store.load_run("AAPL")
        judgement, _ = judge(said, rules, run, now=self.now, new_id=str(uuid.uuid4()))
        known = set(SignalRecord.objects.values_list("pk", flat=True))
        for _ in range(1 + twice):
            store.record(judgement, entry=self.entry, settings=self.settings, now=self.now)
        born = set(SignalRecord.objects.values_list("pk", flat=True)) - known
        assert len(born) <= 1
        running = self.pending()
        if born:
            assert not running or self.directions[running] != direction
            if running:
                self.close("superseded")
            key = born.pop()
            self.states[key], self.directions[key], self.expires[key] = "pending", direction, self.now + LIFE
        elif running and self.directions[running] == direction:
            self.expires[running] = self.now + LIFE

    @rule(seconds=st.sampled_from([1, 30, 119, 120, 121]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(twice=st.booleans())
    def expire(self, twice: bool) -> None:
        running = self.pending()
        due = bool(running) and self.expires[running] <= self.now
        told = [signal.pk for _ in range(1 + twice) for signal in store.expire_due(self.now)]
        assert told == ([running] if due else [])
        if due:
            self.close("expired")

    @rule(who=PEOPLE, yes=st.booleans(), stale=st.booleans(), again=st.booleans(), pick=st.integers(0, 50))
    def decide(self, who: str, yes: bool, stale: bool, again: bool, pick: int) -> None:
        """One person decides about some signal, perhaps one that ended, perhaps from an old page, perhaps twice."""
        if not self.states:
            return
        self.work()
        key = list(self.states)[pick % len(self.states)]
        version = SignalRecord.objects.get(pk=key).version - stale
        decision = Decision(user=self.users[who], key=uuid.uuid4().hex, version=version)
        answers = [self.tell(key, decision, yes) for _ in range(1 + again)]
        alive = self.states[key] == "pending" and self.expires[key] > self.now and not stale
        fresh = self.now - SignalRecord.objects.get(pk=key).data_time <= timedelta(seconds=self.settings.max_age_seconds)
        won = alive and (fresh or not yes)
        assert [isinstance(answer, Refusal) for answer in answers] == [not won] * len(answers), answers
        if won:
            assert len({answer.pk for answer in answers}) == 1
            self.states[key] = "approved" if yes else "rejected"
            self.decided[key] = (who, decision.key)

    def tell(self, key: str, decision: Decision, yes: bool) -> CommandRecord | Refusal:
        if yes:
            return approve(key, decision, TICKETS[self.directions[key]], edited=[], now=self.now)
        return reject(key, decision, "news", now=self.now)

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        if not hasattr(self, "states"):
            return
        assert dict(SignalRecord.objects.values_list("pk", "state")) == self.states
        assert sum(state == "pending" for state in self.states.values()) <= 1
        assert dict(SignalRecord.objects.exclude(decided_by="").values_list("pk", "decided_by")) == {
            pk: who for pk, (who, _) in self.decided.items()
        }

    @invariant()
    def one_command_and_one_word_in_the_journal_for_each_end(self) -> None:
        if not hasattr(self, "states"):
            return
        assert sorted(CommandRecord.objects.values_list("signal_id", flat=True)) == sorted(self.decided)
        ends = {pk: state for pk, state in self.states.items() if state != "pending"}
        told = EventRecord.objects.filter(event_type__in=("SignalDecisionEvent", "SignalClosedEvent"))
        assert sorted((row.signal_id, row.data["state"]) for row in told) == sorted(ends.items())


class SignalLifeTest(TestCase, SignalLife.TestCase):
    """Runs the machine inside one transaction for each example."""

    settings = settings(max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
