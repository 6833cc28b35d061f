"""`BRK.B`, `BRK B`, `BRK-B`, `BRK/B` and `brk b` are one share at every door, and so are the spellings of a preferred one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events.admin_lists import _values
from events.commands import CheckSymbol
from events.forms import SymbolField
from events.models import WorkerLease
from events.symbols import broker_symbol, symbols_in
from positions.broker import ib_convert
from positions.forms import SymbolFilter
from positions.models import OrderRecord
from signals.domain.predictions import parse_latest
from signals.models import WatchListEntry
from tradingsite.testing.patience import eventually
from tradingsite.tests.trading_story import approval, file_wish, last_price, outcome

SPELLINGS = {"BRK.B": ["BRK.B", "BRK B", "BRK-B", "BRK/B", "brk b"], "BAC.PRL": ["BAC.PRL", "BAC PRL", "BAC-L", "BAC/PRL", "bac prl"]}
PAIRS = [(typed, one) for one, all_of_them in SPELLINGS.items() for typed in all_of_them]


@pytest.fixture
def boss(transactional_db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("boss", password="correct horse battery"))
    return client


def added(boss: Client, symbol: str) -> Any:
    return boss.post(reverse("admin:signals_watchlistentry_add"), {"symbol": symbol, "enabled": "on"}, follow=True)


@pytest.mark.parametrize(("typed", "one"), PAIRS)
def test_forms_commands_searches_and_the_service_mean_one_share(typed: str, one: str) -> None:
    assert SymbolField().clean(typed) == one
    assert CheckSymbol(symbol=typed.upper()).symbol == one
    form = SymbolFilter({"symbol": typed})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["symbol"] == one
    assert one in _values(OrderRecord._meta.get_field("symbol"), typed)
    body = {"ticker": typed, "signal": "BUY", "numeric": 1, "confidence": 0.9, "timestamp": 1_700_000_000_000}
    assert "another ticker" not in parse_latest(one, {"ticker": typed, "prediction": body}).invalid
    assert symbols_in(f"AAPL, {typed}, MSFT") == ["AAPL", one, "MSFT"]


@pytest.mark.parametrize(("one", "at_ib"), [("BRK.B", "BRK B"), ("BAC.PRL", "BAC PRL"), ("AAPL", "AAPL")])
def test_only_ib_sees_ibs_spelling(one: str, at_ib: str) -> None:
    assert (broker_symbol(one), ib_convert.symbol_to_ib(one), ib_convert.symbol_from_ib(at_ib)) == (at_ib, at_ib, one)


@pytest.mark.parametrize("typed", SPELLINGS["BRK.B"])
def test_the_watch_list_keeps_one_row_of_a_share(boss: Client, typed: str) -> None:
    added(boss, "BRK.B")
    assert "already exists" in added(boss, typed).content.decode()
    assert list(WatchListEntry.objects.filter(symbol__startswith="BRK").values_list("symbol", flat=True)) == ["BRK.B"]


def test_the_journal_finds_it_by_any_spelling(boss: Client) -> None:
    for typed in SPELLINGS["BRK.B"]:
        page = boss.get(reverse("events:journal"), {"symbol": typed})
        assert page.context["filters"].symbol == "BRK.B"


@pytest.mark.django_db(transaction=True)
def test_the_watch_list_takes_only_what_ib_knows_and_says_so_while_it_cannot_ask(boss: Client, live_worker: Any, live_gateway: Any) -> None:
    eventually(lambda: WorkerLease.objects.get().health.get("gateway", {}).get("link") == "connected", what="the link is told")
    page = added(boss, "ZZUNKNOWN").content.decode()
    assert "IB knows no US stock ZZUNKNOWN" in page
    assert not WatchListEntry.objects.filter(symbol="ZZUNKNOWN").exists()
    added(boss, "brk/b")
    assert last_price("BRK.B") > 0
    listed = reverse("admin:signals_watchlistentry_changelist")
    assert "known" in row_of(boss.get(listed).content.decode(), "BRK.B")
    wish = outcome(file_wish(approval("BRK.B", quantity=10)))
    assert wish.state == "done", wish.reason
    live_gateway.kill()
    eventually(lambda: WorkerLease.objects.get().health["gateway"]["link"] != "connected", what="the loss is told")
    added(boss, "ZZUNKNOWNTOO")
    assert WatchListEntry.objects.filter(symbol="ZZUNKNOWNTOO").exists()
    assert "not checked yet" in row_of(boss.get(listed).content.decode(), "ZZUNKNOWNTOO")


def row_of(page: str, symbol: str) -> str:
    [row] = [row for row in page.split("<tr")[1:] if f">{symbol}</a>" in row]
    return row
