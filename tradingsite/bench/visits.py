"""Which pages the benchmark of pages opens: every address that answers GET, with its filters, and every list of the admin.

Links that a page gives to itself (sorting, filters, days, older, last) are followed too, so that nothing a person can click on
is left out because nobody thought of it. An address that is neither visited nor known to answer no GET is an error.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.contrib import admin
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from events.clock import utc_now
from events.exchange_time import exchange_date
from events.live import TOPICS
from events.models import CommandRecord, EventRecord
from events.views import GROUPS
from positions.analytics import Period
from positions.models import OrderRecord, PositionRecord, StatementCheck
from signals.models import SignalRecord

HREF = re.compile(r'href="(\?[^"]*)"')
NOWHERE = "zzzz"  # a search that finds nothing has to look everywhere
PLAIN = ("overview", "equity_today", "overview_health", "session_clock", "trading", "trading_scope", "review_now", "positions:alarms",
         "positions:error_trades", "positions:tasks", "positions:broker", "positions:broker_rows", "login", "password_change",
         "confirm_person", "healthz", "readyz")  # fmt: skip
ACTS = frozenset({
    "trading_halt", "trading_reduce_only", "trading_resume", "trading_flatten", "clear_lock", "logout",
    "signals:approve", "signals:reject", "signals:decide_again",
    *(f"positions:{act}" for act in (
        "account", "alarm_acknowledge",
        "error_trade_mark", "error_trade_settle", "close", "stop", "target", "exit_rule", "task_done", "order_cancel",
        "broker_adopt", "broker_close", "broker_release", "broker_acknowledge", "broker_doubt", "broker_statement_check",
    )),
})  # fmt: skip
"""Addresses that answer POST alone: nothing is shown there."""


class UnknownAddress(Exception):
    """A page would go unmeasured."""


def addresses(patterns: list[URLPattern | URLResolver] | None = None, space: str = "") -> Iterator[str]:
    """The full name of every address but the admin's, which the admin itself lists."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from addresses(pattern.url_patterns, f"{space}{pattern.namespace}:" if pattern.namespace else space)
        else:
            yield f"{space}{pattern.name}"


def every_page() -> list[tuple[str, str]]:
    """(address name, path with its query) of all there is. Raises UnknownAddress when an address would not be visited."""
    pages = [*_desk_pages(), *_admin_pages()]
    visited = {name for name, _ in pages} | ACTS
    if unknown := sorted(set(addresses()) - visited):
        raise UnknownAddress(f"the benchmark visits no page of {', '.join(unknown)}: add them to tradingsite/bench/visits.py")
    return pages


def _desk_pages() -> Iterator[tuple[str, str]]:
    """Everything outside the admin."""
    for name in PLAIN:
        yield name, reverse(name)
    yield "first_password", reverse("first_password", args=["none", "none"])
    for topic in TOPICS:
        yield "events:live", reverse("events:live", args=[topic]) + ("?symbol=SPY" if topic == "bars" else "")
    for name, queries in _filters().items():
        for query in queries:
            yield name, f"{reverse(name)}{query and '?'}{query}"
    week = (utc_now() - timedelta(days=30)).strftime("%G-W%V")
    for name in ("review", "review_csv"):
        yield name, reverse(name, args=[week])
    for name, ids in _details().items():
        for pk in ids:
            yield name, reverse(name, args=[pk])


