"""The card asks the worker's own checks: what would be refused there is refused here, with its values, before anybody approves."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import parse_command
from events.models import CommandRecord, WorkerLease
from positions.domain.risk import ENTRY_CHECKS, not_expired
from positions.models import OrderRecord, PositionRecord, RiskLimits, ScopedLimitRecord, TradingState
from positions.tests.rows import Trip, make_position
from signals import facts
from signals.domain.entry import entry_intent
from signals.facts import gather
from signals.gate import CARD_CHECKS, intent_of
from signals.models import SignalRecord
from signals.objections import objections_to
from signals.proposal import Ticket, propose
from signals.tests.pages.proposals import pending_proposals


def entry_order(
    order_id: str, *, symbol: str = "AAPL", side: str = "buy", quantity: float = 100, price: float = 150.2, state: str = "working",
    role: str = "entry", ago: float = 60, **more: Any,
) -> OrderRecord:  # fmt: skip
    at = utc_now() - timedelta(seconds=ago)
    row = {"symbol": symbol, "side": side, "quantity": quantity, "limit_price": price, "state": state, "role": role, "order_type": "limit"}
    row |= {"order_ref": order_id, "time_in_force": "day", "created_at": at, "updated_at": at, "ib_status": "Submitted"}
    return OrderRecord.objects.create(account=SIMULATED_ACCOUNT, order_id=order_id, **(row | more))


def position(symbol: str, *, quantity: float = 100, price: float = 150.0, stop: float | None = 149.0) -> None:
    now = utc_now()
    PositionRecord.objects.create(
        account=SIMULATED_ACCOUNT,
        position_id=f"p-{symbol}", symbol=symbol, status="open", quantity=quantity, entry_price=price, current_price=price,
        stop_loss=stop, created_at=now, updated_at=now,
    )  # fmt: skip


def limits(**changed: Any) -> Callable[[], Any]:
    return lambda: RiskLimits.objects.update(**changed)


REFUSALS: list[tuple[str, Callable[[], Any]]] = [
    ("self_cross", lambda: entry_order("o1", side="sell", price=149.0, role="target")),
    ("in_doubt", lambda: entry_order("o1", state="in_doubt", price=140.0)),
    ("duplicate", lambda: entry_order("o1", signal_id="s1")),
    ("working_orders", lambda: [limits(max_working_orders=3)(), entry_order("o1"), entry_order("o2"), entry_order("o3")]),
    ("max_position", lambda: [limits(max_position_notional=20_000)(), entry_order("o1", price=150.0)]),
    ("max_positions", lambda: [limits(max_open_positions=1)(), entry_order("o1", symbol="MSFT")]),
    ("max_risk", lambda: [limits(max_open_risk=200)(), position("MSFT", stop=148.5)]),
    ("symbol_risk", limits(max_symbol_risk=90)),
    ("day_entries", lambda: [limits(max_day_entries=1)(), entry_order("o1", state="filled", quantity=50, filled_quantity=50, ago=0.5)]),
    ("day_notional", limits(max_day_notional=15_000)),
    ("repeat_limit", lambda: [limits(max_symbol_repeats=1)(), entry_order("o1", quantity=7)]),
    ("same_shape", lambda: entry_order("o1", ago=1)),
    ("scope_notional", lambda: ScopedLimitRecord.objects.create(scope="symbol", name="AAPL", max_order_notional=1_000)),
    ("scope_quantity", lambda: ScopedLimitRecord.objects.create(scope="source", name="options flow", max_order_quantity=5)),
    ("scope_quantity", lambda: ScopedLimitRecord.objects.create(scope="account", name="DUSIM001", max_order_quantity=5)),
]


@pytest.mark.parametrize(("code", "arrange"), REFUSALS, ids=[f"{at}-{code}" for at, (code, _) in enumerate(REFUSALS)])
def test_what_the_worker_would_refuse_the_card_and_the_decision_refuse(code, arrange, make_signal, signed_in, ticket):
    make_signal("s1")
    arrange()
    answer = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert SignalRecord.objects.get().state == "pending"


def test_what_is_held_counts_by_the_rows_that_the_worker_writes(make_signal, signed_in, ticket):
    make_signal("s1")
    make_position(Trip(symbol="MSFT", exit=None, stop=140.0))  # its fills are in rows of their own
    limits(max_open_risk=1_050)()
    answer = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "max_risk")
    assert ["at risk in all", "$1,000.00"] in answer.json()["refusals"][0]["figures"]


@pytest.mark.parametrize("whose", ["the web server's", "the worker's"])
def test_a_clock_that_is_away_from_the_databases_refuses_entries(whose, make_signal, signed_in, ticket, monkeypatch):
    """By either clock an approval's life is measured: at the web server it begins, at the worker it ends."""
    make_signal("s1")
    if whose == "the worker's":
        lease = WorkerLease.objects.get()
        WorkerLease.objects.update(health=lease.health | {"database": {"state": "degraded", "detail": "", "clock_skew": -4.0}})
    else:
        monkeypatch.setattr(facts, "database_skew", lambda: -4.0)
    answer = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "clock_skew")
    assert "4 s behind the database's" in answer.content.decode()


