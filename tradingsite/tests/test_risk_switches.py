"""Halting from the console, and locks on the trading page."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import EventRecord
from positions.models import RiskLock, TradingState

pytestmark = pytest.mark.django_db


@pytest.fixture
def lock():
    return RiskLock.objects.create(
        account=SIMULATED_ACCOUNT,
        cause="daily_loss 2026-03-02 1",
        code="daily_loss",
        scope="book",
        reason="Today's loss of $10,000.00.",
        since=utc_now(),
    )


def log_in(client, role):
    user = User.objects.create_user(role, password="a long password", is_staff=role == "admin")
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return client


def test_halt_and_resume_at_the_console_are_written_with_reason_and_name(capsys):
    call_command("halt", reason="smoke in the server room")
    state = TradingState.objects.get()
    assert (state.state, state.reason) == ("halted", "smoke in the server room")
    assert "at the console" in state.changed_by
    call_command("resume", reason="it was steam")
    assert TradingState.objects.get().state == "active"
    assert EventRecord.objects.filter(event_type="TradingStateEvent").count() == 2
    assert "Trading is active (was halted)" in capsys.readouterr().out


def test_the_console_wants_a_reason():
    with pytest.raises(CommandError):
        call_command("halt", reason="  ")
    with pytest.raises(CommandError):
        call_command("resume")
    call_command("halt", reason="exits only", reduce_only=True)
    assert TradingState.objects.get().state == "reduce_only"


def test_an_admin_clears_a_lock_with_a_reason_and_it_stays_on_record(client, lock):
    log_in(client, "admin")
    assert b"Today&#x27;s loss of $10,000.00." in client.get(reverse("trading")).content
    client.post(reverse("clear_lock", args=[lock.pk]), {"reason": ""})
    lock.refresh_from_db()
    assert lock.cleared_at is None
    client.post(reverse("clear_lock", args=[lock.pk]), {"reason": "a fat finger, not a trend"})
    lock.refresh_from_db()
    assert (lock.cleared_by, lock.clear_reason) == ("admin", "a fat finger, not a trend")
    assert EventRecord.objects.get(event_type="RiskLockEvent").data["state"] == "cleared"
    assert b"Nothing is locked" in client.get(reverse("trading")).content


def test_a_trader_sees_the_lock_and_cannot_clear_it(client, lock):
    log_in(client, "trader")
    page = client.get(reverse("trading")).content
    assert b"An admin can clear it" in page
    assert client.post(reverse("clear_lock", args=[lock.pk]), {"reason": "please"}).status_code == 403
