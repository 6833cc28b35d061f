"""The admin asks the worker and never writes its rows."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from events.models import CommandRecord
from positions.models import RiskLimits, TradingState
from positions.tests.rows import Trip, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_worker_answers(monkeypatch):
    """Nobody is there to answer, so nobody waits for an answer."""
    monkeypatch.setattr("positions.admin.ANSWER_SECONDS", 0)


@pytest.fixture
def admin(client):
    user = User.objects.create_user("chief", password="a long password", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user)
    return client


@pytest.fixture
def held():
    return make_position(Trip(symbol="AAPL", exit=None, stop=145.0, target=160.0, last=151.0), "held")


def page(record):
    return reverse("admin:positions_positionrecord_change", args=[record.pk])


def save(client, record, *, stop, target, key="k1"):
    return client.post(page(record), {"stop_loss": stop, "take_profit": target, "key": key}, follow=True)


def test_saving_a_new_stop_files_a_command_and_writes_nothing(admin, held):
    answer = save(admin, held, stop="147.5", target="160")
    [command] = CommandRecord.objects.all()
    assert (command.name, command.payload, command.state) == ("ChangeStop", {"position_id": "held", "price": 147.5}, "pending")
    assert command.created_by.username == "chief"
    held.refresh_from_db()
    assert held.stop_loss == Decimal("145")
    text = answer.content.decode()
    assert "Asked the worker to move the stop to 147.5" in text
    assert "was changed successfully" not in text


def test_stop_and_target_together_are_two_commands(admin, held):
    save(admin, held, stop="147.5", target="165")
    assert sorted(CommandRecord.objects.values_list("name", flat=True)) == ["ChangeStop", "ChangeTarget"]


def test_the_same_form_sent_twice_is_one_command(admin, held):
    save(admin, held, stop="147.5", target="160")
    save(admin, held, stop="147.5", target="160")
    assert CommandRecord.objects.count() == 1


def test_saving_without_a_change_asks_for_nothing(admin, held):
    save(admin, held, stop="145", target="160")
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize("bad", ["", "-1", "0", "NaN", "Infinity", "abc", "1e30"])
def test_a_stop_that_is_no_price_is_refused_on_the_page(admin, held, bad):
    answer = save(admin, held, stop=bad, target="160")
    assert answer.status_code == 200
    assert not CommandRecord.objects.exists()


def test_the_page_shows_what_became_of_the_wish(admin, held):
    save(admin, held, stop="147.5", target="160")
    assert "waiting for the worker" in admin.get(page(held)).content.decode()
    CommandRecord.objects.update(state="refused", reason="The stop must be below <the market>.", finished_at=datetime.now(UTC))
    text = admin.get(page(held)).content.decode()
    assert "<strong>refused</strong>" in text
    assert "The stop must be below &lt;the market&gt;." in text
    assert re.search(r'class="error">Stop change to 147.50: refused. The stop must be below &lt;the market&gt;.', text)


def test_numbers_times_and_names_are_written_as_on_the_desk(admin):
    record = make_position(Trip(symbol="AAPL", exit=None, stop=145.5, target=160.0, last=151.0), "held")
    form = admin.get(page(record)).content.decode()
    assert re.search(r'name="stop_loss" value="145.50"', form)
    assert re.search(r'name="take_profit" value="160.00"', form)
    listed = admin.get(reverse("admin:positions_positionrecord_changelist")).content.decode()
    for shown in (form, listed):
        assert "145.500000" not in shown.replace("145.5000000", "")
        assert "Unrealized P&amp;L" in shown
        assert re.search(r"E[SD]T</span>", shown)
    assert "Select position to" in listed


def test_a_closed_position_offers_nothing_to_edit(admin):
    closed = make_position(Trip(symbol="AAPL"), "closed")
    assert 'name="stop_loss"' not in admin.get(page(closed)).content.decode()
    save(admin, closed, stop="1", target="2")
    assert not CommandRecord.objects.exists()


@pytest.mark.parametrize("model", ["orderrecord", "fillrecord", "equitypoint", "minutebar"])
def test_the_written_record_can_be_read_but_not_added_to(admin, model):
    assert admin.get(reverse(f"admin:positions_{model}_changelist")).status_code == 200
    assert admin.get(reverse(f"admin:positions_{model}_add")).status_code == 403


def test_positions_can_neither_be_added_nor_deleted(admin, held):
    assert admin.get(reverse("admin:positions_positionrecord_add")).status_code == 403
    assert admin.post(reverse("admin:positions_positionrecord_delete", args=[held.pk])).status_code == 403


@pytest.mark.parametrize(("action", "name"), [("halt", "HaltTrading"), ("reduce_only", "ReduceOnly")])
def test_the_switch_is_turned_by_command(admin, action, name):
    state = TradingState.objects.get()
    admin.post(reverse("admin:positions_tradingstate_changelist"), {"action": action, "_selected_action": [state.pk]}, follow=True)
    assert CommandRecord.objects.get().name == name
    state.refresh_from_db()
    assert state.state == "active"


def test_the_one_row_of_limits_is_edited_but_not_multiplied(admin):
    limits = RiskLimits.objects.get()
    address = reverse("admin:positions_risklimits_change", args=[limits.pk])
    fields = {f.name: getattr(limits, f.name) for f in RiskLimits._meta.concrete_fields if f.name not in ("id", "updated_at")}
    admin.post(address, fields | {"max_order_quantity": 77, "change_reason": "a test"})
    assert RiskLimits.objects.get().max_order_quantity == 77
    assert admin.get(reverse("admin:positions_risklimits_add")).status_code == 403
