"""Every address of the URLconf, walked by everybody: nobody meets a crash, and each meets what the table says.

A new address without a row in the table fails here: whoever adds one says who may use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import HaltTrading
from events.inbox import file_command
from positions.models import StatementCheck
from tradingsite.bench import visits
from tradingsite.bench.visits import ACTS, addresses, every_page
from tradingsite.testing.redis_server import RedisServer
from tradingsite.tests.page_data import (
    alarm_row,
    equity_point,
    event_row,
    fit_to_trade,
    held_position,
    pending_signal,
    person,
    working_order,
)

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
ROLES = ("stranger", "viewer", "trader", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The status of GET and of an empty POST for (stranger, viewer, trader, admin); `ids` names what the path is filled with."""

    get: tuple[int, int, int, int]
    post: tuple[int, int, int, int]
    ids: tuple[str, ...] = ()


def page(*ids: str) -> Address:
    """A page for everybody who is logged in."""
    return Address(get=(302, 200, 200, 200), post=(302, 405, 405, 405), ids=ids)


def wish(*ids: str, refused: int = 400) -> Address:
    """A form for traders; an empty one is refused."""
    return Address(get=(302, 405, 405, 405), post=(302, 403, refused, refused), ids=ids)


OPEN = Address(get=(200, 200, 200, 200), post=(405, 405, 405, 405))
TABLE = {
    "overview": page(),
    "equity_today": page(),
    "overview_health": page(),
    "session_clock": page(),
    "command_words": page("command"),
    "trading": page(),
    "trading_scope": page(),
    "trading_halt": wish(refused=302),
    "trading_reduce_only": wish(refused=302),
    "trading_resume": Address(get=(302, 405, 405, 405), post=(302, 403, 403, 302)),
    "trading_flatten": Address(get=(302, 405, 405, 405), post=(302, 403, 403, 302)),
    "clear_lock": Address(get=(302, 405, 405, 405), post=(302, 403, 403, 302), ids=("lock",)),
    "login": Address(get=(200, 302, 302, 302), post=(200, 302, 302, 302)),
    "first_password": Address(get=(200, 200, 200, 200), post=(200, 200, 200, 200), ids=("uid", "token")),  # a link that is void
    "password_change": Address(get=(302, 200, 200, 200), post=(302, 200, 200, 200)),
    "logout": Address(get=(302, 405, 405, 405), post=(302, 302, 302, 302)),
    "review_now": Address(get=(302, 302, 302, 302), post=(302, 405, 405, 405)),
    "review": page("week"),
    "review_csv": page("week"),
    "positions:account": Address(get=(302, 405, 405, 405), post=(302, 302, 302, 302)),
    "positions:alarms": page(),
    "positions:alarm_acknowledge": wish("alarm", refused=302),
    "positions:error_trades": page(),
    "positions:error_trade_mark": wish("position", refused=302),
    "positions:error_trade_settle": Address(get=(302, 405, 405, 405), post=(302, 403, 403, 302), ids=("position",)),
    "confirm_person": Address(get=(302, 200, 200, 200), post=(302, 403, 403, 403)),
    "healthz": OPEN,
    "readyz": Address(get=(200, 200, 200, 200), post=(405, 405, 405, 405)),  # fit_to_trade() says so, and Redis is there
    "events:trace": page(),
    "events:journal": page(),
    "events:live": page("topic"),
    "positions:list": page(),
    "positions:detail": page("position"),
    "positions:bars": page("position"),
    "positions:close": wish("position"),
    "positions:stop": wish("position"),
    "positions:target": wish("position"),
    "positions:exit_rule": wish("position", "rule"),
    "positions:tasks": page(),
    "positions:task_done": wish("task", refused=302),
    "positions:orders": page(),
    "positions:order_detail": page("order"),
    "positions:order_cancel": wish("order"),
    "positions:broker": page(),
    "positions:broker_rows": page(),
    "positions:broker_adopt": wish(),
    "positions:broker_close": wish(),
    "positions:broker_release": wish(),
    "positions:broker_acknowledge": wish(),
    "positions:broker_doubt": wish(),
    "positions:broker_statement_check": wish(),
    "positions:broker_statement": page("statement"),
    "positions:pnl": page(),
    "positions:pnl_equity": page(),
    "positions:pnl_csv": page(),
    "signals:list": page(),
    "signals:detail": page("signal"),
    "signals:flow": page("signal"),
    "signals:cards": page(),
    "signals:judge": page("signal"),
    "signals:approve": wish("signal"),
    "signals:reject": wish("signal"),
    "signals:decide_again": wish("signal"),
}


