"""The admin of the signals app: what a person may edit, what not, and what bad values get."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from signals.models import SignalRecord, SignalSettings, SourceHealth, WatchListEntry
from signals.tests.test_store import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    client.force_login(get_user_model().objects.create_superuser("boss", password="x"))
    return client


@pytest.fixture
def signal():
    return SignalRecord.objects.create(
        signal_id="s1", symbol="AAPL", direction=1, confidence=0.8, price=200, created_at=NOW, expires_at=NOW, decision={}
    )


@pytest.mark.parametrize("model", ["watchlistentry", "signalrecord", "predictionrecord", "sourcehealth", "flowpoint"])
def test_every_list_opens(boss, signal, model):
    SourceHealth.objects.create(ticker="AAPL", state="degraded", last_error="<b>bad</b>")
    page = boss.get(reverse(f"admin:signals_{model}_changelist"))
    assert page.status_code == 200
    assert b"<b>bad</b>" not in page.content


def test_the_settings_open_at_their_one_row(boss):
    page = boss.get(reverse("admin:signals_signalsettings_changelist"), follow=True)
    assert page.status_code == 200
    assert b"default_threshold" in page.content
    assert boss.get(reverse("admin:signals_signalsettings_add")).status_code == 403


@pytest.mark.parametrize("symbol", ["aapl", "<b>", "A" * 22, "AAPL ", "A\nB", ""])
def test_a_symbol_that_is_none_is_refused_with_a_message(boss, symbol):
    page = boss.post(reverse("admin:signals_watchlistentry_add"), {"symbol": symbol, "enabled": "on"})
    assert page.status_code in (200, 302)
    added = WatchListEntry.objects.exclude(symbol__in=["AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "META", "SPY", "QQQ"])
    assert not added.exists()


@pytest.mark.parametrize(("field", "value"), [("threshold", "1.5"), ("threshold", "nan"), ("threshold", "-1"), ("poll_seconds", "1")])
def test_a_number_out_of_bounds_is_refused_with_a_message(boss, field, value):
    page = boss.post(reverse("admin:signals_watchlistentry_add"), {"symbol": "GOOGL", "enabled": "on", field: value})
    assert page.status_code == 200
    assert not WatchListEntry.objects.filter(symbol="GOOGL").exists()


def test_a_good_entry_is_stored(boss):
    page = boss.post(reverse("admin:signals_watchlistentry_add"), {"symbol": "BRK B", "enabled": "on", "threshold": "0.8", "note": ""})
    assert page.status_code == 302
    assert WatchListEntry.objects.get(symbol="BRK.B").threshold == 0.8


def test_signals_are_there_to_be_read(boss, signal):
    url = reverse("admin:signals_signalrecord_change", args=[signal.pk])
    assert boss.get(url).status_code == 200
    assert boss.post(url, {"state": "approved"}).status_code == 403
    assert boss.post(reverse("admin:signals_signalrecord_delete", args=[signal.pk]), {"post": "yes"}).status_code == 403
    assert SignalRecord.objects.get().state == "pending"


def test_a_new_desk_watches_eight_symbols_and_has_its_settings():
    assert WatchListEntry.objects.filter(enabled=True).count() == 8
    assert SignalSettings.objects.count() == 1


def test_a_signals_row_has_what_pages_need(signal):
    row = signal.as_row()
    assert (row["id"], row["v"], row["state"], row["direction"], row["at"]) == ("s1", 1, "pending", 1, NOW.isoformat())
