"""Alarms: one row for one episode, louder when nobody looks, gone only when somebody has acknowledged them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from events.clock import utc_now
from events.journal import Fenced
from positions.alarms import Trouble, acknowledge, keep_in_step, waiting_rows
from positions.models import AlarmRecord
from positions.tests.people import logged_in

pytestmark = pytest.mark.django_db
NOW = utc_now()
LOST = Trouble(kind="link", about="broker", text="The link is down.", since=NOW, after=30)


def free() -> None:
    """A fence that lets pass."""


def step(seconds: float, *troubles: Trouble, blind: frozenset[str] = frozenset()) -> list[str]:
    raised = keep_in_step(free, 1, troubles, blind=blind, now=NOW + timedelta(seconds=seconds))
    return [alarm.text for alarm in raised]


def test_trouble_becomes_an_alarm_when_it_has_lasted_and_stays_one_row():
    assert step(10, LOST) == []
    assert step(30, LOST) == ["The link is down."]
    assert step(40, LOST) == []
    assert AlarmRecord.objects.get().first_seen == NOW


def test_an_alarm_that_ended_waits_until_somebody_has_acknowledged_it():
    step(30, LOST)
    step(60)
    assert AlarmRecord.objects.get().ended_at == NOW + timedelta(seconds=60)
    assert len(waiting_rows()) == 1
    assert acknowledge(AlarmRecord.objects.get().pk, by="ann", note="router restarted")
    assert waiting_rows() == []


def test_trouble_that_comes_back_is_the_same_row_until_acknowledged_and_a_new_one_after():
    step(30, LOST)
    step(60)
    assert step(100, LOST) == ["The link is down."]
    alarm = AlarmRecord.objects.get()
    assert (alarm.times, alarm.ended_at) == (2, None)
    acknowledge(alarm.pk, by="ann", note="")
    assert step(110, LOST) == []
    step(120)
    step(160, LOST)
    assert AlarmRecord.objects.count() == 2
    assert len(waiting_rows()) == 1


def test_what_cannot_be_judged_now_neither_ends_nor_is_raised_again():
    stop = Trouble(kind="no_stop", about="p1", text="AAPL has no stop", since=NOW)
    step(0, stop)
    step(10, blind=frozenset({"no_stop"}))
    assert AlarmRecord.objects.get().ended_at is None


def test_a_restarted_worker_goes_on_with_the_alarm_even_before_the_trouble_has_lasted_again():
    step(30, LOST)
    again = Trouble(kind="link", about="broker", text="The link is down.", since=NOW + timedelta(seconds=40), after=30)
    step(41, again)
    alarm = AlarmRecord.objects.get()
    assert (alarm.ended_at, alarm.times) == (None, 1)


def test_a_worker_that_was_taken_over_writes_no_alarm():
    def fence() -> None:
        raise Fenced("a newer worker has taken over")

    with pytest.raises(Fenced):
        keep_in_step(fence, 1, [Trouble(kind="x", about="y", text="z", since=NOW)])
    assert not AlarmRecord.objects.exists()


def test_nobody_acknowledging_makes_it_urgent(settings):
    settings.ALARM_ESCALATE_SECONDS = 300
    step(30, LOST)
    assert [row["severity"] for row in waiting_rows(NOW + timedelta(seconds=299))] == ["act"]
    assert [row["severity"] for row in waiting_rows(NOW + timedelta(seconds=300))] == ["urgent"]


def test_every_page_shows_it_a_trader_acknowledges_it_once_and_a_viewer_cannot():
    step(30, LOST)
    alarm = AlarmRecord.objects.get()
    path = reverse("positions:alarm_acknowledge", args=[alarm.pk])
    viewer = logged_in("viewer")
    page = viewer.get(reverse("positions:list")).content.decode()
    assert "The link is down." in page
    assert path not in page
    assert viewer.post(path).status_code == 403
    trader = logged_in("trader")
    assert path in trader.get(reverse("positions:list")).content.decode()
    assert trader.post(path, {"note": "called the broker"}, headers={"accept": "application/json"}).json() == {
        "acknowledged": alarm.pk, "new": True,
    }  # fmt: skip
    assert trader.post(path, headers={"accept": "application/json"}).json()["new"] is False
    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.note) == ("trader", "called the broker")
    assert "The link is down." not in viewer.get(reverse("positions:list")).content.decode()
    assert "called the broker" in viewer.get(reverse("positions:alarms")).content.decode()


def test_hostile_texts_are_shown_as_text():
    AlarmRecord.objects.create(kind="x", about="y", text="<script>alert(1)</script>", first_seen=NOW, last_seen=NOW)
    page = logged_in("trader").get(reverse("positions:alarms")).content.decode()
    assert "<script>alert(1)" not in page
