"""What the risk gate judges with: the limits a person sets, the moment an intent is judged in, the locks that stand.

Plain values only. The checks are in `risk.py` (one order), `risk_pace.py` (what came before it), `risk_market.py` (session,
margin, book) and `locks.py` (what is shut); all of them read these and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from events.order import OrderRole
from positions.domain.intent import Denied, OrderIntent
from positions.domain.order import Order
from positions.domain.ports import Contract, Tick
from positions.domain.position import Position
from positions.domain.pricing import is_price


class TradingState(StrEnum):
    """Whether orders may leave. Exits, cancels and stops may leave in every state: a halt never locks anybody in."""

    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


class Scope(StrEnum):
    """What a limit or a lock is about. The name beside it is the symbol, the source, the strategy or the account."""

    BOOK = "book"
    SYMBOL = "symbol"
    SOURCE = "source"
    STRATEGY = "strategy"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedLimit:
    """Tighter limits for one symbol, source, strategy or account; None leaves the general limit alone."""

    scope: Scope
    name: str
    max_order_quantity: float | None = None
    max_order_notional: float | None = None
    max_position_notional: float | None = None  # held and working in this scope
    max_open_risk: float | None = None
    max_day_entries: int | None = None
    max_day_notional: float | None = None

    @property
    def words(self) -> str:
        return f"{self.scope.value} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """What a person sets. Quantities in shares, money in the account's currency, everything with `pct` in percent."""

    max_order_quantity: float = 5_000
    max_order_notional: float = 100_000
    max_position_notional: float = 150_000  # per symbol, working entries counted as filled
    max_open_positions: int = 12
    max_open_risk: float = 20_000  # over all open positions and working entries
    max_symbol_risk: float = 10_000  # the same, per symbol
    max_day_entries: int = 200
    max_day_notional: float = 5_000_000  # of all entries sent today
    max_working_orders: int = 15  # per symbol and side; IB refuses more than 20
    duplicate_window_seconds: float = 5  # an entry of the same shape within so long is a duplicate
    repeat_window_seconds: float = 900
    max_symbol_repeats: int = 20  # entries per symbol within the window; one more locks the symbol
    max_source_repeats: int = 100  # the same per source
    no_entry_before_close_minutes: float = 5
    daily_loss_limit: float = 10_000  # realized and unrealized, fees included
    weekly_loss_limit: float = 25_000
    losing_streak: int = 6  # losing trades in a row that pause all entries; 0 = never
    symbol_losing_streak: int = 4  # the same for one symbol
    streak_lock_minutes: float = 60
    max_drawdown_pct: float = 15.0  # of the highest equity of the last thirty days; locks until cleared
    price_collar_pct: float = 3.0
    quote_max_age_seconds: float = 10
    require_margin: bool = False  # the stored row's default is True: no what-if, no send
    max_margin_pct: float = 50.0  # what an entry and all working ones may take of the excess liquidity
    margin_max_age_seconds: float = 120
    restricted_symbols: frozenset[str] = frozenset()
    scoped: tuple[ScopedLimit, ...] = ()

    def scopes_of(self, intent: OrderIntent, account: str = "") -> list[ScopedLimit]:
        """The scoped limits this intent falls under."""
        return [limit for limit in self.scoped if name_in(limit.scope, intent, account) == limit.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Entries are shut for a scope. `until` None = until a person clears it. `cause` is what it was locked for, for ever:
    the same cause does not lock again after it was cleared."""

    cause: str
    code: str
    scope: Scope
    name: str = ""
    reason: str = ""
    since: datetime
    until: datetime | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def shuts(self, intent: OrderIntent, now: datetime, account: str = "") -> bool:
        if self.until is not None and now >= self.until:
            return False
        return self.scope is Scope.BOOK or name_in(self.scope, intent, account) == self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskContext:
    """The moment an intent is judged in. `contract` None = the symbol is not known; `session_open` None = not known, not checked."""

    now: datetime
    contract: Contract | None = None
    quote: Tick | None = None
    positions: Sequence[Position] = ()
    orders: Sequence[Order] = ()
    elsewhere: Mapping[str, float] = field(default_factory=dict)  # symbol → signed shares at the broker that are not ours
    trading_state: TradingState = TradingState.ACTIVE
    trading_reason: str = ""
    link_up: bool = True
    clock_skew: float = 0.0  # seconds our clock is ahead of the broker's; negative when behind
    database_skew: float = 0.0  # … and ahead of the database's, by whose clock all hosts of the desk agree
    reconciled: bool = True
    session_open: bool | None = None
    session_closes: datetime | None = None  # of the session that is open; None = not known, not checked
    day_began: datetime | None = None  # the exchange's midnight; None = the day's counts are not checked
    day_pnl: float | None = None
    limits_version: str = ""  # whatever changes when a person edits a limit; "" = not known, not compared
    account: str = ""  # ours; "" = not known yet
    broker_account: str = ""  # the one the gateway answers for
    locks: Sequence[Lock] = ()
    cleared: Mapping[str, datetime] = field(default_factory=dict)  # "symbol AAPL" → when its repeat lock was last cleared
    released_losses: int = 0  # daily loss locks of today that a person released: each allows the limit once more
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def market(self) -> float | None:
        """The price an entry is judged against: the middle of the quote, else the last trade."""
        quote = self.quote
        if quote is None:
            return None
        if is_price(quote.bid) and is_price(quote.ask) and quote.ask >= quote.bid:
            return (quote.bid + quote.ask) / 2
        return quote.last if is_price(quote.last) else None

    def held(self, symbol: str) -> list[Position]:
        return [position for position in self.positions if position.symbol == symbol and position.is_active]

    def working_entries(self, symbol: str | None = None) -> list[Order]:
        return [o for o in self.orders if o.role is OrderRole.ENTRY and o.is_live and not o.external and symbol in (None, o.symbol)]

    def entries_since(self, moment: datetime) -> list[Order]:
        """Entries of ours that left, or are about to, since then; what was never sent counts for nothing."""
        return [
            o
            for o in self.orders
            if o.role is OrderRole.ENTRY and not o.external and o.created_at >= moment and (o.is_live or o.filled_quantity or o.ib_status)
        ]


Check = Callable[[OrderIntent, RiskContext, RiskLimits], Denied | None]


def name_in(scope: Scope, intent: OrderIntent, account: str = "") -> str:
    """The name under which an intent stands in a scope."""
    return {
        Scope.BOOK: "",
        Scope.SYMBOL: intent.symbol,
        Scope.SOURCE: intent.source,
        Scope.STRATEGY: intent.strategy,
        Scope.ACCOUNT: account,
    }[scope]


def order_in(scope: Scope, order: Order, name: str) -> bool:
    """Whether an entry of ours belongs to the scope's `name`."""
    if scope is Scope.SYMBOL:
        return order.symbol == name
    if scope in (Scope.SOURCE, Scope.STRATEGY):
        return bool(order.intent.get(scope.value) == name)
    return scope is Scope.BOOK or order.account == name


def entry_price(intent: OrderIntent, context: RiskContext) -> float | None:
    """What the entry is expected to cost per share: its limit, else the market, else what the person saw."""
    return intent.limit_price if intent.limit_price is not None else (context.market or intent.reference_price)


def order_price(order: Order) -> float:
    """What a share of an entry of ours costs, as far as it is known; 0 if nothing is."""
    return float(order.average_price or order.limit_price or order.intent.get("reference_price") or 0.0)


def denied(code: str, message: str, what_to_do: str, **values: Any) -> Denied:
    return Denied(code=code, message=message, what_to_do=what_to_do, values=values)
