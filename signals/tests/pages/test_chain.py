"""The steps of one signal's chain: told as far as they have happened."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from events.clock import utc_now
from events.models import CommandRecord
from positions.models import FillRecord, OrderRecord, PositionRecord
from signals.chain import Step, steps
from signals.models import SignalRecord

Maker = Callable[..., SignalRecord]
NOW = utc_now()


def named(found: list[Step]) -> dict[str, Step]:
    return {step.title: step for step in found}


def order(state: str, **more: Any) -> OrderRecord:
    return OrderRecord(order_id=state, symbol="AAPL", role="entry", state=state, created_at=NOW, **more)


def test_a_pending_signal_has_a_prediction_and_nothing_after_it(make_signal: Maker) -> None:
    found = steps(make_signal(), [], [], [], [])
    assert [step.title for step in found] == ["Prediction", "Decision", "Command", "Orders", "Fills", "Position", "Result"]
    assert [bool(step.at) for step in found] == [True, False, False, False, False, False, False]
    assert found[0].text == "91.0% sure"


def test_an_expired_signal_says_why_nobody_acted(make_signal: Maker) -> None:
    found = named(steps(make_signal(state="expired", reason="nobody decided in time"), [], [], [], []))
    assert (found["Decision"].state, found["Decision"].text) == ("expired", "nobody decided in time")


@pytest.mark.parametrize("state", ["filtered", "rejected", "expired", "superseded"])
def test_what_can_never_happen_is_not_said_to_be_not_yet(make_signal: Maker, signed_in: Callable[..., Any], state: str) -> None:
    make_signal(state=state)
    page = signed_in().get("/signals/s1/").content.decode()
    assert "not yet" not in page
    assert [step.title for step in steps(SignalRecord.objects.get(), [], [], [], [])] == ["Prediction", "Decision"]


def test_nothing_follows_a_refused_command_or_an_entry_that_ended_without_a_fill(make_signal: Maker) -> None:
    signal = make_signal(state="approved", decided_at=NOW)
    refused = CommandRecord(state="refused", created_at=NOW, finished_at=NOW)
    done = CommandRecord(state="done", created_at=NOW, finished_at=NOW)
    until_command, until_orders = ["Prediction", "Decision", "Command"], ["Prediction", "Decision", "Command", "Orders"]
    assert [step.title for step in steps(signal, [refused], [], [], [])] == until_command
    assert [step.title for step in steps(signal, [done], [order("canceled", perm_id=7)], [], [])] == until_orders
    assert len(steps(signal, [done], [order("working")], [], [])) == 7
    assert len(steps(signal, [done], [], [], [])) == 7
    assert len(steps(signal, [], [], [], [])) == 7


def test_an_open_position_has_no_result_yet(make_signal: Maker) -> None:
    signal = make_signal(state="approved", decided_by="ann", decided_at=NOW)
    command = CommandRecord(state="done", created_at=NOW, finished_at=NOW)
    fills = [FillRecord(quantity=Decimal(60), fill_time=NOW), FillRecord(quantity=Decimal("40.5"), fill_time=NOW)]
    position = PositionRecord(status="open", quantity=Decimal("-1200.0000"), created_at=NOW, open_time=NOW)
    found = named(steps(signal, [command], [order("filled"), order("working")], fills, [position]))
    assert found["Decision"].text == "by ann"
    assert found["Command"].state == "done"
    assert found["Orders"].text == "2 sent, 1 live"
    assert found["Fills"].text == "2 fills, 100.5 shares"
    assert found["Position"].text == "−1,200 held"
    assert found["Result"] == Step(title="Result", anchor="position")


def test_the_result_is_the_net_profit_once_everything_is_closed(make_signal: Maker) -> None:
    closed = [
        PositionRecord(status="closed", realized_pnl=Decimal(amount), created_at=NOW, open_time=NOW, close_time=NOW)
        for amount in ("10.5", "-0.25")
    ]
    assert named(steps(make_signal(), [], [], [], closed))["Result"].money == Decimal("10.25")


def test_a_position_that_was_planned_in_vain_is_neither_held_nor_a_result(make_signal: Maker) -> None:
    in_vain = PositionRecord(status="closed", created_at=NOW, close_time=NOW)
    found = named(steps(make_signal(), [], [], [], [in_vain]))
    assert (found["Position"], found["Result"]) == (Step(title="Position", anchor="position"), Step(title="Result", anchor="position"))


def test_what_was_refused_is_no_step_of_a_signal_that_waits_again_and_an_order_that_never_left_none_at_all(make_signal: Maker) -> None:
    command = CommandRecord(state="refused", created_at=NOW, finished_at=NOW)
    kept_back = OrderRecord(order_id="o", role="entry", state="canceled", code="link_down", created_at=NOW)
    found = named(steps(make_signal(version=3), [command], [kept_back], [], []))
    assert (found["Command"].state, found["Orders"].state) == ("", "")
    approved = named(steps(make_signal("s2", symbol="MSFT", state="approved"), [command], [kept_back, order("working")], [], []))
    assert (approved["Command"].state, approved["Orders"].text) == ("refused", "1 sent, 1 live")
