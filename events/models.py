"""What is remembered: the journal of events, the inbox of commands, who holds the worker's lease, and the last replay.

Only the process named beside each model writes it. Rows of the journal are never changed or deleted.
"""

from django.conf import settings
from django.db import models

from events.models_upkeep import JournalCheckpoint, JournalHead, JournalSegment, LongWork
from events.wording import class_words

__all__ = [
    "CommandRecord",
    "EventRecord",
    "JournalCheck",
    "JournalCheckpoint",
    "JournalHead",
    "JournalSegment",
    "LongWork",
    "SetAside",
    "WorkerEnd",
    "WorkerLease",
]


class EventRecord(models.Model):
    """One journaled event. `seq` is the global order that pages resume from."""

    seq = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=36)
    event_type = models.CharField(max_length=64)
    source = models.CharField(max_length=32, blank=True)
    symbol = models.CharField(max_length=21, blank=True)
    timestamp = models.DateTimeField()
    signal_id = models.CharField(max_length=36, blank=True)
    order_id = models.CharField(max_length=36, blank=True)
    position_id = models.CharField(max_length=36, blank=True)
    cause = models.CharField(max_length=36, blank=True)
    epoch = models.BigIntegerField(default=0)
    data = models.JSONField(default=dict)

    class Meta:
        verbose_name = "event"
        ordering = ["-seq"]
        indexes = [
            models.Index(fields=["event_type", "-seq"]),
            models.Index(fields=["symbol", "-seq"]),
            models.Index(fields=["position_id", "seq"]),
            models.Index(fields=["order_id", "seq"]),
            models.Index(fields=["signal_id", "seq"]),
            models.Index(fields=["cause", "seq"]),
        ]
        # Not `unique=True`: on PostgreSQL that makes a second index, for LIKE, which every insert would pay for.
        constraints = [models.UniqueConstraint(fields=["event_id"], name="events_eventrecord_event_id")]

    def __str__(self) -> str:
        return f"{self.seq} {class_words(self.event_type)} {self.symbol}".rstrip()


class CommandRecord(models.Model):
    """A person's wish. The web inserts it PENDING; only the worker moves it on and writes outcome and reason."""

    class State(models.TextChoices):
        PENDING = "pending"
        CLAIMED = "claimed"
        DONE = "done"
        REFUSED = "refused"
        EXPIRED = "expired"

    key = models.CharField(max_length=80, unique=True, help_text="Idempotency key: the same key is the same wish.")
    name = models.CharField(max_length=40)
    payload = models.JSONField(default=dict)
    account = models.CharField(max_length=32, blank=True, help_text="The account it was decided for.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    code = models.CharField(max_length=40, blank=True, help_text="Refusal code, empty when done.")
    reason = models.CharField(max_length=500, blank=True)
    signal_id = models.CharField(max_length=36, blank=True)
    order_id = models.CharField(max_length=36, blank=True)
    position_id = models.CharField(max_length=36, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    epoch = models.BigIntegerField(default=0)
    attempts = models.IntegerField(default=0, help_text="Times a worker claimed it; above 1 after a crash.")

    class Meta:
        verbose_name = "command"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["state", "id"]),
            models.Index(fields=["name", "id"]),
            models.Index(fields=["created_at"]),
            models.Index(fields=["position_id"]),
            models.Index(fields=["signal_id"]),
            models.Index(fields=["order_id"]),
        ]

    def __str__(self) -> str:
        return f"{class_words(self.name)} #{self.pk} ({self.state})"

    @property
    def intent_id(self) -> str:
        """What an order made for this wish names as its origin. The same command is the same intent, also after a crash: the
        row's key is unique for ever."""
        return f"command-{self.pk}"


class WorkerLease(models.Model):
    """One row per account: the fencing epoch of the worker that may write money rows, and its last heartbeat."""

    name = models.CharField(max_length=64, primary_key=True)
    epoch = models.BigIntegerField(default=0)
    pid = models.IntegerField(default=0)
    host = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=20, default="stopped", help_text="starting, connecting, reconciling, ready, stopped")
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    health = models.JSONField(default=dict, help_text="The last health frame the worker published.")

    def __str__(self) -> str:
        return f"{self.name} epoch {self.epoch} {self.state}"


class WorkerEnd(models.Model):
    """A worker that stopped because its memory could no longer be trusted. The worker writes it, at its end."""

    at = models.DateTimeField()
    epoch = models.BigIntegerField()
    section = models.CharField(max_length=80)
    cause = models.CharField(max_length=200, help_text="What it was working on.")
    error = models.CharField(max_length=500)
    content = models.TextField(blank=True, help_text="The report it was hearing.")

    class Meta:
        verbose_name = "worker's end"
        ordering = ["-id"]
        indexes = [models.Index(fields=["cause", "at"])]

    def __str__(self) -> str:
        return f"{self.section} broke on {self.cause}"


class SetAside(models.Model):
    """Content that could not be processed and must not be tried for ever: kept whole, and shown. The worker writes it.

    `key` names a report, a command or a section of the worker, or the event that the database refused.
    """

    class Kind(models.TextChoices):
        CAUSE = "cause", "what ended the worker again and again"
        EVENT = "event", "an event the database refused"

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True, help_text="Tried again from then on; empty for never.")
    epoch = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    content = models.TextField(blank=True)

    class Meta:
        verbose_name = "set aside"
        verbose_name_plural = "set aside"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.key


class JournalCheck(models.Model):
    """One row: when the journal was last folded and compared with the tables, and when the two were last equal."""

    checked_at = models.DateTimeField()
    equal_at = models.DateTimeField(null=True, blank=True)
    equal = models.BooleanField(default=False)
    events = models.BigIntegerField(default=0, help_text="Events folded.")
    scope = models.CharField(max_length=300, blank=True, help_text="What was compared, in words.")
    full_at = models.DateTimeField(null=True, blank=True, help_text="When all of it was last folded and compared at once.")
    detail = models.TextField(blank=True, help_text="The first differences.")

    def __str__(self) -> str:
        return "equal" if self.equal else "different"
