"""Every page, admin list and live frame of a desk with odd rows says it in words: no names or number shapes of programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import ClosePosition, HaltTrading
from events.inbox import file_command
from events.live import TOPICS
from events.models import CommandRecord, LongWork, SetAside, WorkerLease
from positions.models import (
    BrokerCheck,
    ErrorTrade,
    LimitChange,
    MarginAnswer,
    OperatorTask,
    PositionRecord,
    RiskLimits,
    RiskLock,
    TradingState,
)
from positions.tests.rows import Trip, make_order, make_position
from signals.models import SignalRecord, SourceHealth, WatchListEntry
from tradingsite.testing.redis_server import RedisServer
from tradingsite.tests.page_data import alarm_row, equity_point, event_row, fit_to_trade, held_position, pending_signal, person

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
MARKUP = "<b>x & y</b>"
DAYS_AGO = 190_220  # seconds

# What no sentence may hold, by what it is.
UNWORDED = {
    "an exponent": r"(?<![\w-])\d[.\d]*e[+-]?\d{2}\b(?!-)",
    "a name with underscores": r"(?<![\w/@{.=&?-])[a-z]+(?:_[a-z0-9]+)+(?![\w(/}=])",
    "a class name": r"\b(?:[A-Z][a-z]+)+(?:Event|Position|Trading|Order|Signal|Stop|Record|Error)\b",
    "an ISO moment": r"\d{4}-\d\d-\d\dT\d\d:",
    "epoch seconds": r"\b1[5-9]\d{8}(?:\.\d+)?\b",
    "None": r"\bNone\b(?! [a-z])|\bnull\b|\bundefined\b|\bNaN\b|\bnan\b|(?<![a-z-])\binf\b|\bTrue\b|\bFalse\b",
    "Failed to fetch": r"Failed to fetch|Traceback|Decimal\(|datetime\.",
    "one of many": r"(?<![\d.,:/–−-])(?<!of )\b1 (?:signals|positions|orders|rows|symbols|shares|alarms|tasks|entries|events|frames"
    r"|predictions|days|minutes|hours|times|requests|executions|fills|lines|commands)\b",
    "a long age in seconds": r"\b\d{4,} s\b|\b\d+(?:\.\d+)? s(?:econds)? old\b(?<=\d{4} s old)",
    "seven digits without a separator": r"(?<![\w.,/-])\d{7,}(?:\.\d+)?(?![\w.,-])",
    "escaped twice": r"&(?:lt|amp|gt|quot|#x27);",
}
# Texts that name what a person has to type or look up: settings and commands of the console, user names, ids.
VERBATIM = {"code", "pre", "script", "style", "option", "textarea"}


class Said(HTMLParser):
    """What a person reads of a page: its texts, tooltips and labels."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._verbatim += tag in VERBATIM
        self.texts += [value for name, value in attrs if name in ("title", "aria-label", "placeholder") and value]

    def handle_endtag(self, tag: str) -> None:
        self._verbatim -= tag in VERBATIM

    def handle_data(self, data: str) -> None:
        if not self._verbatim and data.strip():
            self.texts.append(data.strip())


