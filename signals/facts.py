"""The fresh numbers a decision about signals rests on: prices, volatility, what we hold, limits, trading state.

Gathered in a handful of queries for any number of symbols. The worker's quotes come from its last health row; an old one
is as good as none, and whoever reads `Quote.age` says so.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from typing import Any

from django.db import connection

from events.clock import monotonic, utc_now
from events.database_clock import database_skew
from events.exchange_time import EXCHANGE_ZONE, exchange_date
from events.health import newest_lease, said_by
from events.models import WorkerLease
from positions.accounts import traded_account
from positions.domain.bars import wilder_atr
from positions.domain.margin import Margin
from positions.domain.ports import Bar
from positions.domain.risk import TradingState
from positions.models import EquityPoint, MarginAnswer, MinuteBar, PositionRecord, RiskLimits
from positions.models import TradingState as TradingStateRecord
from signals.gate import GateView, view_of
from signals.models import SignalRecord, SignalSettings
from signals.session import market_closes, market_open

BARS_PER_PERIOD = 4  # Wilder's average forgets slowly: this many periods of bars give it to within a few percent
BARS_REMEMBERED = 20.0  # seconds
SYMBOLS_AT_ONCE = 200  # SQLite allows 500 parts of a union
HELD = ("opening", "open", "adjusting", "closing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The worker's latest quote of a symbol. `age` is in seconds; `live` is False for delayed, frozen or halted data."""

    last: float
    bid: float | None
    ask: float | None
    at: datetime
    age: float
    live: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything as of `now`. Symbols that nothing is known of are missing from the dicts."""

    now: datetime
    settings: SignalSettings
    limits: RiskLimits
    trading: TradingState
    trading_reason: str
    worker_ok: bool
    worker_detail: str
    session_open: bool
    quotes: dict[str, Quote]  # symbol → its latest quote, however old
    atrs: dict[str, float]  # symbol → ATR of one-minute bars, dollars
    held: dict[str, float]  # symbol → signed shares
    equity: float | None
    open_risk: float
    day_pnl: float | None
    gate: GateView | None = None  # what the worker's own checks judge with
    margins: dict[str, Margin] = field(default_factory=dict)  # signal → what the broker said its proposal takes
    margin_errors: dict[str, str] = field(default_factory=dict)  # signal → why the broker said nothing


def gather(symbols: Iterable[str], *, now: datetime | None = None, judging: bool = True) -> Facts:
    """Read all facts about `symbols` from the database; without those that only the gate judges by, if nothing is judged."""
    now = now or utc_now()
    wanted = frozenset(symbols)
    settings = SignalSettings.objects.first() or SignalSettings()
    trading = TradingStateRecord.objects.first() or TradingStateRecord()
    lease = newest_lease()
    health = said_by(lease, now)
    worker = health["worker"]
    account = traded_account()
    point = EquityPoint.objects.filter(account=account).order_by("-at").first()
    answers = _margins(wanted)
    limits = RiskLimits.objects.first() or RiskLimits()
    day_pnl = float(point.day_pnl) if point else None
    midnight = datetime.combine(exchange_date(now), time(), EXCHANGE_ZONE)
    gate = None
    if judging:
        gate = view_of(
            limits, now=now, day_began=midnight, state=TradingState(trading.state), reason=trading.reason,
            session_open=market_open(now), session_closes=market_closes(now), day_pnl=day_pnl, account=account,
            clock_skew=_skew(health["gateway"]), database_skew=max(_skew(health["database"]), database_skew(), key=abs),
        )  # fmt: skip
    return Facts(
        now=now,
        settings=settings,
        limits=limits,
        gate=gate,
        trading=TradingState(trading.state),
        trading_reason=trading.reason,
        worker_ok=worker["state"] == "ok",
        worker_detail=str(worker.get("detail", "")),
        session_open=market_open(now),
        quotes=_quotes(lease, wanted, now),
        atrs=_atrs(wanted, settings.atr_period) if judging else _recent_atrs(wanted, settings.atr_period),
        held=_holdings(account),
        equity=float(point.equity) if point else None,
        open_risk=float(point.open_risk) if point else 0.0,
        day_pnl=day_pnl,
        margins={answer.signal_id: Margin.from_dict(answer.data) for answer in answers if answer.data},
        margin_errors={answer.signal_id: answer.error for answer in answers if answer.error},
    )


def about(symbols: Iterable[str], known: Facts, now: datetime) -> Facts:
    """The facts of a moment ago, of other symbols too: what is of the whole desk is not read again."""
    wanted = frozenset(symbols)
    answers = _margins(wanted)
    return replace(
        known,
        quotes=_quotes(newest_lease(), wanted, now),
        atrs=_atrs(wanted, known.settings.atr_period),
        margins={answer.signal_id: Margin.from_dict(answer.data) for answer in answers if answer.data},
        margin_errors={answer.signal_id: answer.error for answer in answers if answer.error},
    )


def _margins(symbols: frozenset[str]) -> list[MarginAnswer]:
    """What the broker said of the pending signals of these symbols."""
    pending = SignalRecord.objects.filter(state=SignalRecord.State.PENDING, symbol__in=symbols).values("signal_id")
    return list(MarginAnswer.objects.filter(signal_id__in=pending))


def _skew(part: dict[str, Any]) -> float:
    """The worker's clock's, in seconds, by its own word."""
    said = part.get("clock_skew")
    return float(said) if isinstance(said, (int, float)) else 0.0


def _holdings(account: str) -> dict[str, float]:
    held: dict[str, float] = defaultdict(float)
    for record in PositionRecord.objects.filter(account=account, status__in=HELD).only("symbol", "quantity"):
        held[record.symbol] += float(record.quantity)
    return dict(held)


def _quotes(lease: WorkerLease | None, symbols: frozenset[str], now: datetime) -> dict[str, Quote]:
    rows = lease.health.get("quotes") if lease else None
    if not isinstance(rows, dict):
        return {}
    found = {symbol: _quote(rows[symbol], now) for symbol in symbols if symbol in rows}
    return {symbol: quote for symbol, quote in found.items() if quote is not None}


def _quote(row: Any, now: datetime) -> Quote | None:
    """One quote of the health row; None when it has no usable price or time."""
    if not isinstance(row, dict):
        return None
    bid, ask = _price(row.get("bid")), _price(row.get("ask"))
    middle = (bid + ask) / 2 if bid is not None and ask is not None and ask >= bid else None
    last = _price(row.get("last")) or middle
    try:
        at = datetime.fromisoformat(str(row.get("at")))
    except ValueError:
        return None
    if last is None or at.tzinfo is None:
        return None
    return Quote(last=last, bid=bid, ask=ask, at=at, age=max(0.0, (now - at).total_seconds()), live=bool(row.get("live", True)))


def _price(value: Any) -> float | None:
    """A positive finite number, or None: IB says −1 for a price it does not have."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        return None
    return float(value)


