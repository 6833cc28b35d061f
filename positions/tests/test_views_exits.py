"""The exit-rules card and the tasks page: what each form files, who may, and what a bad form is told."""

from __future__ import annotations

import pytest
from django.test import Client

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord
from positions.models import OperatorTask
from positions.tests.people import logged_in
from positions.tests.rows import Trip, make_position

pytestmark = pytest.mark.django_db
KEY = "0b6f6b1e-1111-4222-8333-444455556666"
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def trader(db: None) -> Client:
    return logged_in("trader")


@pytest.fixture
def held(db: None) -> str:
    return make_position(Trip(exit=None, stop=145.0, target=160.0, last=152.0), "pos-open").position_id


@pytest.mark.parametrize(
    ("rule", "fields", "name", "payload"),
    [
        ("trailing", {"kind": "atr", "value": "2.5"}, "SetTrailing", {"kind": "atr", "value": 2.5}),
        ("trailing_off", {}, "ClearTrailing", {}),
        ("break_even", {"at_r": "1"}, "SetBreakEven", {"at_r": 1.0}),
        ("break_even", {"at_r": ""}, "SetBreakEven", {"at_r": None}),
        ("time_stop", {"minutes": "30", "at_session_end": "on"}, "SetTimeStop", {"minutes": 30.0, "at_session_end": True}),
        ("time_stop", {}, "SetTimeStop", {"minutes": None, "at_session_end": False}),
        ("target", {"at_r": "1", "percent": "50"}, "SetPartialTarget", {"at_r": 1.0, "percent": 50.0}),
        ("targets_off", {}, "ClearPartialTargets", {}),
        ("add", {"quantity": "50", "limit_price": "152.5"}, "ScaleIn", {"quantity": 50.0, "limit_price": 152.5}),
        ("reverse", {}, "ReversePosition", {"reason": "reversed by hand"}),
    ],
)
def test_each_form_of_the_card_files_its_command(trader, held, rule, fields, name, payload) -> None:
    answer = trader.post(f"/positions/{held}/exits/{rule}", {"key": KEY, **fields}, **JSON)
    assert answer.status_code == 202, answer.content
    command = CommandRecord.objects.get()
    assert (command.name, command.position_id) == (name, held)
    assert command.payload == {"position_id": held, **payload}


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("trailing", {"kind": "percent", "value": "NaN"}),
        ("trailing", {"kind": "dollars", "value": "2"}),
        ("trailing", {"kind": "percent", "value": "0"}),
        ("break_even", {"at_r": "-1"}),
        ("time_stop", {"minutes": "soon"}),
        ("target", {"at_r": "1", "percent": "101"}),
        ("add", {"quantity": "1.5", "limit_price": "10"}),
    ],
)
def test_a_form_that_makes_no_sense_files_nothing_and_says_why(trader, held, rule, fields) -> None:
    answer = trader.post(f"/positions/{held}/exits/{rule}", {"key": KEY, **fields}, **JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not CommandRecord.objects.exists()


def test_a_viewer_sees_what_is_armed_and_changes_nothing(held) -> None:
    viewer = logged_in("viewer")
    page = viewer.get(f"/positions/{held}/").content.decode()
    assert "Exit rules" in page
    assert "/exits/" not in page
    assert viewer.post(f"/positions/{held}/exits/trailing_off", {"key": KEY}).status_code == 403
    assert not CommandRecord.objects.exists()


def test_a_rule_nobody_knows_and_a_closed_position_are_refused(trader, held) -> None:
    closed = make_position(Trip(symbol="NVDA", entry=100.0, exit=110.0)).position_id
    assert trader.post(f"/positions/{held}/exits/martingale", {"key": KEY}, **JSON).status_code == 404
    assert trader.post(f"/positions/{closed}/exits/trailing_off", {"key": KEY}, **JSON).status_code == 409


def test_a_task_is_settled_once_with_a_note(trader) -> None:
    task = OperatorTask.objects.create(
        account=SIMULATED_ACCOUNT, key="k", kind="split", symbol="AAPL", title="AAPL: Looks like a split", opened_at=utc_now()
    )
    assert "Looks like a split" in trader.get("/tasks/").content.decode()
    trader.post(f"/tasks/{task.pk}/done", {"note": " "})
    task.refresh_from_db()
    assert task.state == "open"
    trader.post(f"/tasks/{task.pk}/done", {"note": "adopted the new shares"})
    trader.post(f"/tasks/{task.pk}/done", {"note": "again"})
    task.refresh_from_db()
    assert (task.state, task.done_by, task.note) == ("done", "trader", "adopted the new shares")
    assert logged_in("viewer").post(f"/tasks/{task.pk}/done", {"note": "x"}).status_code == 403
