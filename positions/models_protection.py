"""Rows of protection: the rule for stops that are refused, the defaults of new positions, and what a person has to look at.

A person edits `ProtectionSettings` in the admin; the worker opens an `OperatorTask` and a person ends it.
"""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

OPTIONAL: dict[str, Any] = {"null": True, "blank": True}


class ProtectionSettings(models.Model):
    """The one row; the worker reads it again every five seconds. Defaults apply to positions opened from then on."""

    class Rule(models.TextChoices):
        HOLD = "hold", "hold: keep the position, try again, alarm"
        FLATTEN = "flatten", "flatten: close the position at the market"

    class Trailing(models.TextChoices):
        NONE = "none", "no trailing stop"
        PERCENT = "percent", "percent of the best price"
        ATR = "atr", "multiple of the average true range of one-minute bars"

    when_refused = models.CharField(
        max_length=8, choices=Rule.choices, default=Rule.HOLD, help_text="What follows when a stop was refused twice."
    )
    trailing = models.CharField(max_length=8, choices=Trailing.choices, default=Trailing.NONE, help_text="Of every new position.")
    trailing_value = models.FloatField(
        default=2.0,
        validators=[MinValueValidator(0.05), MaxValueValidator(50)],
        help_text="Percent of the best price, or how many ATR of one-minute bars.",
    )
    trailing_seconds = models.FloatField(
        default=5.0, validators=[MinValueValidator(1), MaxValueValidator(600)], help_text="A trailing stop moves at most this often."
    )
    trailing_ticks = models.FloatField(
        default=1.0, validators=[MinValueValidator(1), MaxValueValidator(1000)], help_text="…and by at least so many price increments."
    )
    break_even_r = models.FloatField(
        validators=[MinValueValidator(0.1), MaxValueValidator(20)],
        help_text="Move the stop of every new position to its entry after this gain in R; empty: not.",
        **OPTIONAL,
    )
    close_after_minutes = models.FloatField(
        validators=[MinValueValidator(1), MaxValueValidator(100_000)], help_text="Close every new position then; empty: not.", **OPTIONAL
    )
    close_at_session_end = models.BooleanField(default=False, help_text="Close every new position two minutes before its session ends.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "protection settings"

    def __str__(self) -> str:
        return "protection settings"


class OperatorTask(models.Model):
    """Something only a person may settle. `key` makes the same discovery one task."""

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"

    account = models.CharField(max_length=32, blank=True)
    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=20, help_text="Split, new symbol, assignment or unexplained.")
    symbol = models.CharField(max_length=21, blank=True)
    position_id = models.CharField(max_length=36, blank=True)
    title = models.CharField(max_length=200)
    detail = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=4, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=300, blank=True, help_text="What the person did about it.")

    class Meta:
        ordering = ["-state", "-opened_at"]
        indexes = [models.Index(fields=["state", "-opened_at"])]

    def __str__(self) -> str:
        return self.title
