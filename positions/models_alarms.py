"""Rows that keep people honest: alarms that must be acknowledged, and trades that were errors.

The worker raises and ends an `AlarmRecord`; a person acknowledges it. An `ErrorTrade` is marked by a trader and settled by an admin.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models


class AlarmRecord(models.Model):
    """One episode of trouble with one object. It leaves the pages only when somebody has acknowledged it, also after its end."""

    kind = models.CharField(max_length=20)
    about = models.CharField(max_length=200, help_text="What it is about: a position, an order, the link.")
    text = models.CharField(max_length=500)
    page = models.CharField(max_length=100, blank=True, help_text="Where something can be done about it.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    times = models.PositiveIntegerField(default=1, help_text="How often it came back before anybody acknowledged it.")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=300, blank=True)
    epoch = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "alarm"
        ordering = ["-first_seen", "-id"]
        indexes = [models.Index(fields=["acknowledged_at", "-first_seen"])]
        constraints = [
            models.UniqueConstraint(fields=["kind", "about"], condition=models.Q(ended_at=None), name="one_standing_alarm"),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    def severity(self, now: datetime, escalate_seconds: float) -> str:
        """act, and urgent when nobody has acknowledged it for so long."""
        return "urgent" if (now - self.first_seen).total_seconds() >= escalate_seconds else "act"

    def as_row(self, now: datetime, escalate_seconds: float) -> dict[str, Any]:
        return {
            "id": self.pk,
            "kind": self.kind,
            "text": self.text,
            "page": self.page,
            "first_seen": self.first_seen.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "severity": self.severity(now, escalate_seconds),
        }


class ErrorTrade(models.Model):
    """A position that should not have been. While it is open its symbol and its source enter nothing (locks of the same cause)."""

    account = models.CharField(max_length=32, blank=True)
    position_id = models.CharField(max_length=36, unique=True)
    symbol = models.CharField(max_length=21)
    source = models.CharField(max_length=40, blank=True)
    note = models.CharField(max_length=300)
    marked_at = models.DateTimeField()
    marked_by = models.CharField(max_length=150)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.CharField(max_length=150, blank=True)
    outcome = models.CharField(max_length=300, blank=True, help_text="What was found and changed.")

    class Meta:
        ordering = ["-marked_at", "-id"]

    def __str__(self) -> str:
        return f"error trade in {self.symbol}"
