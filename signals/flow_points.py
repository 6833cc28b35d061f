"""The other calls' rows: option prints, divergence points and minute bars, checked and stored by (kind, ticker, key).

They are context for a person, fetched for a ticker that is open on a screen; nothing is traded on them. The last write wins.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from events.exchange_time import EXCHANGE_ZONE
from events.symbols import canonical_symbol, is_symbol
from signals import flow_link
from signals.domain.client import OptionsFlowClient
from signals.domain.flow_errors import FlowBudgetSpent, FlowError
from signals.domain.flow_fields import BadField, from_milliseconds, integer, milliseconds, number, text
from signals.models import FlowPoint

log = logging.getLogger(__name__)

ROWS = 200
PRUNED_AT_ONCE = 2_000
_BIG = 1e12
_TRADE = ("price", "bid", "ask", "size", "trade_value", "price_threshold", "delta", "updated_delta", "underlying_price")
_MINUTE = ("open", "high", "low", "close", "volume")
_DIVERGENCE = (
    "stock_price", "number_of_trades", "sum_pos", "sum_neg", "lambda_short", "lambda_long",
    "d_pos_short", "d_neg_short", "d_diff_short", "d_diff_derivative_short",
    "d_pos_long", "d_neg_long", "d_diff_long", "d_diff_derivative_long",
)  # fmt: skip

Ask = Callable[[OptionsFlowClient, str], Awaitable[dict[str, Any]]]

# kind → (the call, the name of its list, the field that is the key, the field of its time, number fields)
_CALLS: dict[str, tuple[Ask, str, str, str, tuple[str, ...]]] = {
    "trade": (lambda c, t: c.trades.get_trades_async(t, limit=ROWS, recent=True), "trades", "id", "trade_timestamp", _TRADE),
    "divergence": (lambda c, t: c.divergence.get_divergence_async(t), "divergence_data", "timestamp", "timestamp", _DIVERGENCE),
    "minute": (
        lambda c, t: c.minute_data.get_minute_data_async(t, limit=ROWS, recent=True),
        "minute_data",
        "timestamp",
        "timestamp",
        _MINUTE,
    ),
}


def refresh(ticker: str) -> dict[str, int]:
    """Fetch and store all three kinds; returns how many rows of each was stored. A call that fails leaves the others alone
    and its kind out of the answer."""
    stored = {}
    for kind, (call, *_) in _CALLS.items():
        try:
            data = flow_link.ask(lambda client, call=call: call(client, ticker), flow_link.CONTEXT)  # type: ignore[misc]
        except FlowBudgetSpent:  # everyday life, told by the limiter; the next look at this ticker asks again
            continue
        except FlowError as error:
            log.warning("no %s rows of %s: %s", kind, ticker, error)
            continue
        stored[kind] = keep(kind, ticker, data)
    return stored


def keep(kind: str, ticker: str, data: dict[str, Any]) -> int:
    """Store the rows of one answer; those that break the contract are left out."""
    _, name, *_ = _CALLS[kind]
    rows = data.get(name)
    points = {}
    for row in rows if isinstance(rows, list) else []:
        try:
            point = read_row(kind, ticker, row)
        except BadField as error:
            log.debug("a %s row of %s left out: %s", kind, ticker, error)
            continue
        points[point.key] = point
    FlowPoint.objects.bulk_create(
        points.values(), update_conflicts=True, unique_fields=["kind", "ticker", "key"], update_fields=["at", "data"]
    )
    return len(points)


def read_row(kind: str, ticker: str, row: Any) -> FlowPoint:
    """One row as a FlowPoint; raises BadField."""
    _, _, key, at, numbers = _CALLS[kind]
    if not isinstance(row, dict):
        raise BadField("the row is not an object")
    if row.get("ticker", ticker) != ticker:
        raise BadField("the row is about another ticker")
    moment = milliseconds(row, at)
    identity = integer(row, key, low=0, high=2**62)
    if identity is None:
        raise BadField(f"{key} is missing")
    values: dict[str, Any] = {name: number(row, name, low=-_BIG, high=_BIG) for name in numbers}
    if kind == "trade":
        values["option_symbol"] = text(row, "option_symbol", longest=32)
    return FlowPoint(kind=kind, ticker=ticker, key=identity, at=from_milliseconds(moment), data=values)


def prune(before: datetime, *, step: Callable[[], None] = lambda: None) -> int:
    """Delete older points, some at a time with a `step` after each; returns how many went."""
    gone = 0
    while keys := list(FlowPoint.objects.filter(at__lt=before).order_by().values_list("id", flat=True)[:PRUNED_AT_ONCE]):
        gone += FlowPoint.objects.filter(id__in=keys).delete()[0]
        step()
    return gone


def status_summary(status: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What of a /status answer is worth showing: its words, and how far its clock is from ours."""
    system, market = status.get("system"), status.get("market")
    summary: dict[str, Any] = {}
    try:
        if isinstance(system, dict):
            summary["service"] = text(system, "service", longest=80)
            summary["status"] = text(system, "status", longest=40)
            told = datetime.strptime(text(system, "current_time_et", longest=30), "%Y-%m-%d %H:%M:%S").replace(tzinfo=EXCHANGE_ZONE)
            summary["clock_skew"] = round((now - told).total_seconds(), 1)
        if isinstance(market, dict):
            summary["is_market_hours"] = market.get("is_market_hours") is True
    except (BadField, ValueError) as error:
        summary["warning"] = str(error)[:200]
    return summary


def ticker_list(data: dict[str, Any]) -> list[str]:
    """The well-formed tickers of a /tickers answer."""
    tickers = data.get("tickers")
    found = [canonical_symbol(t) for t in tickers if isinstance(t, str)] if isinstance(tickers, list) else []
    return [symbol for symbol in found if is_symbol(symbol)]