@pytest.fixture
def odd_desk(live_redis: RedisServer) -> dict[str, str]:
    """One or two of everything, each row at an edge: nothing known, huge, tiny, negative, days old, marked up, one of a kind."""
    long_ago = utc_now() - timedelta(seconds=DAYS_AGO)
    trader = person("trader")
    lease = fit_to_trade()
    soon = {"seconds": 2.0, "stops": 84, "moves": 72}
    alarms = [{"position_id": "pos-huge", "symbol": "HUGE", "detail": "IB refused it", "since": long_ago.isoformat()}]
    said = {
        "protection": {"held": 1, "soon": soon, "tasks": 1, "bare": ["HUGE"], "alarms": alarms, "checked_at": long_ago.isoformat()},
        "worker": {"lines": {"used": 1, "limit": 1, "setting": 100, "positions_without": 1, "signals_without": 1, "watched_without": 1}},
        "counters": {"refused_frames": 1},
        "gateway": {"state": "upstream_lost", "since": long_ago.isoformat(), "detail": ""},
        "quotes": {"META": {"last": 501.0, "bid": 500.9, "ask": 501.1, "at": long_ago.isoformat()}},
    }
    WorkerLease.objects.filter(pk=lease.pk).update(health=lease.health | said, state="syncing")
    RiskLimits.objects.update_or_create(pk=1, defaults={"max_order_quantity": 1_000_000, "max_open_positions": 1, "max_working_orders": 1})
    TradingState.objects.update_or_create(
        pk=1, defaults={"state": "reduce_only", "reason": MARKUP, "changed_by": "ann", "changed_at": long_ago}
    )
    SourceHealth.objects.update(state="degraded", last_success=long_ago, last_error=MARKUP, errors_in_row=1)
    WatchListEntry.objects.exclude(pk=WatchListEntry.objects.order_by("symbol").values("pk")[:1]).delete()
    equity_point("-1234567.891", day_pnl="-0.001", ago=DAYS_AGO)
    huge = held_position("HUGE", quantity=Decimal(1_000_000), unrealized_pnl=Decimal("-2500000.125"))
    state = huge.data | {"quantity": 1e6, "unrealized_pnl": -2500000.125, "last": 1e-4, "r_multiple": -12345.678, "stop_state": "missing"}
    PositionRecord.objects.filter(pk=huge.pk).update(data=state | {"last_at": long_ago.isoformat(), "status": "closing"}, status="closing")
    unknown = held_position("NUL", quantity=Decimal("0.0001"), entry_price=None, unrealized_pnl=Decimal(0))
    empty = dict.fromkeys(("entry_price", "last", "last_at", "unrealized_pnl", "unrealized_pct", "stop_loss", "r_multiple"))
    PositionRecord.objects.filter(pk=unknown.pk).update(data=unknown.data | empty | {"quantity": 1e-4})
    make_position(Trip(exit=150.0, stop=145.0, target=160.0, opened=long_ago, closed=long_ago + timedelta(hours=1)), "closed-long-ago")
    make_order("ord-odd", role="stop", order_type="stop_limit", stop_price=1_234_567.5, side="sell", at=long_ago)
    pending_signal("META", expires_in=1)
    older = pending_signal("OLD", expires_in=900)
    SignalRecord.objects.filter(pk=older.pk).update(
        state="superseded", reason=MARKUP, decided_by=MARKUP, decided_at=long_ago, created_at=long_ago, action="close_short"
    )
    fresh = pending_signal("NEW", expires_in=900)
    SignalRecord.objects.filter(pk=fresh.pk).update(price=0.00005, data_time=long_ago)
    MarginAnswer.objects.create(signal_id=fresh.pk, error="IB does not answer.", asked_at=long_ago)
    alarm_row("no_stop", ago=DAYS_AGO, about="pos-HUGE", text=f"HUGE has no stop: {MARKUP}")
    lock = RiskLock.objects.create(
        account=SIMULATED_ACCOUNT, code="daily_loss", scope="account", name="", reason="The loss limit was reached.", since=long_ago
    )
    LimitChange.objects.create(at=long_ago, changed_by="ann", limit="risk limits", field="max_open_risk", old="1", new="2", reason=MARKUP)
    task = OperatorTask.objects.create(
        account=SIMULATED_ACCOUNT,
        key="split",
        kind="symbol_change",
        symbol="HUGE",
        title="HUGE: Looks like a new symbol",
        detail=MARKUP,
        opened_at=long_ago,
    )
    ErrorTrade.objects.create(
        account=SIMULATED_ACCOUNT, position_id=huge.pk, symbol="HUGE", note=MARKUP, marked_at=long_ago, marked_by="ann"
    )
    SetAside.objects.create(key="command 7", kind="cause", at=long_ago, epoch=1, reason="command 7 ended the worker 3 times.")
    LongWork.objects.update_or_create(name="backup", defaults={"state": "failed", "outcome": "The disk is full.", "started_at": long_ago})
    row = {"id": "position:HUGE", "kind": "position", "symbol": "HUGE", "what": "", "state": "differs", "cause": "+1 share unexplained."}
    row |= {"ours": 1e6, "theirs": 1e-4, "difference": -1e6, "actions": ["acknowledge", "release"], "position_id": huge.pk, "order_id": ""}
    check = {"at": long_ago.isoformat(), "kind": "light", "reason": "", "rows": [row], "blocked": "HUGE differs."}
    BrokerCheck.objects.create(first_at=long_ago, at=long_ago, kind="light", account=SIMULATED_ACCOUNT, blocked="HUGE differs.", data=check)
    events(huge.pk)
    command = odd_commands(trader, huge.pk)
    return {"position": huge.pk, "order": "ord-odd", "signal": fresh.pk, "closed": older.pk, "lock": str(lock.pk), "task": str(task.pk)} | {
        "command": str(command.pk)
    }


def events(position_id: str) -> None:
    """Journaled ones, as they are and with nothing in them."""
    lines: dict[str, dict[str, Any]] = {
        "FillEvent": {"side": "buy", "fill_quantity": 1e6, "fill_price": 1e-4, "remaining_quantity": 1e-4},
        "OrderStatusEvent": {
            "quantity": -1e6,
            "order_type": "stop_limit",
            "status": "in_doubt",
            "stop_price": 1234567.5,
            "pending": "cancel",
        },
        "RejectEvent": {"status": "denied", "error_code": "max_notional", "error_message": ""},
        "RiskLockEvent": {"code": "daily_loss", "scope": "account", "name": "", "state": "locked", "by": "worker", "reason": MARKUP},
        "LimitChangedEvent": {"changed_by": "ann", "limit": "risk limits", "field": "max_open_risk", "old": "1", "new": "2", "reason": ""},
        "SignalReopenedEvent": {"reopened_by": "ann", "code": "moved_price"},
        "CommandEvent": {"name": "SetPartialTarget", "state": "refused", "reason": "", "code": "price_collar"},
        "EquityEvent": {"equity": -1234567.891, "day_pnl": -0.001},
        "PositionCloseEvent": {"quantity_closed": 1, "exit_price": None, "realized_pnl": -2500000.125, "reason": "time_stop"},
        "OvernightChangeEvent": {"kind": "symbol_change", "detail": "+1 share."},
        "ConnectionEvent": {"state": "upstream_lost"},
        "TradingStateEvent": {"state": "reduce_only", "changed_by": "worker", "reason": None},
        "ProtectionEvent": {"state": "alarm", "detail": None, "rule": "flatten"},
        "PredictionSignalEvent": {"signal": "BUY", "confidence": None, "price": None},
        "IndicatorEvent": {"indicator": "rsi_14", "value": 0.5, "signal_type": "over_bought"},
    }
    for kind, fields in lines.items():
        event_row(kind, position_id=position_id, ago=DAYS_AGO, **fields)
        event_row(kind)