def _filters() -> dict[str, list[str]]:
    """Address name → the queries people ask it: each filter alone, some together, one that finds nothing."""
    today = exchange_date(utc_now())
    span = urlencode({"first": today - timedelta(days=800), "last": today - timedelta(days=400)})
    one = EventRecord.objects.exclude(position_id="").order_by("seq").values_list("position_id", flat=True).first()
    journal = ["", "symbol=SPY", "symbol=NONE", f"id={one}", "id=none", "before=1000", "after=0", "type=FillEvent&symbol=SPY"]
    journal += [f"type={name}" for name in (*GROUPS, "TradingStateEvent", "NoSuchEvent")]
    ranges = [f"range={period}" for period in Period]
    return {
        "positions:list": ["", "symbol=SPY", "symbol=NONE", "side=short", "result=lost", span, f"{span}&symbol=SPY&side=long&result=won"],
        "positions:orders": [
            "",
            "symbol=SPY",
            "symbol=NONE",
            *(f"state={state}" for state in _states()),
            "role=stop",
            span,
            f"{span}&role=entry",
        ],
        "signals:list": [
            "",
            "symbol=SPY",
            "symbol=NONE",
            *(f"state={state}" for state in SignalRecord.State.values),
            span,
            f"{span}&symbol=SPY",
        ],
        "signals:cards": ["room=20", f"ids={','.join(SignalRecord.objects.values_list('pk', flat=True)[:20])}"],
        "events:journal": journal,
        "events:trace": ["", "quiet=1", "symbol=SPY", "symbol=NONE", "type=orders", "type=NoSuchEvent", f"id={one}"],
        "positions:pnl": [*ranges, f"range=max&month={today - timedelta(days=700):%Y-%m}"],
        "positions:pnl_equity": ranges,
        "positions:pnl_csv": ["range=mtd", "range=1y"],
    }


def _states() -> list[str]:
    from positions.forms import OrderFilter

    return [str(value) for value, _ in OrderFilter.base_fields["state"].choices if value]  # type: ignore[attr-defined]


def _details() -> dict[str, list[Any]]:
    """Address name → keys: an old one, one of the middle and the newest."""
    positions = _spread(PositionRecord.objects.order_by("created_at"))
    signals = _spread(SignalRecord.objects.order_by("created_at"))
    waiting = list(SignalRecord.objects.filter(state=SignalRecord.State.PENDING).values_list("pk", flat=True)[:1])
    return {
        "positions:detail": positions,
        "positions:bars": positions,
        "positions:order_detail": _spread(OrderRecord.objects.order_by("created_at")),
        "positions:broker_statement": _spread(StatementCheck.objects.order_by("pk")),
        "signals:detail": signals,
        "signals:flow": signals,
        "signals:judge": [*waiting, *signals[:1]],
        "command_words": _spread(CommandRecord.objects.order_by("pk")),
    }


def _spread(found: Any) -> list[Any]:
    keys = found.values_list("pk", flat=True)
    count = keys.count()
    return list(dict.fromkeys(keys[at] for at in (0, count // 2, count - 1))) if count else []


def _admin_pages() -> Iterator[tuple[str, str]]:
    """Every list with its searches, every form."""
    yield "admin:index", reverse("admin:index")
    for model, page in admin.site._registry.items():
        at = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        path = reverse(f"{at}_changelist")
        yield at, path
        if page.search_fields:
            words = (NOWHERE, "SPY", _some_key(model), "SPY zzzz")
            yield from ((f"{at} search", f"{path}?{urlencode({'q': word})}") for word in words)
        for key in _spread(model._default_manager.order_by("pk"))[:2]:
            yield f"{at} form", reverse(f"{at}_change", args=[key])
            yield f"{at} history", reverse(f"{at}_history", args=[key])


def _some_key(model: type[Model]) -> Any:
    return model._default_manager.order_by("-pk").values_list("pk", flat=True).first() or NOWHERE


def own_links(body: str) -> list[dict[str, str]]:
    """The queries a page's links ask of the page itself."""
    found = (html.unescape(link)[1:].partition("#")[0] for link in HREF.findall(body))
    return [dict(parse_qsl(query, keep_blank_values=True)) for query in dict.fromkeys(found)]


def kind_of(query: dict[str, str]) -> tuple[str, ...]:
    """Links of one kind differ only in the value they ask for; each column to sort by, and years, months and days, are kinds."""
    return tuple(sorted(_kind(name, value) for name, value in query.items()))


def _kind(name: str, value: str) -> str:
    if name == "o":
        return f"o={value.lstrip('-')}"
    return f"{name}={len(value)}" if name.endswith("_on") else name


def leads_on(query: dict[str, str], here: dict[str, str]) -> bool:
    """Whether a link of the page `here` is worth following: everything on the first page, then only a step down by date."""
    return not here or (query.keys() == here.keys() and any(name.endswith("_on") for name in query))
