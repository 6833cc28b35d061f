"""Two accounts in one database, each by itself: no query, sum, lock, page, export or restore of one counts the other."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import ClosePosition, FlattenAll, HaltTrading, ResumeTrading
from events.exchange_time import exchange_date
from events.models import CommandRecord
from positions import accounts, store
from positions.analytics import closed_positions, count_and_net
from positions.lease import take_epoch
from positions.locks import active_locks, read_locks
from positions.models import BrokerHolding, EquityPoint, OrderRecord, PositionRecord, RiskLock, TradedAccount, TradingState
from signals.facts import gather
from tradingsite.testing.redis_server import RedisServer
from tradingsite.tests.page_data import equity_point, fit_to_trade, held_position, pending_signal, person, working_order
from tradingsite.tests.test_every_address import ROLES, TABLE, ids, visitor  # noqa: F401  (a fixture)
from tradingsite.worker import book_rows
from tradingsite.worker.commands import CommandDesk
from tradingsite.worker.database import Database
from tradingsite.worker.equity import read_past
from tradingsite.worker.guard import read_standing
from tradingsite.worker.worker import EXIT_OTHER_ACCOUNT, Worker

pytestmark = pytest.mark.django_db
PAPER = "DU7654321"
# Tables with the books of an account. Of them only what has one primary key may be read without naming the account.
BOOKS = sorted(
    model._meta.db_table
    for model in apps.get_app_config("positions").get_models()
    if any(field.name == "account" for field in model._meta.fields) and model is not TradedAccount
)


@pytest.fixture
def two_accounts() -> None:
    """The simulated account, which is traded, won 9,665; the paper account lost 200, holds NVDA and is worth 5,000."""
    fit_to_trade()
    for account, mode, ago in ((PAPER, "paper", 60), (SIMULATED_ACCOUNT, "simulated", 0)):
        at = utc_now() - timedelta(seconds=ago)
        TradedAccount.objects.create(account=account, mode=mode, first_at=at, last_at=at)
    equity_point("250000.00")
    EquityPoint.objects.create(account=PAPER, at=utc_now() + timedelta(minutes=1), equity=Decimal(5000), cash=Decimal(5000), day_pnl=-200)
    _closed("sim-1", SIMULATED_ACCOUNT, "9665.00")
    _closed("paper-1", PAPER, "-200.00")
    held_position("NVDA", account=PAPER, position_id="paper-2")
    order = working_order()
    OrderRecord.objects.filter(pk=order.pk).update(account=PAPER, symbol="TSLA")
    BrokerHolding.objects.create(account=PAPER, symbol="IBM", quantity=7, updated_at=utc_now())
    RiskLock.objects.create(account=PAPER, cause="c", code="drawdown", scope="book", reason="Deep.", since=utc_now())


def _closed(name: str, account: str, net: str) -> None:
    now = utc_now()
    held_position(
        "AAPL", position_id=name, account=account, status="closed", quantity=Decimal(0), opened_quantity=Decimal(100),
        realized_pnl=Decimal(net), unrealized_pnl=Decimal(0), open_time=now - timedelta(seconds=2), close_time=now - timedelta(seconds=1),
    )  # fmt: skip


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement sent meanwhile."""
    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


def without_account(seen: list[str]) -> list[str]:
    """Statements that read the books of no account in particular."""
    return [sql for sql in seen if sql.lstrip("( ").upper().startswith(("SELECT", "WITH")) and any(_is_open(sql, table) for table in BOOKS)]


def _is_open(sql: str, table: str) -> bool:
    """The statement reads `table` and neither its account nor one row of it is named."""
    if not re.search(rf'(FROM|JOIN) "?{table}"?\b', sql):
        return False
    key = apps.get_app_config("positions").get_model(table.removeprefix("positions_"))._meta.pk.column
    named = re.search(r'"?account"? (=|IN)', sql) or re.search(rf'"?{key}"? (=|IN)', sql)
    return named is None


@pytest.mark.parametrize("name", [name for name in TABLE if name not in ("login", "logout", "healthz")])
def test_every_query_of_every_address_names_the_account(name: str, ids: dict[str, str]) -> None:  # noqa: F811
    path = reverse(name, args=[ids[kind] for kind in TABLE[name].ids])
    for role in ROLES[2:]:
        client = visitor(role)
        with statements() as seen:
            client.get(path)
            client.post(path)
        assert without_account(seen) == []


@pytest.mark.parametrize("topic", ["positions", "orders", "equity", "broker", "bars", "signals", "commands", "tape"])
def test_every_query_of_every_snapshot_names_the_account(topic: str, ids: dict[str, str]) -> None:  # noqa: F811
    client = visitor("trader")
    with statements() as seen:
        assert client.get(reverse("events:live", args=[topic])).status_code in (200, 404)
    assert without_account(seen) == []


