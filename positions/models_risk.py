"""Rows of the risk gate: limits of one name, who changed which limit, what is locked, and what the broker said of margin.

A person edits `ScopedLimitRecord` in the admin and clears a `RiskLock` with a reason; the worker makes locks and margin
answers. `LimitChange` is written with every edit and never changed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from events.refusal_words import refusal_title

MOST_MONEY = Decimal("100000000000")
MONEY: dict[str, Any] = {
    "max_digits": 18,
    "decimal_places": 4,
    "validators": [MinValueValidator(Decimal(0)), MaxValueValidator(MOST_MONEY)],
}
OPTIONAL: dict[str, Any] = {"null": True, "blank": True}


class ScopedLimitRecord(models.Model):
    """Tighter limits for one symbol, source, strategy or account; an empty field leaves the general limit alone."""

    class Scope(models.TextChoices):
        SYMBOL = "symbol"
        SOURCE = "source"
        STRATEGY = "strategy"
        ACCOUNT = "account"

    scope = models.CharField(max_length=10, choices=Scope.choices)
    name = models.CharField(max_length=40, help_text="The symbol, source, strategy or account, exactly as the pages show it.")
    max_order_quantity = models.PositiveIntegerField(**OPTIONAL)
    max_order_notional = models.DecimalField(**OPTIONAL, **MONEY)
    max_position_notional = models.DecimalField(help_text="Held and working.", **OPTIONAL, **MONEY)
    max_open_risk = models.DecimalField(**OPTIONAL, **MONEY)
    max_day_entries = models.PositiveIntegerField(**OPTIONAL)
    max_day_notional = models.DecimalField(**OPTIONAL, **MONEY)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "limit of one name"
        verbose_name_plural = "limits of single names"
        ordering = ["scope", "name"]
        constraints = [models.UniqueConstraint(fields=["scope", "name"], name="scoped_limit_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.name}"


class LimitChange(models.Model):
    """One field of one limit, before and after."""

    at = models.DateTimeField()
    changed_by = models.CharField(max_length=150)
    limit = models.CharField(max_length=80, help_text="Whose limit: the desk's, or a scope and its name.")
    field = models.CharField(max_length=40)
    old = models.CharField(max_length=1000, blank=True)
    new = models.CharField(max_length=1000, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.limit} {self.field.replace('_', ' ')}: {self.old or 'none'} to {self.new or 'none'}"


class RiskLock(models.Model):
    """Entries are shut for a scope. Made by the worker, or with an error trade, once per cause; cleared by an admin, or by time."""

    account = models.CharField(max_length=32, blank=True)
    cause = models.CharField(max_length=120)
    code = models.CharField(max_length=30)
    scope = models.CharField(max_length=10)
    name = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=300)
    values = models.JSONField(default=dict)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until a person clears it.")
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.CharField(max_length=150, blank=True)
    clear_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-since", "-id"]
        indexes = [models.Index(fields=["cleared_at", "until"])]
        constraints = [models.UniqueConstraint(fields=["account", "cause"], name="lock_once")]

    def __str__(self) -> str:
        return f"{refusal_title(self.code)} {self.scope} {self.name}".rstrip()

    @property
    def what(self) -> str:
        """What it shuts, in words."""
        return f"{self.scope} {self.name}" if self.name else "all entries"


class MarginAnswer(models.Model):
    """The newest what-if of a pending signal, as `Margin.to_dict`; `error` says why there is none."""

    signal_id = models.CharField(max_length=36, primary_key=True)
    asked_at = models.DateTimeField()
    data = models.JSONField(default=dict)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        indexes = [models.Index(fields=["asked_at"])]

    def __str__(self) -> str:
        return f"margin of {self.signal_id}"
