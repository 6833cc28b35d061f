"""A signal's life against a naive model on the real database: refreshed, decided by two people, expired, superseded, answered by the
worker and decided again, in any order, with forms of earlier decisions that come late."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from events.accounts import SIMULATED_ACCOUNT
from events.models import CommandRecord, EventRecord, WorkerLease
from positions.models import EquityPoint, OrderRecord, RiskLimits, TradingState
from signals import store
from signals.again import decide_again
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
        for model in (CommandRecord, EventRecord, SignalRecord, PredictionRecord, WorkerLease, OrderRecord):
            model.objects.all().delete()
        self.now = START
        self.states: dict[str, str] = {}
        self.directions: dict[str, int] = {}
        self.expires: dict[str, datetime] = {}
        self.decided: dict[str, tuple[str, str]] = {}  # signal → (who, key of the form that won), until it is decided again
        self.forms: list[tuple[str, Decision, bool]] = []  # (signal, form, yes) of every form ever sent
        self.filed: list[str] = []  # the signal of each command
        self.ends: list[tuple[str, str]] = []  # (signal, state) of each decision and each end
        self.reopened: list[tuple[str, str]] = []  # (signal, who)
        self.answers: dict[str, str] = {}  # approved signal → the newest command's state, "left" when refused with an order sent
        self.entry, _ = WatchListEntry.objects.update_or_create(symbol="AAPL", defaults={"allow_short": True})
        self.settings, _ = SignalSettings.objects.update_or_create(pk=1, defaults={"pending_seconds": LIFE.seconds})
        RiskLimits.objects.get_or_create(pk=1)
        TradingState.objects.update_or_create(pk=1, defaults={"state": "active"})
        EquityPoint.objects.get_or_create(account="DUSIM001", at=START, defaults={"equity": 100_000, "cash": 100_000})
        WorkerLease.objects.create(name="life", epoch=1, state="ready", heartbeat_at=START, health={"account": "DUSIM001"})
        self.users = {name: get_user_model().objects.get_or_create(username=name)[0] for name in ("ann", "bob")}

    def pending(self) -> str:
        return next((key for key, state in self.states.items() if state == "pending"), "")

    def close(self, key: str, state: str) -> None:
        self.states[key] = state
        self.ends.append((key, state))

    def work(self) -> None:
        """The worker is alive and quotes a price."""
        quote = {"last": 100.0, "bid": 99.99, "ask": 100.01, "at": self.now.isoformat(), "live": True}
        WorkerLease.objects.update(heartbeat_at=self.now, health={"account": "DUSIM001", "quotes": {"AAPL": quote}})

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
                self.close(running, "superseded")
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
            self.close(running, "expired")

    @precondition(lambda self: self.states)
    @rule(who=PEOPLE, yes=st.booleans(), stale=st.booleans(), again=st.booleans(), pick=st.integers(0, 50))
    def decide(self, who: str, yes: bool, stale: bool, again: bool, pick: int) -> None:
        """One person decides about some signal, perhaps one that ended, perhaps from an old page, perhaps twice."""
        key = list(self.states)[pick % len(self.states)]
        version = SignalRecord.objects.get(pk=key).version - stale
        self.forms.append((key, Decision(user=self.users[who], account=SIMULATED_ACCOUNT, key=uuid.uuid4().hex, version=version), yes))
        for _ in range(1 + again):
            self.press(*self.forms[-1])

    @precondition(lambda self: self.forms)
    @rule(pick=st.integers(0, 200))
    def a_form_comes_late(self, pick: int) -> None:
        """Any form that was ever sent, once more."""
        self.press(*self.forms[pick % len(self.forms)])

    @precondition(lambda self: self.pending())
    @rule(who=PEOPLE, answer=st.sampled_from(["refused", "refused", "expired", "left", "done"]))
    def approve_and_hear(self, who: str, answer: str) -> None:
        """What decisions are mostly about: the signal that waits, by its newest version, and the worker answers at once."""
        key = self.pending()
        version = SignalRecord.objects.get(pk=key).version
        self.forms.append((key, Decision(user=self.users[who], account=SIMULATED_ACCOUNT, key=uuid.uuid4().hex, version=version), True))
        self.press(*self.forms[-1])
        self.the_worker_answers(answer)

    def press(self, key: str, decision: Decision, yes: bool) -> None:
        """The form that won is answered as before; any other wins only if it is about the signal as it is now."""
        self.work()
        wanted = "approved" if yes else "rejected"
        signal = SignalRecord.objects.get(pk=key)
        known = self.states[key] == wanted and self.decided[key] == (decision.name, decision.key)
        fresh = self.now - signal.data_time <= timedelta(seconds=self.settings.max_age_seconds)
        alive = self.states[key] == "pending" and self.expires[key] > self.now and decision.version == signal.version
        won = alive and (fresh or not yes)
        answer = self.tell(key, decision, yes)
        assert isinstance(answer, Refusal) != (won or known), answer
        if known:
            assert answer == CommandRecord.objects.filter(signal_id=key).latest("id")
        if won:
            self.close(key, wanted)
            self.decided[key] = (decision.name, decision.key)
            self.filed.append(key)
            self.answers[key] = "pending"

    @rule(answer=st.sampled_from(["claimed", "done", "refused", "refused", "expired", "left"]))
    def the_worker_answers(self, answer: str) -> None:
        command = CommandRecord.objects.filter(name="ApproveSignal", state__in=("pending", "claimed")).order_by("-id").first()
        if command is None:
            return
        state = "refused" if answer == "left" else answer
        CommandRecord.objects.filter(pk=command.pk).update(state=state, code="moved_price" if state == "refused" else "")
        self.answers[command.signal_id] = answer
        if answer == "left":
            OrderRecord.objects.create(
                account=SIMULATED_ACCOUNT,
                order_id=uuid.uuid4().hex, order_ref=uuid.uuid4().hex, intent_id=command.intent_id, role="exit", symbol="AAPL", side="sell",
                order_type="limit", time_in_force="day", quantity=10, state="rejected", created_at=self.now, updated_at=self.now,
            )  # fmt: skip

    @precondition(lambda self: self.states)
    @rule(who=PEOPLE, stale=st.sampled_from([0, 0, 1]), twice=st.booleans(), pick=st.integers(0, 50))
    def ask_to_decide_again(self, who: str, stale: int, twice: bool, pick: int) -> None:
        """One person, or two at once, perhaps from an old page, about some signal, the newest ones rather than others."""
        key = list(self.states)[-1 - pick % min(2, len(self.states))]
        version = SignalRecord.objects.get(pk=key).version - stale
        came_to_nothing = self.states[key] == "approved" and self.answers[key] in ("refused", "expired")
        stands = self.expires[key] > self.now and key == list(self.states)[-1]
        allowed = came_to_nothing and stands and not stale
        waits = self.states[key] == "pending"
        answers = [decide_again(key, user=self.users[who], version=version, now=self.now) for _ in range(1 + twice)]
        assert [isinstance(answer, Refusal) for answer in answers] == [not (allowed or waits)] * len(answers), answers
        if allowed:
            self.states[key] = "pending"
            self.reopened.append((key, who))
            del self.decided[key]

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
    def one_command_for_each_decision_and_one_word_in_the_journal_for_each_turn(self) -> None:
        if not hasattr(self, "states"):
            return
        assert sorted(CommandRecord.objects.values_list("signal_id", flat=True)) == sorted(self.filed)
        told = EventRecord.objects.filter(event_type__in=("SignalDecisionEvent", "SignalClosedEvent"))
        assert sorted((row.signal_id, row.data["state"]) for row in told) == sorted(self.ends)
        again = EventRecord.objects.filter(event_type="SignalReopenedEvent")
        assert sorted((row.signal_id, row.data["reopened_by"]) for row in again) == sorted(self.reopened)

    @invariant()
    def at_most_one_approval_of_a_signal_may_have_sent_something(self) -> None:
        approvals = CommandRecord.objects.filter(name="ApproveSignal")
        sent = {order.intent_id for order in OrderRecord.objects.all()}
        count = Counter(row.signal_id for row in approvals if row.state not in ("refused", "expired") or row.intent_id in sent)
        assert max(count.values(), default=0) <= 1, count


class SignalLifeTest(TestCase, SignalLife.TestCase):
    """Runs the machine inside one transaction for each example."""

    settings = settings(max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