@pytest.mark.parametrize("model", [m for m in admin.site._registry if m._meta.db_table in BOOKS], ids=lambda model: model._meta.label_lower)
def test_every_query_of_every_list_of_the_admin_names_the_account(model: Any, ids: dict[str, str]) -> None:  # noqa: F811
    client = visitor("admin")
    at = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    with statements() as seen:
        assert client.get(at).status_code == 200
    offered = ("WITH RECURSIVE", "ORDER BY 1 ASC LIMIT 1", "ORDER BY 1 DESC LIMIT 1")  # what the filters offer, not rows
    assert [sql for sql in without_account(seen) if not any(part in sql for part in offered)] == []


def test_the_walk_sees_a_query_without_an_account(two_accounts: None) -> None:
    with statements() as seen:
        list(PositionRecord.objects.filter(status="open"))
        list(PositionRecord.objects.filter(account=PAPER))
        PositionRecord.objects.filter(pk="paper-1").first()
    assert len(without_account(seen)) == 1


def test_nothing_of_another_account_is_restored_or_protected(two_accounts: None) -> None:
    assert {row["id"] for row in store.load_positions(PAPER)} == {"pos-NVDA"}
    assert store.load_positions(SIMULATED_ACCOUNT) == []
    assert len(store.load_lately_closed(SIMULATED_ACCOUNT)) == 1
    assert (len(store.load_orders(PAPER)), store.load_orders(SIMULATED_ACCOUNT)) == (1, [])
    assert (store.load_elsewhere(PAPER), store.load_elsewhere(SIMULATED_ACCOUNT)) == ({"IBM": 7.0}, {})
    assert book_rows.load(SIMULATED_ACCOUNT)[0] == {}


def test_no_sum_or_lock_counts_another_account(two_accounts: None) -> None:
    today = exchange_date(utc_now())
    assert count_and_net(closed_positions(SIMULATED_ACCOUNT, first=today, last=today)) == (1, Decimal("9665"))
    assert count_and_net(closed_positions(PAPER, first=today, last=today)) == (1, Decimal("-200"))
    assert read_past(SIMULATED_ACCOUNT, utc_now()).realized == 9665.0
    assert [trade.pnl for trade in read_standing(PAPER, {"equity": 1.0}).trades] == [-200.0]
    assert (active_locks(SIMULATED_ACCOUNT).count(), active_locks(PAPER).count()) == (0, 1)
    assert read_locks(SIMULATED_ACCOUNT, utc_now())[0] == []
    facts = gather({"NVDA"})
    assert (facts.equity, facts.held, facts.day_pnl) == (250_000.0, {}, 250.5)


@pytest.mark.parametrize("name", ["overview", "positions:list", "positions:orders", "positions:pnl", "positions:broker", "trading"])
def test_a_page_shows_the_traded_account_and_nothing_of_another(name: str, two_accounts: None) -> None:
    page = visitor("admin").get(reverse(name)).content.decode()
    assert not [word for word in ("200.00", "NVDA", "TSLA", "5,000.00", "Deep.", PAPER) if word in page]


def test_an_export_holds_the_account_shown(two_accounts: None) -> None:
    client = visitor("trader")
    lines = b"".join(client.get(reverse("positions:pnl_csv"), {"range": "max"}).streaming_content).decode()  # type: ignore[attr-defined]
    assert "9665" in lines
    assert "-200" not in lines


def test_another_account_can_be_looked_at_and_nothing_can_be_done_there(two_accounts: None) -> None:
    client = visitor("admin")
    client.post(reverse("positions:account"), {"account": accounts.mark_of(PAPER)})
    page = client.get(reverse("positions:list")).content.decode()
    assert "NVDA" in page
    assert "You are looking at DU***321." in page
    assert "data-only-looked-at" in page
    assert "data-close " not in page
    assert "data-halt-open" in page, "a halt is possible everywhere"
    assert "9,665" not in client.get(reverse("positions:pnl")).content.decode()
    answer = client.post(reverse("positions:close", args=["paper-2"]), {"key": uuid.uuid4().hex}, headers={"accept": "application/json"})
    assert (answer.status_code, CommandRecord.objects.count()) == (409, 0)
    assert "is not traded now" in answer.json()["error"]
    client.post(reverse("positions:account"), {"account": accounts.mark_of(SIMULATED_ACCOUNT)})
    assert "NVDA" not in client.get(reverse("positions:list")).content.decode()