@pytest.fixture
def ids(live_redis: RedisServer) -> dict[str, str]:
    """A desk with one of everything, by kind."""
    fit_to_trade()
    equity_point()
    event_row()
    statement = StatementCheck.objects.create(
        account=SIMULATED_ACCOUNT, day=date(2026, 1, 5), source="flex", file_name="a.xml", ok=True, created_at=utc_now()
    )
    made = {"position": held_position(), "order": working_order(), "signal": pending_signal(), "statement": statement}
    return {kind: str(record.pk) for kind, record in made.items()} | {
        "topic": "positions",
        "uid": "none",
        "token": "none",
        "week": "2026-W10",
        "alarm": str(alarm_row().pk),
        "lock": "987654",
        "task": "987654",
        "rule": "break_even",
        "command": str(file_command(HaltTrading(reason="x"), account=SIMULATED_ACCOUNT, user=person("trader"), key="one")[0].pk),
    }


def visitor(role: str) -> Client:
    client = Client(raise_request_exception=False)
    if role != "stranger":
        client.force_login(person(role), backend=BACKEND)
    return client


def test_every_address_stands_in_the_table() -> None:
    assert set(addresses()) == set(TABLE)


def test_the_benchmark_of_pages_visits_every_address_that_shows_something(ids: dict[str, str]) -> None:
    assert {name for name, address in TABLE.items() if 405 in address.get} == ACTS
    assert {name for name, _ in every_page()} >= set(TABLE) - ACTS


def test_the_benchmark_of_pages_refuses_to_leave_an_address_out(ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "PLAIN", [name for name in visits.PLAIN if name != "trading"])
    with pytest.raises(visits.UnknownAddress, match="no page of trading:"):
        every_page()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", TABLE)
def test_everybody_meets_what_the_table_says(name: str, role: str, ids: dict[str, str]) -> None:
    address = TABLE[name]
    path = reverse(name, args=[ids[kind] for kind in address.ids])
    at = ROLES.index(role)
    assert (visitor(role).get(path).status_code, visitor(role).post(path).status_code) == (address.get[at], address.post[at])


@pytest.mark.parametrize("role", ["viewer", "trader", "admin"])
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, address in TABLE.items()
        if address.ids
        and name not in ("first_password", "events:live", "clear_lock", "positions:task_done", "positions:error_trade_settle")
    ],
)
def test_an_id_that_nothing_has_is_not_found(name: str, role: str, ids: dict[str, str]) -> None:
    missing = {"statement": "987654", "alarm": "987654", "command": "987654"}
    path = reverse(name, args=[missing.get(kind, "no-such-thing") for kind in TABLE[name].ids])
    is_page = TABLE[name] == page(*TABLE[name].ids)
    client = visitor(role)
    assert client.get(path).status_code == (404 if is_page else 405)
    refused = (403,) if role == "viewer" else (400, 404)  # an empty form may be refused before anything is looked up
    assert client.post(path).status_code in ((405,) if is_page else refused)


MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_every_list_and_form_of_the_admin_opens_for_admins_alone(model, ids: dict[str, str]) -> None:
    at = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    paths = [reverse(f"{at}_changelist"), reverse(f"{at}_add"), reverse(f"{at}_changelist") + "?q=%3Cb%3E"]
    if record := model._default_manager.first():
        paths += [reverse(f"{at}_{page}", args=[record.pk]) for page in ("change", "history", "delete")]
    for path in paths:
        assert visitor("admin").get(path).status_code in (200, 302, 403), path
        assert visitor("trader").get(path).status_code in (302, 403), path
    if model._meta.app_label != "axes":  # failed log-ins are for superusers
        assert visitor("admin").get(paths[0]).status_code in (200, 302)
