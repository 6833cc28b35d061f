"""What was planned beside what the fills made of it, on the page of a position."""

from __future__ import annotations

from typing import Any

import pytest

from positions.models import OrderRecord
from positions.plans import planned_of
from positions.tests.people import logged_in
from positions.tests.rows import Trip, make_order, make_position

pytestmark = pytest.mark.django_db


def entry(**wish: Any) -> OrderRecord:
    made = {"quantity": 100, "expected_price": 150.0, "stop_loss": 149.0, "take_profit": 152.0} | wish
    return make_order("plan-E", position_id="plan-1", intent=made)


def test_the_page_says_planned_and_actual_entry_risk_and_target() -> None:
    record = make_position(Trip(entry=150.1, exit=None, stop=149.0, target=152.0), "plan-1")
    plan = planned_of(record, [entry().data])
    assert plan is not None
    assert (plan.price, plan.risk, plan.reward_r) == (150.0, 100.0, 2.0)
    assert plan.actual_risk == pytest.approx(110.0)
    assert plan.actual_reward_r == pytest.approx(1.9 / 1.1)
    page = " ".join(logged_in("trader").get("/positions/plan-1/").content.decode().split())
    assert "150.00 → 150.10" in page
    assert '100.00 → <span data-f="risk_amount">110.00</span>' in page
    assert "2.00 → 1.73<" in page


def test_an_entry_without_a_target_or_without_an_expectation_promises_nothing() -> None:
    record = make_position(Trip(exit=None), "plan-1")
    order = entry(take_profit=None, stop_loss=None)
    plan = planned_of(record, [order.data])
    assert plan is not None
    assert (plan.risk, plan.reward_r, plan.actual_risk, plan.actual_reward_r) == (None, None, None, None)
    assert planned_of(record, [order.data | {"intent": {"quantity": 100}}]) is None
    page = logged_in("viewer").get("/positions/plan-1/").content.decode()
    assert "Entry, planned → actual" in page
    assert "Target in R, planned → actual" not in page