def test_a_signal_cannot_be_decided_while_another_account_is_looked_at(two_accounts: None) -> None:
    signal, client = pending_signal(), visitor("trader")
    client.post(reverse("positions:account"), {"account": accounts.mark_of(PAPER)})
    fields = {"key": "one", "version": 1, "reason": "other"}
    answer = client.post(reverse("signals:reject", args=[signal.pk]), fields, headers={"accept": "application/json"})
    assert answer.status_code in (400, 409)
    signal.refresh_from_db()
    assert (signal.state, CommandRecord.objects.count()) == ("pending", 0)


def test_an_account_never_traded_cannot_be_looked_at(two_accounts: None) -> None:
    client = visitor("trader")
    client.post(reverse("positions:account"), {"account": accounts.mark_of("U9999999")})
    assert accounts.CHOICE not in client.session


def test_one_account_offers_no_choice(client: Client) -> None:
    fit_to_trade()
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    assert b"Account shown" not in client.get("/").content


@pytest.mark.parametrize(
    ("mode", "set_account", "traded"),
    [("simulated", "", SIMULATED_ACCOUNT), ("paper", "", PAPER), ("live", "U1234567", "U1234567"), ("paper", "DU1", "DU1")],
)
def test_the_traded_account_is_the_one_set_or_last_answered_for_in_this_mode(
    settings: Any, two_accounts: None, mode: str, set_account: str, traded: str
) -> None:
    settings.TRADING_MODE, settings.IB_ACCOUNT = mode, set_account
    assert accounts.traded_account() == traded


def test_before_the_gateway_has_answered_no_account_is_shown(settings: Any) -> None:
    settings.TRADING_MODE, settings.IB_ACCOUNT = "paper", ""
    held_position()
    assert accounts.traded_account() == ""
    assert "NVDA" not in visitor("viewer").get(reverse("positions:list")).content.decode()


class Switch:
    state = "active"

    def __init__(self) -> None:
        self.changed: list[str] = []

    async def change(self, state: str, reason: str, by: str) -> None:
        self.changed.append(state)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("command", "obeyed"),
    [(HaltTrading(), True), (ResumeTrading(), False), (FlattenAll(), False), (ClosePosition(position_id="p"), False)],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_what_was_decided_for_another_account_is_refused_but_a_halt(command: Any, obeyed: bool) -> None:
    switch, nothing = Switch(), SimpleNamespace(handlers={})
    parts: Any = dict.fromkeys(("tracker", "session", "subscriptions", "margins", "entry_life_seconds", "shown"))

    async def none(*given: Any) -> None: ...

    bus = SimpleNamespace(emit=none)
    core = SimpleNamespace(account=SIMULATED_ACCOUNT, set_aside=())
    manager = SimpleNamespace(core=core, cancel_entries=none)
    desk = CommandDesk(
        bus=bus, manager=manager, switch=switch, guard=SimpleNamespace(enforce_halt=none), resolutions=nothing, exits=nothing, **parts
    )  # type: ignore[arg-type]
    record = CommandRecord(pk=1, name=command.name, account=PAPER)
    outcome = await desk.handle(command, record)
    assert (outcome.state == "done", bool(switch.changed)) == (obeyed, obeyed), outcome
    if not obeyed:
        assert outcome.code == "other_account"
        assert "DU***321" in outcome.reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("books", "goes_on", "code"), [("", True, 0), (PAPER, True, 0), ("DU1111111", False, EXIT_OTHER_ACCOUNT)])
async def test_a_worker_ends_when_the_gateway_serves_another_account_than_its_books_are_of(books: str, goes_on: bool, code: int) -> None:
    database, nobody = Database(), SimpleNamespace(account="")
    parts: Any = dict.fromkeys(field.name for field in fields(Worker) if not field.name.startswith("_"))
    manager, session = SimpleNamespace(core=SimpleNamespace(account=books)), SimpleNamespace(mode="paper")
    made = {
        "epoch": await database.run(take_epoch),
        "code": 0,
        "database": database,
        "manager": manager,
        "session": session,
    }
    worker = Worker(**(parts | made | {"tracker": nobody, "equity": nobody}))
    assert await worker.account_answered(PAPER) is goes_on
    assert (worker.code, manager.core.account) == (code, PAPER if goes_on else books)
    assert await database.run(lambda: TradedAccount.objects.get().account) == PAPER, "the next worker begins with its books"
    await database.close()


def test_trading_state_is_of_the_desk() -> None:
    """A halt stops whatever is traded: it is the one row without an account."""
    assert not [field for field in TradingState._meta.fields if field.name == "account"]


def test_a_lock_of_the_same_cause_may_stand_for_two_accounts(live_redis: RedisServer) -> None:
    for account in (PAPER, SIMULATED_ACCOUNT):
        RiskLock.objects.create(account=account, cause="daily_loss 2026-03-02 1", code="daily_loss", scope="book", since=utc_now())
    assert read_locks(PAPER, utc_now())[0][0].code == "daily_loss"