def _atrs(symbols: frozenset[str], period: int) -> dict[str, float]:
    period = max(1, period)
    bars: dict[str, list[Bar]] = defaultdict(list)
    for bar in _newest_bars(sorted(symbols), period * BARS_PER_PERIOD):
        bars[bar.symbol].append(Bar(symbol=bar.symbol, at=bar.at, open=bar.open, high=bar.high, low=bar.low, close=bar.close))
    found = {symbol: wilder_atr(list(reversed(newest)), period) for symbol, newest in bars.items()}
    return {symbol: atr for symbol, atr in found.items() if atr is not None and math.isfinite(atr) and atr > 0}


_remembered: dict[tuple[str, int], tuple[datetime, float, float | None]] = {}  # (symbol, period) → newest bar, when read, ATR


def _recent_atrs(symbols: frozenset[str], period: int) -> dict[str, float]:
    """The same, read again only for symbols with a newer bar, and after a while: for whoever asks about all signals all the time."""
    moment = monotonic()
    newest = {bar.symbol: bar.at for bar in _newest_bars(sorted(symbols), 1)}
    old = (datetime.min.replace(tzinfo=UTC), -math.inf, None)
    known = {symbol: _remembered.get((symbol, period), old) for symbol in newest}
    changed = {symbol for symbol, (at, read, _) in known.items() if at != newest[symbol] or moment - read > BARS_REMEMBERED}
    found = _atrs(frozenset(changed), period)
    kept = {symbol: atr for symbol, (_, _, atr) in known.items() if symbol not in changed}
    whole = kept | {symbol: found.get(symbol) for symbol in changed}
    _remembered.clear()
    _remembered.update({(s, period): (newest[s], moment if s in changed else known[s][1], atr) for s, atr in whole.items()})
    return {symbol: atr for symbol, atr in whole.items() if atr is not None}


def _newest_bars(symbols: list[str], count: int) -> Iterator[MinuteBar]:
    """The newest bars of each symbol, newest first: one seek in the index for each, in one statement for many.

    Written out because the ORM cannot limit the parts of a union on SQLite, and a window function would read every bar there is.
    """
    table = connection.ops.quote_name(MinuteBar._meta.db_table)
    one = f"SELECT * FROM (SELECT * FROM {table} WHERE symbol = %s ORDER BY at DESC LIMIT %s) AS newest"  # noqa: S608
    for start in range(0, len(symbols), SYMBOLS_AT_ONCE):
        some = symbols[start : start + SYMBOLS_AT_ONCE]
        statement = " UNION ALL ".join([one] * len(some))
        yield from MinuteBar.objects.raw(statement, [value for symbol in some for value in (symbol, count)])
