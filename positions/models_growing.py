"""What grows with every change of a position: rows of their own, written by the worker's projection and never taken back."""

from __future__ import annotations

from typing import Any

from django.db import models

AT_ONCE = 50  # rows of one position that are compared with the journal together


class PositionChange(models.Model):
    """One line of a position's history."""

    position_id = models.CharField(max_length=36)
    version = models.IntegerField(help_text="Of the position, after the change.")
    part = models.IntegerField(help_text="version // 50: these are compared with the journal together.")
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    changed = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    by = models.CharField(max_length=150, blank=True)
    epoch = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "change of a position"
        ordering = ["position_id", "version"]
        constraints = [models.UniqueConstraint(fields=["position_id", "version"], name="position_change_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.position_id}"

    def as_line(self) -> dict[str, Any]:
        """As `Position.history` has it."""
        at = self.at.isoformat()
        return {
            "type": self.kind, "version": self.version, "time": at, "changed": self.changed, "reason": self.reason, "by": self.by
        }  # fmt: skip


class PositionEntry(models.Model):
    """One entry of the ledger that a position is folded from: a fill at its highest revision, or a size correction."""

    position_id = models.CharField(max_length=36)
    number = models.IntegerField()
    part = models.IntegerField(help_text="number // 50: these are compared with the journal together.")
    data = models.JSONField(default=dict)
    epoch = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "entry of a position"
        verbose_name_plural = "entries of positions"
        ordering = ["position_id", "number"]
        constraints = [models.UniqueConstraint(fields=["position_id", "number"], name="position_entry_once")]

    def __str__(self) -> str:
        return f"entry {self.number} of {self.position_id}"
