"""What housekeeping remembers of itself: who is at which long piece of work. Celery and management commands write it."""

from __future__ import annotations

from django.db import models


class LongWork(models.Model):
    """One row for each kind of long work: who claimed it, when it last showed life, and what came of it.

    `events.long_work` alone writes it. `claim` grows with every claim: whoever holds an older number has lost the work.
    """

    class State(models.TextChoices):
        IDLE = "idle"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    name = models.CharField(max_length=80, primary_key=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.IDLE)
    slot = models.BigIntegerField(default=-1, help_text="The last slot of time it was claimed for.")
    claim = models.BigIntegerField(default=0)
    claimed_by = models.CharField(max_length=120, blank=True, help_text="Host and process.")
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    progress = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=500, blank=True, help_text="What came of the last run.")

    class Meta:
        verbose_name = "long work"
        verbose_name_plural = "long work"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"
