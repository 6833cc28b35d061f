"""A worker whose memory cannot be trusted ends by itself, the next one heals, and what ends workers again and again is set aside."""

from __future__ import annotations

from datetime import timedelta

import pytest

from events.clock import utc_now
from events.commands import ClosePosition, FlattenAll
from events.failstop import Breakdown
from events.journal import Fenced
from events.models import EventRecord, SetAside, WorkerEnd
from positions.lease import check_epoch, take_epoch
from positions.models import FillRecord, OrderRecord, PositionRecord, TradingState
from signals.models import WatchListEntry
from tradingsite.testing.live import LiveWorker
from tradingsite.testing.patience import eventually
from tradingsite.tests.trading_story import approval, file_wish, last_price, open_position, outcome
from tradingsite.worker import ends
from tradingsite.worker.worker import EXIT_UNTRUSTED

pytestmark = pytest.mark.django_db(transaction=True)
FILL = Breakdown(section="drain", cause="execution 0001.a", error="KeyError: 'x'", content="ExecutionReport(…)")


@pytest.fixture(autouse=True)
def watch_list(transactional_db):
    for symbol in ("AAPL", "MSFT", "NVDA"):
        WatchListEntry.objects.get_or_create(symbol=symbol)


# --- remembering ---


def free():
    """Nobody else has taken over."""


def test_three_ends_by_one_cause_within_ten_minutes_set_it_aside_once():
    for epoch in (1, 2):
        ends.record_end(free, epoch, FILL)
    ends.record_end(free, 3, Breakdown(section="tick", cause="section tick", error="x"))
    assert ends.load_set_aside(free, 4) == (frozenset(), [])
    ends.record_end(free, 4, FILL)
    causes, reasons = ends.load_set_aside(free, 5)
    assert causes == {"execution 0001.a"}
    assert reasons == ["execution 0001.a ended the worker 3 times and was set aside: KeyError: 'x'"]
    assert ends.load_set_aside(free, 6) == (causes, [])
    kept = SetAside.objects.get()
    assert (kept.kind, kept.content, kept.until, kept.epoch) == ("cause", "ExecutionReport(…)", None, 5)


def test_old_ends_do_not_count():
    for epoch in (1, 2, 3):
        ends.record_end(free, epoch, FILL)
    WorkerEnd.objects.update(at=utc_now() - ends.WITHIN - timedelta(seconds=1))
    assert ends.load_set_aside(free, 4) == (frozenset(), [])


def test_a_section_of_our_own_gets_another_chance_after_an_hour():
    for epoch in (1, 2, 3):
        ends.record_end(free, epoch, Breakdown(section="tick", cause="section tick", error="x"))
    assert ends.load_set_aside(free, 4)[0] == {"section tick"}
    WorkerEnd.objects.update(at=utc_now() - ends.SECTION_REST)
    SetAside.objects.update(until=utc_now())
    assert ends.load_set_aside(free, 5) == (frozenset(), [])


def test_a_worker_that_was_taken_over_writes_no_end():
    old = take_epoch()
    take_epoch()
    with pytest.raises(Fenced):
        ends.record_end(lambda: check_epoch(old), old, FILL)
    assert not WorkerEnd.objects.exists()


# --- real processes ---


@pytest.fixture
def breaking_worker(spawn, live_gateway, live_environment):
    """`start(failpoint)` starts a worker that breaks there; `heal()` starts a whole one on the same rows."""

    class Breaking:
        number = 0
        worker: LiveWorker

        def start(self, failpoint=""):
            self.number += 1
            environment = dict(live_environment) | ({"FAILPOINT": failpoint} if failpoint else {})
            self.worker = LiveWorker(spawn(f"ibworker{self.number}", "ibworker", environment=environment))
            return self.worker

        def ended(self):
            return self.worker.process.wait()

        def heal(self):
            self.start().wait_until_ready()

    return Breaking()


def test_a_fill_that_breaks_the_worker_ends_it_and_the_next_one_records_it_once(breaking_worker, truth):
    breaking_worker.start("fill.applied:raise").wait_until_ready()
    wish = file_wish(approval("AAPL"))
    assert breaking_worker.ended() == EXIT_UNTRUSTED
    end = WorkerEnd.objects.get()
    assert (end.section in ("drain", "guard", "tick"), end.error) == (True, "FailpointReached: fill.applied")
    assert end.cause == f"execution {truth.executions()[0]['exec_id']}"
    breaking_worker.heal()
    assert outcome(wish).state == "done"
    position = eventually(lambda: PositionRecord.objects.filter(status="open", stop_state="resting").first(), what="held and protected")
    assert float(position.quantity) == 100
    eventually(lambda: sum(f.quantity for f in FillRecord.objects.all()) == 100, what="every execution has its row")
    assert EventRecord.objects.filter(event_type="HandlerFailedEvent", data__error="FailpointReached: fill.applied").exists()
    assert TradingState.objects.get().state == "active"


