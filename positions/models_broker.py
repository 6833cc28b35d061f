"""The broker's side of the books as last compared with ours, and statements checked against our fills.

The worker alone writes holdings, comparisons and acknowledgements; the web writes the result of a statement it was given.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from events.accounts import masked
from events.wording import quantity_text

_SIZE: dict[str, Any] = {"max_digits": 18, "decimal_places": 4}
_PRICE: dict[str, Any] = {"max_digits": 18, "decimal_places": 6}


class TradedAccount(models.Model):
    """An account this desk has traded: written by the worker when the gateway answers for it and the mode allows it."""

    account = models.CharField(max_length=32, primary_key=True)
    mode = models.CharField(max_length=10, help_text="simulated, paper or live")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(help_text="When a worker last began to trade it.")
    epoch = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-last_at"]

    def __str__(self) -> str:
        return f"{self.mode} {masked(self.account)}"


class BrokerHolding(models.Model):
    """Shares of the account that no position of ours accounts for: bought or sold elsewhere. 0 is kept as history."""

    account = models.CharField(max_length=32)
    symbol = models.CharField(max_length=21)
    quantity = models.DecimalField(help_text="Signed shares.", **_SIZE)
    average_cost = models.DecimalField(null=True, blank=True, **_PRICE)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it last changed.")
    updated_at = models.DateTimeField()
    epoch = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["symbol"]
        constraints = [models.UniqueConstraint(fields=["account", "symbol"], name="holding_once")]

    def __str__(self) -> str:
        return f"{quantity_text(self.quantity)} {self.symbol}"


class BrokerCheck(models.Model):
    """One comparison of our book with the broker's. Equal ones in a row share a row: `at` moves, `times` counts."""

    first_at = models.DateTimeField()
    at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    account = models.CharField(max_length=32, blank=True)
    kind = models.CharField(max_length=10, help_text="start, light, full or asked")
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was made.")
    blocked = models.CharField(max_length=500, blank=True, help_text="Why entries wait; empty when they do not.")
    differences = models.PositiveIntegerField(default=0)
    external = models.PositiveIntegerField(default=0)
    signature = models.CharField(max_length=64, blank=True, help_text="Equal comparisons have equal ones.")
    data = models.JSONField(default=dict, help_text="The whole comparison, row by row.")
    epoch = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["-at"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {'blocked' if self.blocked else 'open'}"


class BrokerAcknowledgement(models.Model):
    """A difference a person has accepted as it was; it blocks nothing while the numbers stay the same."""

    account = models.CharField(max_length=32, blank=True)
    row = models.CharField(max_length=80, help_text="The comparison's row, such as order:TD…")
    ours = models.FloatField()
    theirs = models.FloatField()
    reason = models.CharField(max_length=300)
    by = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.row} by {self.by}"


class CashAnchor(models.Model):
    """The one row cash is compared from: what it was before the executions of day `since`."""

    account = models.CharField(max_length=32, unique=True)
    since = models.DateField()
    opening = models.DecimalField(max_digits=18, decimal_places=4)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.opening} on {self.since}"


class StatementCheck(models.Model):
    """One day of a broker's statement compared, to the cent, with our fills."""

    account = models.CharField(max_length=32, blank=True)
    day = models.DateField(help_text="Exchange day.")
    source = models.CharField(max_length=12, help_text="flex or activity")
    file_name = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    ok = models.BooleanField()
    matched = models.PositiveIntegerField(default=0)
    differs = models.PositiveIntegerField(default=0)
    missing_here = models.PositiveIntegerField(default=0)
    missing_there = models.PositiveIntegerField(default=0)
    data = models.JSONField(default=dict, help_text="Rows, totals, cash and positions as compared.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.day} {self.source} {'agrees' if self.ok else 'differs'}"
