"""Order: its state machine as a table, its ledger, and the reports that move it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from events.order import OrderRole, OrderSide, OrderState, OrderType, PendingRequest
from positions.domain.ledger import Entry, Execution, FillLedger, split_exec_id
from positions.domain.order import Order
from positions.domain.order_reports import after_execution, read_error, read_report
from positions.domain.order_states import LIVE, TERMINAL, TRANSITIONS, Trigger
from positions.domain.ports import ErrorReport, OrderReport

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)


def order(state: OrderState = OrderState.WORKING, **changes: object) -> Order:
    made = Order(
        order_id="o1",
        order_ref="T1-E",
        symbol="AAPL",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=100,
        role=OrderRole.ENTRY,
        limit_price=100.0,
        now=lambda: AT,
    )
    made.state = state
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def report(status: str = "Submitted", **changes: object) -> OrderReport:
    plain = OrderReport(order_ref="T1-E", ib_order_id=1, client_id=17, perm_id=9, status=status, received_at=AT)
    return replace(plain, **changes)  # type: ignore[arg-type]


def execution(exec_id: str = "a.01", quantity: int = 10, price: str = "100", *, busted: bool = False) -> Execution:
    return Execution(exec_id=exec_id, quantity=Decimal(quantity), price=Decimal(price), time=AT, busted=busted)


def error(code: int, message: str = "words") -> ErrorReport:
    return ErrorReport(code=code, message=message, ib_order_id=1, received_at=AT)


def test_only_a_query_brings_a_finished_order_back_to_life() -> None:
    for (source, trigger), target in TRANSITIONS.items():
        if source in TERMINAL and target in LIVE and trigger is not Trigger.UNFILLED:
            assert trigger.value.startswith("query_"), (source, trigger, target)


def test_a_denied_order_goes_nowhere_and_a_planned_one_only_by_us() -> None:
    assert not any(source is OrderState.DENIED for source, _ in TRANSITIONS)
    planned = {trigger for source, trigger in TRANSITIONS if source is OrderState.PLANNED}
    assert planned == {Trigger.CLAIM, Trigger.DENY, Trigger.NEVER_SENT}


@pytest.mark.parametrize("state", list(OrderState))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_what_the_table_does_not_list_changes_nothing(state: OrderState, trigger: Trigger) -> None:
    made = order(state)
    before = made.to_dict()
    made.move(trigger)
    if (state, trigger) in TRANSITIONS:
        assert made.state is TRANSITIONS[state, trigger]
    else:
        assert {**made.to_dict(), "anomalies": 0} == before
        assert made.anomalies == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ApiPending", OrderState.PENDING_NEW),
        ("PendingSubmit", OrderState.PENDING_NEW),
        ("PreSubmitted", OrderState.HELD),
        ("Submitted", OrderState.WORKING),
        ("Inactive", OrderState.SUSPENDED),
        ("Cancelled", OrderState.CANCELED),
        ("ApiCancelled", OrderState.CANCELED),
        ("Gibberish", OrderState.SENDING),
    ],
)
def test_the_brokers_words_have_one_meaning(status: str, state: OrderState) -> None:
    made = order(OrderState.SENDING)
    read_report(made, report(status), AT)
    assert made.state is state
    assert made.perm_id == 9
    assert made.ib_status == status


def test_filled_by_status_alone_is_not_filled() -> None:
    made = order()
    read_report(made, report("Filled", filled=100.0), AT)
    assert made.state is OrderState.WORKING
    assert made.short_since == AT
    made.execute(execution(quantity=100))
    after_execution(made)
    assert made.state is OrderState.FILLED
    assert made.short_since is None


def test_an_order_that_its_group_shrank_while_we_were_away_is_filled_at_its_new_size() -> None:
    made = order(OrderState.IN_DOUBT)
    made.ledger.add(execution(quantity=40))
    read_report(made, report("Filled", filled=40.0, completed=True, from_query=True), AT)
    assert (made.state, made.quantity) == (OrderState.FILLED, 40)


def test_a_stale_submitted_after_the_last_fill_is_ignored() -> None:
    made = order()
    made.execute(execution(quantity=100))
    read_report(made, report("Submitted"), AT)
    read_report(made, report("Submitted", from_query=True), AT)
    assert made.state is OrderState.FILLED


def test_a_query_that_shows_it_alive_reopens_a_cancelled_order_and_a_push_does_not() -> None:
    made = order(OrderState.CANCELED)
    read_report(made, report("Submitted"), AT)
    assert made.state is OrderState.CANCELED
    read_report(made, report("Submitted", from_query=True), AT)
    assert made.state is OrderState.WORKING


def test_an_answer_older_than_what_we_know_is_not_believed() -> None:
    made = order(OrderState.CANCELED)
    read_report(made, report("Submitted", from_query=True, received_at=AT.replace(hour=14)), AT)
    assert made.state is OrderState.CANCELED


def test_a_locate_is_a_hold_and_a_refusal_explains_inactive() -> None:
    made = order()
    read_report(made, report("Inactive", why_held="locate"), AT)
    assert made.state is OrderState.HELD
    read_error(made, error(201, "no margin"))
    read_report(made, report("Inactive"), AT)
    assert (made.state, made.message) == (OrderState.REJECTED, "no margin")


@pytest.mark.parametrize("code", [110, 200, 201, 203, 321, 10268])
def test_a_refusal_before_any_answer_is_a_rejection(code: int) -> None:
    made = order(OrderState.SENDING)
    assert read_error(made, error(code)) == ""
    assert made.state is OrderState.REJECTED
    assert made.code == str(code)


def test_a_duplicate_id_is_doubt_not_rejection() -> None:
    made = order(OrderState.SENDING)
    assert read_error(made, error(103))
    assert made.state is OrderState.IN_DOUBT


@pytest.mark.parametrize("code", [104, 105, 135, 161, 10147, 10148, 10326])
def test_an_error_about_a_request_leaves_the_order_alive_and_asks(code: int) -> None:
    made = order()
    made.ask_replace(limit_price=101.0)
    assert read_error(made, error(code))
    assert made.state is OrderState.WORKING
    assert made.pending is PendingRequest.NONE
    assert made.refused_change == {}  # it came at a wrong moment, and may be asked for again


@pytest.mark.parametrize("code", [110, 201, 321])
def test_a_change_that_is_refused_for_what_it_asks_is_remembered(code: int) -> None:
    made = order()
    made.ask_replace(limit_price=101.0)
    assert read_error(made, error(code))
    assert (made.pending, made.refused_change) == (PendingRequest.NONE, {"limit_price": 101.0})


def test_a_number_nobody_has_seen_waits_for_a_reading_to_say_what_it_refused() -> None:
    made = order()
    made.ask_replace(limit_price=101.0)
    assert read_error(made, error(99999)) == ""
    assert (made.state, made.pending) == (OrderState.WORKING, PendingRequest.REPLACE)
    assert made.objection["code"] == "99999"
    assert Order.from_dict(made.to_dict()).objection == made.objection


def test_a_replace_is_confirmed_by_the_price_it_asked_for_and_a_cancel_outranks_it() -> None:
    made = order()
    made.ask_replace(limit_price=101.0)
    assert not read_report(made, report(limit_price=100.0), AT)
    assert read_report(made, report(limit_price=101.0), AT)
    assert (made.limit_price, made.pending) == (101.0, PendingRequest.NONE)
    made.ask_replace(limit_price=102.0)
    made.ask_cancel()
    read_report(made, report("Submitted", limit_price=101.0), AT)
    assert made.pending is PendingRequest.CANCEL
    assert made.desired == {}


def test_a_size_the_broker_changed_by_itself_is_taken_over() -> None:
    made = order()
    read_report(made, report(quantity=60.0), AT)
    assert made.quantity == 60


@pytest.mark.parametrize(
    ("exec_id", "parts"),
    [("0001.65a.01.02", ("0001.65a.01", 2)), ("plain", ("plain", 1)), ("a.b", ("a.b", 1)), (".01", (".01", 1))],
)
def test_an_execution_id_is_a_base_and_a_revision(exec_id: str, parts: tuple[str, int]) -> None:
    assert split_exec_id(exec_id) == parts


def test_a_bust_that_comes_first_still_counts() -> None:
    ledger = FillLedger()
    assert ledger.add(execution("a.02", busted=True))[0] is Entry.BUSTED
    assert ledger.add(execution("a.01"))[0] is Entry.KNOWN
    assert ledger.quantity == 0


@given(st.permutations([("a.01", 10), ("a.02", 7), ("a.03", 9), ("b.01", 5), ("b.01", 5), ("a.02", 7)]))
def test_whatever_order_they_come_in_the_highest_revision_counts(arrivals: list[tuple[str, int]]) -> None:
    ledger = FillLedger()
    for exec_id, quantity in arrivals:
        ledger.add(execution(exec_id, quantity))
    assert ledger.quantity == 14


class OrderMachine(RuleBasedStateMachine):
    """Any reports in any order, against a dictionary of executions."""

    def __init__(self) -> None:
        super().__init__()
        self.order = order(OrderState.PLANNED)
        self.order.move(Trigger.CLAIM)
        self.model: dict[str, tuple[int, int]] = {}  # base → revision, quantity
        self.version = 0

    @rule(base=st.sampled_from("abcd"), revision=st.integers(1, 3), quantity=st.integers(1, 25))
    def execute(self, base: str, revision: int, quantity: int) -> None:
        known = self.model.get(base, (0, 0))
        self.order.execute(execution(f"{base}.{revision:02d}", quantity))
        after_execution(self.order)
        if revision > known[0]:
            self.model[base] = (revision, quantity)

    @rule(
        status=st.sampled_from(["PendingSubmit", "PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive", "PendingCancel", "?"]),
        filled=st.integers(0, 100),
        query=st.booleans(),
    )
    def hear(self, status: str, filled: int, query: bool) -> None:
        read_report(self.order, report(status, filled=float(filled), from_query=query), AT)

    @rule(code=st.sampled_from([103, 104, 110, 161, 201, 202, 399, 10148, 10349, 5]))
    def fail(self, code: int) -> None:
        read_error(self.order, error(code))

    @rule(cancel=st.booleans())
    def ask(self, cancel: bool) -> None:
        if self.order.is_live:
            self.order.ask_cancel() if cancel else self.order.ask_replace(limit_price=101.0)

    @rule()
    def silence(self) -> None:
        self.order.move(Trigger.SILENCE)

    @rule()
    def restore(self) -> None:
        again = Order.from_dict(self.order.to_dict(), now=lambda: AT)
        assert again.to_dict() == self.order.to_dict()
        self.order = again

    @invariant()
    def the_ledger_is_the_models(self) -> None:
        assert self.order.filled_quantity == sum(quantity for _, quantity in self.model.values())

    @invariant()
    def filled_means_full_and_an_end_has_nothing_pending(self) -> None:
        if self.order.state is OrderState.FILLED:
            assert self.order.filled_quantity >= self.order.quantity
        if self.order.is_terminal:
            assert self.order.pending is PendingRequest.NONE
            assert self.order.finished_at is not None
        if self.order.filled_quantity >= self.order.quantity:
            assert self.order.state is OrderState.FILLED

    @invariant()
    def its_version_never_goes_back(self) -> None:
        assert self.order.version >= self.version
        self.version = self.order.version


OrderMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestOrderMachine = OrderMachine.TestCase
