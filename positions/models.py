"""The written record of what we hold. Only the worker writes orders, fills, positions, equity and bars;
people edit `RiskLimits`, and ask for everything else by command.

`data` keeps the object's whole state as the last event carried it; `as_row()` is what pages and frames show of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from events.order import OrderState
from events.wording import price_text, quantity_text, state_words
from positions.domain.holding import in_r
from positions.models_alarms import AlarmRecord, ErrorTrade
from positions.models_broker import BrokerAcknowledgement, BrokerCheck, BrokerHolding, CashAnchor, StatementCheck, TradedAccount
from positions.models_cash import CashFlow
from positions.models_growing import PositionChange, PositionEntry
from positions.models_protection import OperatorTask, ProtectionSettings
from positions.models_risk import LimitChange, MarginAnswer, RiskLock, ScopedLimitRecord
from positions.orders import LIVE_WORDS

__all__ = [
    "AlarmRecord",
    "BrokerAcknowledgement",
    "BrokerCheck",
    "BrokerHolding",
    "CashAnchor",
    "CashFlow",
    "EquityPoint",
    "ErrorTrade",
    "FillRecord",
    "LimitChange",
    "MarginAnswer",
    "MinuteBar",
    "OperatorTask",
    "OrderRecord",
    "PositionChange",
    "PositionEntry",
    "PositionRecord",
    "ProtectionSettings",
    "RiskLimits",
    "RiskLock",
    "ScopedLimitRecord",
    "StatementCheck",
    "TradedAccount",
    "TradingState",
]

MONEY: dict[str, Any] = {"max_digits": 18, "decimal_places": 4}
PRICE: dict[str, Any] = {"max_digits": 18, "decimal_places": 6}
LIMIT: dict[str, Any] = MONEY | {"validators": [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal("100000000000"))]}
PERCENT: dict[str, Any] = {"validators": [MinValueValidator(0.0), MaxValueValidator(100.0)]}
SIZE: dict[str, Any] = {"max_digits": 18, "decimal_places": 4}

# Kept in the row's data, too long for a frame.
NOT_SHOWN = frozenset({"history", "metadata", "executions", "fills", "extremes", "intent"})


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """The page's row of an object's whole state: the same dict in event, row and frame."""
    return {key: value for key, value in data.items() if key not in NOT_SHOWN}


def plain(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


class OrderRecord(models.Model):
    """One order of ours, or (external=True) one seen at the broker that we did not make."""

    order_id = models.CharField(max_length=36, primary_key=True, help_text="Our id (FIX ClOrdID).")
    order_ref = models.CharField(max_length=40, unique=True, help_text="Echoed by IB; the correlation key.")
    intent_id = models.CharField(max_length=36, blank=True)
    signal_id = models.CharField(max_length=36, blank=True)
    position_id = models.CharField(max_length=36, blank=True)
    parent_order_id = models.CharField(max_length=36, blank=True)
    oca_group = models.CharField(max_length=40, blank=True)
    role = models.CharField(max_length=10, help_text="entry, stop, target, exit, external")
    account = models.CharField(max_length=32, blank=True)
    symbol = models.CharField(max_length=21)
    side = models.CharField(max_length=4)
    order_type = models.CharField(max_length=12)
    time_in_force = models.CharField(max_length=4)
    quantity = models.DecimalField(**SIZE)
    limit_price = models.DecimalField(null=True, blank=True, **PRICE)
    stop_price = models.DecimalField(null=True, blank=True, **PRICE)
    state = models.CharField(max_length=12)
    pending = models.CharField(max_length=8, default="none", help_text="none, replace, cancel")
    filled_quantity = models.DecimalField(default=0, **SIZE)
    average_price = models.DecimalField(null=True, blank=True, **PRICE)
    commission = models.DecimalField(default=0, **MONEY)
    ib_order_id = models.BigIntegerField(null=True, blank=True)
    client_id = models.IntegerField(null=True, blank=True)
    perm_id = models.BigIntegerField(null=True, blank=True)
    session_id = models.CharField(max_length=36, blank=True)
    ib_status = models.CharField(max_length=32, blank=True)
    code = models.CharField(max_length=40, blank=True, help_text="Our refusal code or IB's error number.")
    message = models.CharField(max_length=500, blank=True, help_text="Our words (denied) or IB's own (rejected).")
    external = models.BooleanField(default=False)
    version = models.IntegerField(default=0)
    epoch = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    data = models.JSONField(default=dict, help_text="The whole order state, as the state event carried it.")

    class Meta:
        verbose_name = "order"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "created_at"]),
            # The few that may still trade; see positions/current.py.
            models.Index(fields=["created_at"], name="order_living", condition=models.Q(state__in=LIVE_WORDS)),
            models.Index(fields=["created_at", "order_id"]),
            models.Index(fields=["updated_at"]),
            models.Index(fields=["intent_id"]),
            models.Index(fields=["position_id"]),
            models.Index(fields=["signal_id"]),
            models.Index(fields=["symbol", "-created_at"]),
            models.Index(fields=["perm_id"]),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(quantity__gte=0, quantity__lt=10_000_000), name="order_quantity_in_range")]

    def __str__(self) -> str:
        return f"{self.side} {quantity_text(self.quantity)} {self.symbol} {state_words(self.order_type)}, {state_words(self.state)}"

    @property
    def never_left(self) -> bool:
        """Provably never at the broker: our checks denied it, or it ended without a number, a word or an execution of the broker's."""
        if self.state == OrderState.DENIED:
            return True
        return self.state == OrderState.CANCELED and not (self.perm_id or self.ib_status or self.filled_quantity)

    def as_row(self) -> dict[str, Any]:
        return shown(self.data)