def test_the_card_says_what_it_is_with_its_values_and_what_to_do(make_signal):
    make_signal("s1")
    limits(max_symbol_risk=1)()
    [row] = [proposal.as_row() for proposal in pending_proposals()]
    [refusal] = row["refusals"]
    assert refusal["code"] == "symbol_risk"
    assert refusal["values"]["limit"] == 1
    assert ["limit", "$1.00"] in refusal["figures"]
    assert refusal["what_to_do"] == "Make it smaller, or bring the stop closer."


def test_a_close_is_not_asked_what_entries_are(make_signal, signed_in, ticket):
    make_signal("s1", direction=-1, action="close_long")
    position("AAPL")
    limits(max_day_entries=0, max_open_risk=0)()
    answer = signed_in().post("/signals/s1/approve", ticket(entry=149.8, stop=None, target=None), headers={"accept": "application/json"})
    assert answer.status_code == 202


def test_every_check_of_the_gate_but_the_approvals_own_age_is_asked():
    assert set(ENTRY_CHECKS) - set(CARD_CHECKS) == {not_expired}


def test_the_approval_keeps_what_was_shown(make_signal, signed_in, ticket):
    make_signal("s1")
    signed_in().post("/signals/s1/approve", ticket())
    shown = SignalRecord.objects.get().decision["shown"]
    assert (shown["last"], shown["held"], shown["risk_dollars"]) == (150.0, 0.0, 100.0)
    assert shown["limits_version"].endswith(" 0")
    assert (shown["price_then"], shown["allowed_drift"]) == (150.0, pytest.approx(0.005))
    assert date.fromisoformat(shown["session"])


def test_the_card_is_judged_by_the_very_entry_that_the_worker_makes_of_the_command(make_signal, signed_in, ticket):
    signal = make_signal("s1", direction=-1, action="open_short")
    typed = Ticket(quantity=60, entry=149.8, stop=151.05, target=147.1)
    judged = intent_of(propose(signal, gather({"AAPL"}), typed))
    signed_in().post("/signals/s1/approve", ticket(quantity=60, entry=149.8, stop=151.05, target=147.1))
    record = CommandRecord.objects.get()
    command = parse_command(record.name, record.payload)
    names = set(inspect.signature(entry_intent).parameters) - {"intent_id"}
    made = entry_intent(intent_id=f"card-{signal.signal_id}", **{name: getattr(command, name) for name in names})
    assert judged == made


def test_every_reason_is_given_at_once_each_with_its_numbers_and_what_to_do(make_signal, signed_in, ticket, desk):
    make_signal("s1", price=140.0)
    limits(max_symbol_risk=1, max_order_notional=1_000)()
    TradingState.objects.update(state="halted", reason="fire drill")
    [row] = [proposal.as_row() for proposal in pending_proposals()]
    expected = ["halted", "drift", "symbol_risk"]
    assert [refusal["code"] for refusal in row["refusals"]] == expected  # its own size keeps within the order's limit
    answer = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"})
    said = answer.json()
    assert (answer.status_code, said["code"]) == (422, "halted")
    assert [refusal["code"] for refusal in said["refusals"]] == ["halted", "drift", "max_notional", "symbol_risk"]
    assert all(refusal["message"] in said["error"] and refusal["what_to_do"] in said["error"] for refusal in said["refusals"])
    drift = said["refusals"][1]
    assert dict(drift["figures"])["price now"] == "150.00"
    assert drift["values"]["limit_pct"] < drift["values"]["drift_pct"]
    page = signed_in().get("/signals/").content.decode()
    assert [page.count(f'<li data-code="{code}">') for code in expected] == [1, 1, 1]
    assert "An admin has to resume it first." in page


def test_one_trouble_is_named_once_and_what_is_over_is_only_over(make_signal, signed_in, ticket, desk):
    make_signal("s1")
    desk.quote("AAPL", age=60)
    stale = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"}).json()
    assert [refusal["code"] for refusal in stale["refusals"]] == ["stale_price"]
    WorkerLease.objects.update(health={"account": "DUSIM001"})
    missing = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"}).json()
    assert [refusal["code"] for refusal in missing["refusals"]] == ["no_price"]
    SignalRecord.objects.update(expires_at=utc_now())
    over = signed_in().post("/signals/s1/approve", ticket(), headers={"accept": "application/json"}).json()
    assert [refusal["code"] for refusal in over["refusals"]] == ["expired"]


def test_without_scripts_the_refusal_lists_every_reason(make_signal, signed_in, ticket):
    make_signal("s1")
    limits(max_symbol_risk=1, max_open_risk=1)()
    page = signed_in().post("/signals/s1/approve", ticket()).content.decode()
    assert page.count('<li data-code="') == 2


def test_after_a_half_day_has_closed_an_approval_is_refused_and_says_when_the_market_opens(make_signal, settings):
    make_signal("s1")
    settings.TRADING_MODE = "paper"
    [proposal] = pending_proposals()
    at_close = gather(["AAPL"], now=datetime(2026, 11, 27, 18, 0, tzinfo=UTC))
    found = {objection.code: objection for objection in objections_to(proposal, at_close)}
    assert found["market_closed"].what_to_do == "Wait for the regular session: it opens Mon, Nov 30, 09:30 EST."
    before = gather(["AAPL"], now=datetime(2026, 11, 27, 17, 0, tzinfo=UTC))
    assert "market_closed" not in {objection.code for objection in objections_to(proposal, before)}
