"""What we might do and why. Celery and the web write these; the worker only reads them."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from events.clock import utc_now
from positions.domain.expected import SLIPPAGE_PCT

SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]
PERCENT = [MinValueValidator(0.0), MaxValueValidator(100.0)]
MULTIPLE = [MinValueValidator(0.1), MaxValueValidator(50.0)]
POLLING = [MinValueValidator(10), MaxValueValidator(3600)]
MONEY = {"max_digits": 18, "decimal_places": 4}
PRICE = {"max_digits": 18, "decimal_places": 6}


class WatchListEntry(models.Model):
    """A symbol whose predictions are polled. Edited in the admin, effective at the next poll."""

    symbol = models.CharField(
        max_length=21,
        unique=True,
        validators=[RegexValidator(r"\A[A-Z0-9][A-Z0-9. -]{0,20}(?<! )\Z", "A ticker in capital letters, like AAPL.")],
    )
    enabled = models.BooleanField(default=True)
    threshold = models.FloatField(
        null=True, blank=True, validators=SHARE, help_text="Lowest confidence that makes a signal, 0 to 1; empty = the default."
    )
    allow_short = models.BooleanField(default=False, help_text="SELL may open a short; otherwise it only closes a long.")
    poll_seconds = models.PositiveIntegerField(null=True, blank=True, validators=POLLING, help_text="Empty = the default.")
    note = models.CharField(max_length=200, blank=True)
    added_at = models.DateTimeField(default=utc_now, editable=False)

    class Meta:
        ordering = ["symbol"]
        verbose_name_plural = "watch list"

    def __str__(self) -> str:
        return self.symbol


class SignalSettings(models.Model):
    """The one row of settings for polling, thresholds and sizing."""

    class Sizing(models.TextChoices):
        SHARES = "shares", "fixed shares"
        DOLLARS = "dollars", "fixed dollars"
        EQUITY = "equity", "percent of equity"
        RISK = "risk", "risk dollars / stop distance"

    default_threshold = models.FloatField(default=0.75, validators=SHARE, help_text="Lowest confidence that makes a signal, 0 to 1.")
    poll_seconds = models.PositiveIntegerField(default=60, validators=POLLING)
    max_age_seconds = models.PositiveIntegerField(
        default=180, validators=[MinValueValidator(10)], help_text="Older data is stored, flagged stale, never traded."
    )
    pending_seconds = models.PositiveIntegerField(
        default=120, validators=[MinValueValidator(10), MaxValueValidator(3600)], help_text="Life of a pending signal."
    )
    approval_seconds = models.PositiveIntegerField(
        default=30,
        validators=[MinValueValidator(5), MaxValueValidator(120)],
        help_text="An approval not sent by then expires (at most 120).",
    )
    max_drift_pct = models.FloatField(default=0.5, validators=PERCENT)
    max_drift_atr = models.FloatField(default=0.5, validators=[MinValueValidator(0.0), MaxValueValidator(50.0)])
    sizing = models.CharField(max_length=8, choices=Sizing.choices, default=Sizing.RISK)
    shares = models.PositiveIntegerField(default=100)
    dollars = models.DecimalField(default=20_000, validators=[MinValueValidator(0)], **MONEY)
    equity_pct = models.FloatField(default=5.0, validators=PERCENT)
    risk_dollars = models.DecimalField(default=500, validators=[MinValueValidator(0)], **MONEY)
    atr_period = models.PositiveIntegerField(
        default=14, validators=[MinValueValidator(1), MaxValueValidator(500)], help_text="One-minute bars that the ATR looks back over."
    )
    stop_atr_multiple = models.FloatField(
        default=2.0, validators=MULTIPLE, help_text="The stop is so many ATR of one-minute bars from the expected fill."
    )
    min_stop_pct = models.FloatField(
        default=0.4, validators=PERCENT, help_text="The stop is at least this far from the expected fill, percent."
    )
    reward_risk = models.FloatField(default=2.0, validators=MULTIPLE)
    entry_offset_pct = models.FloatField(
        default=0.15, validators=PERCENT, help_text="The entry limit is this far through the market, percent."
    )
    slippage_pct = models.FloatField(
        default=SLIPPAGE_PCT,
        validators=[MinValueValidator(0.0), MaxValueValidator(5.0)],
        help_text="An entry is expected to fill this much worse than the quote, percent; size, risk, target and R come from that price.",
    )
    entry_life_seconds = models.PositiveIntegerField(
        default=120, validators=[MinValueValidator(5)], help_text="An unfilled entry is cancelled after this."
    )

    class Meta:
        verbose_name_plural = "signal settings"

    def __str__(self) -> str:
        return "signal settings"

    @classmethod
    def current(cls) -> "SignalSettings":
        """The settings as they are now; read them anew at each run, a person may have changed them."""
        return cls.objects.get_or_create(pk=1)[0]


class PredictionRecord(models.Model):
    """Everything the API said, once per identity; `verdict` says what became of it and why."""

    class Verdict(models.TextChoices):
        SIGNAL = "signal"
        REFRESH = "refresh"
        FILTERED = "filtered"
        INVALID = "invalid"

    source = models.CharField(max_length=40)
    ticker = models.CharField(max_length=21)
    timestamp = models.BigIntegerField(help_text="Epoch milliseconds, as sent.")
    model_path = models.CharField(max_length=200, blank=True)
    use_default_only = models.BooleanField(default=False)
    word = models.CharField(max_length=20, blank=True)
    numeric = models.SmallIntegerField(null=True)
    confidence = models.FloatField(default=0)
    probabilities = models.JSONField(default=dict, help_text="{sell, neutral, buy}")
    feature_values = models.JSONField(default=dict)
    stock_price = models.FloatField(null=True)
    data_time = models.DateTimeField(null=True)
    prediction_time = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    revision = models.IntegerField(default=1)
    revisions = models.JSONField(default=list, help_text="What earlier revisions said, oldest first.")
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    reason = models.CharField(max_length=200, blank=True)
    warnings = models.JSONField(default=list)
    signal_id = models.CharField(max_length=36, blank=True)

    class Meta:
        verbose_name = "prediction"
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(fields=["source", "ticker", "timestamp", "model_path", "use_default_only"], name="prediction_once")
        ]
        indexes = [
            models.Index(fields=["ticker", "-timestamp"]),
            models.Index(fields=["received_at"]),
            models.Index(fields=["verdict", "received_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.ticker} {self.word} {self.confidence:.2f}"


class SignalRecord(models.Model):
    """One thing we consider doing. Changed only by compare-and-set on (state, version)."""

    class State(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        EXPIRED = "expired"
        SUPERSEDED = "superseded"
        FILTERED = "filtered"

    signal_id = models.CharField(max_length=36, primary_key=True)
    prediction = models.ForeignKey(PredictionRecord, null=True, on_delete=models.PROTECT, related_name="signals")
    symbol = models.CharField(max_length=21)
    direction = models.SmallIntegerField(help_text="+1 buy, -1 sell")
    action = models.CharField(max_length=11, default="open_long", help_text="Open or close, long or short.")
    confidence = models.FloatField()
    threshold = models.FloatField(default=0.75)
    model = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=300, blank=True)
    version = models.IntegerField(default=1)
    price = models.FloatField(help_text="Underlying when predicted; a reference, never a fill price.")
    data_time = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    refreshed_at = models.DateTimeField(null=True, blank=True)
    refresh_count = models.IntegerField(default=0)
    expires_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision = models.JSONField(default=dict, help_text="Size, prices and what was edited, as approved.")

    class Meta:
        verbose_name = "signal"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "expires_at"]),
            models.Index(fields=["state", "created_at"]),
            models.Index(fields=["created_at", "signal_id"]),
            models.Index(fields=["symbol", "-created_at"]),
        ]
        constraints = [models.UniqueConstraint(fields=["symbol"], condition=models.Q(state="pending"), name="one_pending_signal")]

    def __str__(self) -> str:
        return f"{'BUY' if self.direction > 0 else 'SELL'} {self.symbol} {self.confidence:.0%}"

    def as_row(self) -> dict[str, Any]:
        """The row that pages and the feed show. `at` is the last change; a refresh moves it without a new version."""
        changed = max(moment for moment in (self.created_at, self.refreshed_at, self.decided_at) if moment is not None)
        return {
            "id": self.signal_id,
            "v": self.version,
            "at": changed.isoformat(),
            "symbol": self.symbol,
            "direction": self.direction,
            "action": self.action,
            "confidence": self.confidence,
            "threshold": self.threshold,
            "model": self.model,
            "state": str(self.state),
            "reason": self.reason,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "refresh_count": self.refresh_count,
            "data_time": self.data_time.isoformat() if self.data_time else None,
            "price": self.price,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at.isoformat() if self.decided_at else None,
        }


class SourceHealth(models.Model):
    """How well a ticker's polling goes; the row with an empty ticker is the API itself."""

    ticker = models.CharField(max_length=21, blank=True, unique=True)
    state = models.CharField(max_length=14, default="unknown", help_text="ok, degraded, down, misconfigured, unknown")
    last_attempt = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="A poll was handed out then and has not ended.")
    gap_since = models.BigIntegerField(null=True, blank=True, help_text="Predictions after this (epoch milliseconds) are to be fetched.")
    last_success = models.DateTimeField(null=True, blank=True)
    last_new = models.DateTimeField(null=True, blank=True)
    errors_in_row = models.IntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["ticker"]
        verbose_name_plural = "source health"

    def __str__(self) -> str:
        return f"{self.ticker or 'options-flow API'}: {self.state}"


class FlowPoint(models.Model):
    """Stored rows of the other calls: option prints, divergence points, minute bars, by (kind, ticker, key)."""

    kind = models.CharField(max_length=12, help_text="trade, divergence, minute, range")
    ticker = models.CharField(max_length=21)
    key = models.BigIntegerField(help_text="The row id of a trade; else epoch milliseconds.")
    at = models.DateTimeField()
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["kind", "ticker", "key"], name="flow_point_once")]
        indexes = [models.Index(fields=["ticker", "kind", "at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.ticker} {self.at:%Y-%m-%d %H:%M:%S}"


class JobLease(models.Model):
    """The last slot of time a periodic job ran for; a second scheduler finds it taken and does nothing."""

    name = models.CharField(max_length=40, primary_key=True)
    slot = models.BigIntegerField(default=-1)

    def __str__(self) -> str:
        return f"{self.name} {self.slot}"
