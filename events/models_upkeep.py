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


class JournalSegment(models.Model):
    """A stretch of the journal that was folded and sealed. `seal` is a keyed digest of its events and of the seal before it."""

    first_seq = models.BigIntegerField(primary_key=True)
    last_seq = models.BigIntegerField()
    events = models.IntegerField()
    first_at = models.DateTimeField(help_text="The earliest time of its events.")
    last_at = models.DateTimeField(help_text="The latest time of its events.")
    seal = models.CharField(max_length=32)
    checked_at = models.DateTimeField(db_index=True, help_text="When its events were last compared with the seal.")
    archive = models.CharField(max_length=120, blank=True, help_text="The file its events were moved to, in DATA_DIR/archive.")
    kept = models.IntegerField(default=0, help_text="Archived events that are still in the table: their objects live.")

    class Meta:
        ordering = ["first_seq"]

    def __str__(self) -> str:
        return f"{self.first_seq} to {self.last_seq}"


class JournalHead(models.Model):
    """What the journal makes of one order, position, holding, or execution with all its revisions: the checkpoint's memory.

    `digest` is that of the row as it must be; of executions `rows` keeps the rows themselves, because later events add to them.
    """

    table = models.CharField(max_length=20)
    key = models.CharField(max_length=100)
    version = models.BigIntegerField(default=0)
    epoch = models.BigIntegerField(default=0)
    seq = models.BigIntegerField(help_text="The event that made it so.")
    digest = models.CharField(max_length=32)
    rows = models.TextField(blank=True)
    seal = models.CharField(max_length=32, help_text="A keyed digest of all of the above.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["table", "key"], name="journal_head_once")]

    def __str__(self) -> str:
        return f"{self.table} {self.key}"


class JournalCheckpoint(models.Model):
    """The one row that says how far the journal was folded into heads and segments. `seal` covers them all."""

    seq = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    heads = models.IntegerField(default=0)
    total = models.CharField(max_length=32, blank=True, help_text="The sum of the seals of all heads.")
    last_seal = models.CharField(max_length=32, blank=True, help_text="Of the newest segment.")
    part = models.IntegerField(default=0, help_text="The part of the rows that is compared next.")
    key = models.CharField(max_length=16, blank=True, help_text="Which key sealed it, not the key.")
    seal = models.CharField(max_length=32, blank=True)

    def __str__(self) -> str:
        return f"up to {self.seq}"