def odd_commands(trader: Any, position_id: str) -> CommandRecord:
    """One refused with a reason, and one without any."""
    refused, _ = file_command(ClosePosition(position_id=position_id, quantity=1), account=SIMULATED_ACCOUNT, user=trader, key="one")
    CommandRecord.objects.filter(pk=refused.pk).update(state="refused", code="link_down", reason="")
    halt, _ = file_command(HaltTrading(reason=MARKUP), account=SIMULATED_ACCOUNT, user=trader, key="two")
    CommandRecord.objects.filter(pk=halt.pk).update(state="done", reason="halted")
    return refused


def admin_paths() -> Iterator[str]:
    for model in admin.site._registry:
        at = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if model._meta.app_label in ("auth", "axes"):
            continue  # people's names, and log-ins as they came
        yield reverse(f"{at}_changelist")
        if (record := model._default_manager.first()) is not None:
            yield reverse(f"{at}_change", args=[record.pk])


def page_paths(ids: dict[str, str]) -> list[str]:
    return [
        *(
            "/",
            "/signals/",
            "/positions/",
            "/positions/?open=all",
            "/orders/",
            "/broker/",
            "/pnl/",
            "/pnl/?range=max",
            "/events/",
            "/alarms/",
        ),
        *("/events/journal/", "/trading/", "/tasks/", "/error-trades/", "/review/", "/confirm/"),
        *(f"/positions/{ids['position']}/", "/positions/pos-NUL/", "/positions/closed-long-ago/", f"/orders/{ids['order']}/"),
        *(f"/signals/{ids['signal']}/", f"/signals/{ids['closed']}/", "/admin/"),
    ]


def faults_in(text: str, where: str) -> list[str]:
    found = [(what, match) for what, pattern in UNWORDED.items() for match in re.finditer(pattern, text)]
    return [f"{where}: {what}: …{text[max(0, m.start() - 40) : m.end() + 30]}…" for what, m in found]


def test_no_page_speaks_like_a_program(odd_desk: dict[str, str]) -> None:
    client = Client()
    client.force_login(person("admin"), backend=BACKEND)
    faults: list[str] = []
    for path in [*page_paths(odd_desk), *admin_paths()]:
        answer = client.get(path, follow=True)
        assert answer.status_code == 200, path
        reader = Said()
        reader.feed(answer.content.decode())
        faults += [fault for text in reader.texts for fault in faults_in(text, path)]
    assert not faults, "\n".join(sorted(set(faults)))


SENTENCES = {"text", "reason", "detail", "message", "what_to_do", "title", "label", "words", "cause", "blocked", "next", "error"}


def sentences(value: Any, name: str = "") -> Iterator[str]:
    """The texts of an answer that pages show as they are."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from sentences(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from sentences(part, name)
    elif isinstance(value, str) and name in SENTENCES:
        yield value


def test_no_frame_or_answer_speaks_like_a_program(odd_desk: dict[str, str]) -> None:
    client = Client()
    client.force_login(person("admin"), backend=BACKEND)
    asked = [f"/live/{topic}" for topic in TOPICS]
    asked += ["/overview/health", "/session", f"/commands/{odd_desk['command']}/words", "/signals/cards?room=20&skip=0&ids="]
    asked += [f"/signals/{odd_desk['signal']}/judge?quantity=10000000&stop=1", f"/signals/{odd_desk['signal']}/judge?quantity=0"]
    faults: list[str] = []
    for path in asked:
        answer = client.get(path)
        assert answer.status_code == 200, path
        found = list(sentences(answer.json()))
        faults += [fault for text in found for fault in faults_in(text, path)]
    assert not faults, "\n".join(sorted(set(faults)))


@pytest.mark.parametrize(
    "text",
    [
        *("worth $1e+06", "No limit of max_notional", "ClosePosition refused", "at 2026-11-28T03:20:14", "since 1795800000", "price None"),
        *("Failed to fetch", "1 signals wait", "190220 s", "of 1000000 shares", "&lt;b&gt;"),
    ],
)
def test_the_search_finds_what_it_is_made_for(text: str) -> None:
    assert faults_in(text, "here")


@pytest.mark.parametrize(
    "text", ["1 signal waits", "21 signals", "1,000,000 shares", "45 s old", "10:31 EST", "a 1.5 % stop", "0.1 orders"]
)
def test_the_search_passes_what_is_in_words(text: str) -> None:
    assert not faults_in(text, "here")