def test_an_execution_that_breaks_every_worker_is_set_aside_and_the_desk_lives_on_halted(breaking_worker, truth):
    breaking_worker.start("fill.applied:raise").wait_until_ready()
    wish = file_wish(approval("AAPL"))
    assert breaking_worker.ended() == EXIT_UNTRUSTED
    for _ in range(2):
        breaking_worker.start("fill.applied:raise")
        assert breaking_worker.ended() == EXIT_UNTRUSTED
    assert set(WorkerEnd.objects.values_list("cause", flat=True)) == {f"execution {truth.executions()[0]['exec_id']}"}
    breaking_worker.start("fill.applied:raise:2")
    kept = eventually(SetAside.objects.first, what="it was set aside")
    state = eventually(lambda: TradingState.objects.filter(state="halted").first(), what="trading is halted")
    assert kept.key in state.reason
    assert "ExecutionReport" in kept.content
    eventually(lambda: outcome(wish).state == "done", what="the desk goes on working")
    assert breaking_worker.worker.process.running
    refused = outcome(file_wish(approval("MSFT", price=100.0)))
    assert refused.state == "refused"


@pytest.mark.parametrize(
    "point", ["command.handled:exit", "close.begin:raise", "order.committed:exit", "order.sent:exit", "close.sent:raise", "close.sent:exit"]
)
def test_a_close_broken_anywhere_is_one_exit_and_says_what_became_of_it(breaking_worker, truth, point):
    breaking_worker.start().wait_until_ready()
    position = open_position("AAPL")
    breaking_worker.worker.kill()
    breaking_worker.start(point).wait_until_ready()
    wish = file_wish(ClosePosition(position_id=position.pk))
    breaking_worker.ended()
    breaking_worker.heal()
    assert outcome(wish).state == "done", wish.reason
    eventually(lambda: PositionRecord.objects.get(pk=position.pk).status == "closed", what="closed")
    exits = OrderRecord.objects.filter(role="exit")
    assert [order.intent_id for order in exits] == [f"command-{wish.pk}"]
    assert truth.positions() == {}
    assert len([o for o in truth.orders() if o["kind"] == "MKT"]) == 1


@pytest.mark.parametrize("point", ["command.handled:exit", "close.sent:exit", "cancel.sent:raise"])
def test_flattening_broken_anywhere_is_one_exit_for_each_position(breaking_worker, truth, point):
    breaking_worker.start().wait_until_ready()
    open_position("AAPL")
    open_position("MSFT", 50)
    resting = outcome(file_wish(approval("NVDA", quantity=10, price=last_price("NVDA"), through=-0.02)))
    assert resting.state == "done", resting.reason
    breaking_worker.worker.kill()
    breaking_worker.start(point).wait_until_ready()
    wish = file_wish(FlattenAll(reason="enough"))
    breaking_worker.ended()
    breaking_worker.heal()
    assert outcome(wish).state == "done", wish.reason
    eventually(lambda: not PositionRecord.objects.exclude(status="closed").exists(), what="nothing is held or on its way")
    assert truth.positions() == {}
    assert sorted((o["symbol"], o["side"]) for o in truth.orders() if o["kind"] == "MKT") == [("AAPL", "SELL"), ("MSFT", "SELL")]


@pytest.mark.parametrize(
    "point", ["modify.committed:raise", "modify.sent:exit", "order.committed:raise", "order.sent:exit", "command.handled:exit"]
)
def test_a_partial_close_broken_anywhere_is_at_most_one_exit_and_the_stop_fits_what_is_left(breaking_worker, truth, point):
    breaking_worker.start().wait_until_ready()
    position = open_position("AAPL")
    breaking_worker.worker.kill()
    breaking_worker.start(point).wait_until_ready()
    wish = file_wish(ClosePosition(position_id=position.pk, quantity=40))
    breaking_worker.ended()
    breaking_worker.heal()
    answered = outcome(wish)
    assert (answered.state, answered.code) in (("done", ""), ("refused", "never_sent")), answered.reason
    sold = 40 if answered.state == "done" else 0

    def as_told():
        held = truth.positions().get("AAPL", 0)
        stops = [o["quantity"] - o["filled"] for o in truth.orders() if o["kind"] == "STP" and o["status"] in ("PreSubmitted", "Submitted")]
        return held == 100 - sold and stops == [held]

    eventually(as_told, what=f"{sold} sold, once, and a stop for the rest")
    assert len([o for o in truth.orders() if o["kind"] == "MKT"]) == (1 if sold else 0)