class FillRecord(models.Model):
    """One execution at its highest revision is `current`; a corrected one stays, superseded."""

    exec_id = models.CharField(max_length=64, unique=True)
    exec_base = models.CharField(max_length=64, help_text="The execution's id without its last segment.")
    revision = models.IntegerField(default=1)
    superseded = models.BooleanField(default=False)
    account = models.CharField(max_length=32, blank=True)
    order_id = models.CharField(max_length=36, blank=True)
    order_ref = models.CharField(max_length=40, blank=True)
    perm_id = models.BigIntegerField(null=True, blank=True)
    position_id = models.CharField(max_length=36, blank=True)
    signal_id = models.CharField(max_length=36, blank=True)
    symbol = models.CharField(max_length=21)
    side = models.CharField(max_length=4)
    quantity = models.DecimalField(**SIZE)
    price = models.DecimalField(**PRICE)
    commission = models.DecimalField(null=True, blank=True, **MONEY)
    currency = models.CharField(max_length=3, default="USD")
    realized_pnl = models.DecimalField(default=0, help_text="Gross of commission, from our own ledger.", **MONEY)
    fill_time = models.DateTimeField()
    received_at = models.DateTimeField()
    recovered = models.BooleanField(default=False, help_text="Learned by reconciliation, not live.")
    epoch = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "fill"
        ordering = ["-fill_time", "-id"]
        indexes = [
            models.Index(fields=["order_id"]),
            models.Index(fields=["position_id"]),
            models.Index(fields=["signal_id"]),
            models.Index(fields=["symbol", "fill_time"]),
            models.Index(fields=["fill_time"]),
            # All that P&L by day adds up and filters by, so that it reads this index and no fill.
            models.Index(fields=["account", "fill_time", "superseded", "position_id", "realized_pnl", "commission"], name="fill_results"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "exec_base", "revision"], name="fill_once"),
            models.CheckConstraint(condition=models.Q(quantity__gte=0, price__gt=0), name="fill_in_range"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {quantity_text(self.quantity)} {self.symbol} at {price_text(self.price)}"

    def as_row(self) -> dict[str, Any]:
        return {
            "id": self.exec_id,
            "order_id": self.order_id,
            "position_id": self.position_id,
            "signal_id": self.signal_id,
            "symbol": self.symbol,
            "side": self.side,
            "quantity": float(self.quantity),
            "price": float(self.price),
            "commission": plain(self.commission),
            "realized_pnl": float(self.realized_pnl),
            "fill_time": self.fill_time.isoformat(),
            "superseded": self.superseded,
            "recovered": self.recovered,
        }


class PositionRecord(models.Model):
    """One position lifecycle, planned to closed. Signed quantity; realized_pnl is net of known commissions."""

    position_id = models.CharField(max_length=36, primary_key=True)
    signal_id = models.CharField(max_length=36, blank=True)
    symbol = models.CharField(max_length=21)
    account = models.CharField(max_length=32, blank=True)
    strategy = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10)
    direction = models.SmallIntegerField(default=1, help_text="+1 long, -1 short; kept after close.")
    quantity = models.DecimalField(default=0, **SIZE)
    opened_quantity = models.DecimalField(default=0, help_text="Largest absolute quantity held.", **SIZE)
    entry_price = models.DecimalField(null=True, blank=True, **PRICE)
    exit_price = models.DecimalField(null=True, blank=True, help_text="Average exit price.", **PRICE)
    current_price = models.DecimalField(null=True, blank=True, **PRICE)
    price_at = models.DateTimeField(null=True, blank=True)
    stop_loss = models.DecimalField(null=True, blank=True, **PRICE)
    take_profit = models.DecimalField(null=True, blank=True, **PRICE)
    initial_stop = models.DecimalField(null=True, blank=True, **PRICE)
    unrealized_pnl = models.DecimalField(default=0, **MONEY)
    realized_pnl = models.DecimalField(default=0, **MONEY)
    commission = models.DecimalField(default=0, **MONEY)
    max_favorable = models.DecimalField(default=0, help_text="MFE, realized and unrealized together, >= 0.", **MONEY)
    max_adverse = models.DecimalField(default=0, help_text="MAE, <= 0.", **MONEY)
    risk_taken = models.DecimalField(null=True, blank=True, help_text="What its stops risked at the entries; empty: no R.", **MONEY)
    r_multiple = models.FloatField(null=True, blank=True)
    stop_state = models.CharField(max_length=10, default="none", help_text="none, pending, resting, missing")
    reason = models.CharField(max_length=200, blank=True, help_text="Why it closed.")
    created_at = models.DateTimeField()
    open_time = models.DateTimeField(null=True, blank=True)
    close_time = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField()
    version = models.IntegerField(default=0)
    epoch = models.BigIntegerField(default=0)
    data = models.JSONField(default=dict, help_text="The position's state, without history and fills.")

    class Meta:
        verbose_name = "position"
        ordering = ["-created_at"]
        indexes = [
            # All that the pages of results add up and filter by, so that they read this index and no position.
            models.Index(
                fields=[
                    *("account", "status", "close_time", "open_time", "symbol", "direction", "signal_id"),
                    *("realized_pnl", "commission", "r_multiple"),
                ],
                name="position_results",
            ),
            # The few that are not closed; see positions/current.py.
            models.Index(fields=["symbol"], name="position_current", condition=~models.Q(status="closed")),
            models.Index(fields=["symbol"]),
            models.Index(fields=["created_at"]),
            models.Index(fields=["close_time"]),
            models.Index(fields=["signal_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.status}"

    @property
    def mfe_r(self) -> float | None:
        return in_r(float(self.max_favorable), float(self.risk_taken or 0))

    @property
    def mae_r(self) -> float | None:
        return in_r(float(self.max_adverse), float(self.risk_taken or 0))

    @property
    def total_pnl(self) -> Decimal:
        """Realized net of fees, and open."""
        return self.realized_pnl + (self.unrealized_pnl if self.status != "closed" else Decimal(0))

    def as_row(self) -> dict[str, Any]:
        return shown(self.data)


class EquityPoint(models.Model):
    """The account's worth at a moment. `resolution` is what thinning left: tick, minute, hour or day."""

    account = models.CharField(max_length=32)
    at = models.DateTimeField()
    resolution = models.CharField(max_length=6, default="tick")
    equity = models.DecimalField(**MONEY)
    cash = models.DecimalField(**MONEY)
    unrealized_pnl = models.DecimalField(default=0, **MONEY)
    realized_pnl = models.DecimalField(default=0, help_text="Net, since the first point.", **MONEY)
    day_pnl = models.DecimalField(default=0, **MONEY)
    open_risk = models.DecimalField(default=0, help_text="Money lost if every stop fills at its price.", **MONEY)
    epoch = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "equity point"
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["account", "at"], name="equity_point_once")]
        indexes = [models.Index(fields=["account", "resolution", "at"]), models.Index(fields=["at"])]

    def as_row(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "equity": float(self.equity),
            "cash": float(self.cash),
            "unrealized_pnl": float(self.unrealized_pnl),
            "realized_pnl": float(self.realized_pnl),
            "day_pnl": float(self.day_pnl),
            "open_risk": float(self.open_risk),
        }


class MinuteBar(models.Model):
    """One completed one-minute bar; `at` is its start."""

    symbol = models.CharField(max_length=21)
    at = models.DateTimeField()
    open = models.FloatField()
    high = models.FloatField()
    low = models.FloatField()
    close = models.FloatField()
    volume = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "minute bar"
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["symbol", "at"], name="minute_bar_once")]
        indexes = [models.Index(fields=["at"])]


class RiskLimits(models.Model):
    """The one row of limits, edited in the admin and read by the worker before every order."""

    max_order_quantity = models.PositiveIntegerField(default=5_000)
    max_order_notional = models.DecimalField(default=100_000, **LIMIT)
    max_position_notional = models.DecimalField(default=150_000, help_text="Per symbol, working orders counted as filled.", **LIMIT)
    max_open_positions = models.PositiveIntegerField(default=12)
    max_open_risk = models.DecimalField(default=20_000, help_text="Money at risk over all open positions and working entries.", **LIMIT)
    max_symbol_risk = models.DecimalField(default=10_000, help_text="The same for one symbol.", **LIMIT)
    max_day_entries = models.PositiveIntegerField(default=200, help_text="Entries sent in one day.")
    max_day_notional = models.DecimalField(default=5_000_000, help_text="Money of all entries sent in one day.", **LIMIT)
    max_working_orders = models.PositiveIntegerField(default=15, help_text="Per symbol and side; IB refuses more than 20.")
    duplicate_window_seconds = models.PositiveIntegerField(default=5, help_text="The same entry again within so long is refused.")
    repeat_window_seconds = models.PositiveIntegerField(default=900)
    max_symbol_repeats = models.PositiveIntegerField(default=20, help_text="Entries per symbol in that window; more lock the symbol.")
    max_source_repeats = models.PositiveIntegerField(default=100, help_text="Entries per source in that window; more lock the source.")
    no_entry_before_close_minutes = models.PositiveIntegerField(default=5)
    daily_loss_limit = models.DecimalField(default=10_000, help_text="Realized and open, after fees; locks till the next session.", **LIMIT)
    weekly_loss_limit = models.DecimalField(default=25_000, help_text="The same since Monday; locks until the next week.", **LIMIT)
    losing_streak = models.PositiveIntegerField(default=6, help_text="Losing trades in a row that pause all entries; 0 for never.")
    symbol_losing_streak = models.PositiveIntegerField(default=4, help_text="The same for one symbol.")
    streak_lock_minutes = models.PositiveIntegerField(default=60)
    max_drawdown_pct = models.FloatField(
        default=15.0, help_text="Below the highest equity of the last 30 days, percent; then locks.", **PERCENT
    )
    price_collar_pct = models.FloatField(default=3.0, help_text="Entry limit may differ this much from the market, percent.", **PERCENT)
    quote_max_age_seconds = models.PositiveIntegerField(default=10)
    require_margin = models.BooleanField(default=True, help_text="No entry leaves before the broker has said what margin it takes.")
    max_margin_pct = models.FloatField(
        default=50.0, help_text="What an entry and working ones may take of the excess liquidity, percent.", **PERCENT
    )
    margin_max_age_seconds = models.PositiveIntegerField(default=120, help_text="An older answer is asked for again.")
    restricted_symbols = models.CharField(max_length=1000, blank=True, help_text="Never traded; separated by spaces.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "risk limits"

    def __str__(self) -> str:
        return "risk limits"


class TradingState(models.Model):
    """The one row that says whether orders may leave: active, reduce_only (exits only) or halted."""

    class State(models.TextChoices):
        ACTIVE = "active"
        REDUCE_ONLY = "reduce_only"
        HALTED = "halted"

    state = models.CharField(max_length=12, choices=State.choices, default=State.ACTIVE)
    reason = models.CharField(max_length=300, blank=True)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)
    version = models.IntegerField(default=0)

    class Meta:
        verbose_name_plural = "trading state"

    def __str__(self) -> str:
        return state_words(self.state)
