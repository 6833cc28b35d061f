"""Rows older than their stated life, moved to compressed files that can be read again: DATA_DIR/archive, JSON lines, one file a batch.

A batch is written beside its final name, synced, renamed, read back and counted before its rows are deleted, in one transaction
that also holds the claim. A crash before that leaves the rows, and the next run writes the same file again, by the same name; a
crash after it leaves the file. So every row is in the table or in a file, and never lost.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from events.clock import utc_now
from events.models import CommandRecord
from positions.models import MinuteBar
from signals.models import PredictionRecord

WORK, LIMIT = "archive", timedelta(minutes=30)
BATCH = 5_000  # rows of one file, and of one deletion


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How long rows of a table stay in it. Only rows that `ended` says nothing will follow are ever moved."""

    model: type[models.Model]
    at: str  # the column that tells a row's age
    setting: str  # days
    ended: Q = Q()

    @property
    def name(self) -> str:
        return self.model._meta.model_name or ""

    @property
    def days(self) -> int:
        return int(getattr(settings, self.setting))

    def over(self, now: datetime) -> models.QuerySet[Any]:
        old = Q(**{f"{self.at}__lt": now - timedelta(days=self.days)})
        return self.model._default_manager.filter(old & self.ended).order_by("pk")


_FINISHED = Q(state__in=(CommandRecord.State.DONE, CommandRecord.State.REFUSED, CommandRecord.State.EXPIRED))
LIVES = (
    Life(model=MinuteBar, at="at", setting="KEEP_BARS_DAYS"),
    # A prediction that led to a signal stays: the signal's page shows it.
    Life(model=PredictionRecord, at="received_at", setting="KEEP_PREDICTIONS_DAYS", ended=Q(signal_id="", signals=None)),
    Life(model=CommandRecord, at="created_at", setting="KEEP_COMMANDS_DAYS", ended=_FINISHED),
)


class BadArchive(Exception):
    """One sentence says which file is not what was written."""


def folder() -> Path:
    return Path(settings.DATA_DIR) / "archive"


def archive(step: Callable[..., None]) -> dict[str, int]:
    """Move all rows whose life is over; returns how many of each table. `step` is called in every deletion, and may raise."""
    now = utc_now()
    return {life.name: sum(_batches(life, now, step)) for life in LIVES}


def in_words(moved: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in moved.items())


def _batches(life: Life, now: datetime, step: Callable[..., None]) -> Iterator[int]:
    while rows := list(life.over(now).values()[:BATCH]):
        keys = [row["id"] for row in rows]
        write(folder() / f"{life.name}-{keys[0]:019d}.jsonl.gz", rows)
        with transaction.atomic():
            step(f"archiving {life.name}", fence=True)
            for start in range(0, len(keys), 500):
                life.model._default_manager.filter(pk__in=keys[start : start + 500]).delete()
        yield len(rows)


def write(to: Path, rows: list[dict[str, Any]]) -> None:
    """One file with its digest, whole or not at all, and read back. Raises BadArchive, OSError."""
    lines = b"".join(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    end = orjson.dumps({"rows": len(rows), "sha256": sha256(lines).hexdigest()}, option=orjson.OPT_APPEND_NEWLINE)
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = to.with_name(f".{to.name}.part")
    with part.open("wb") as file:
        file.write(gzip.compress(lines + end, mtime=0))
        file.flush()
        os.fsync(file.fileno())
    part.chmod(0o600)
    os.replace(part, to)
    directory = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    if sum(1 for _ in read(to)) != len(rows):
        raise BadArchive(f"{to.name} does not hold the {len(rows)} rows that were written")


def read(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of one file, after its digest was compared. Raises BadArchive."""
    try:
        content = gzip.decompress(file.read_bytes())
        lines, _, last = content.rstrip(b"\n").rpartition(b"\n")
        end = orjson.loads(last)
        lines += b"\n"
    except (OSError, EOFError, ValueError) as error:
        raise BadArchive(f"{file.name} cannot be read: {error}") from error
    if sha256(lines).hexdigest() != end.get("sha256"):
        raise BadArchive(f"{file.name} is not what was written")
    for line in lines.splitlines():
        yield orjson.loads(line)


def files(table: str = "") -> list[Path]:
    """All files, or those of one table, the oldest rows first."""
    return sorted(folder().glob(f"{table or '*'}-*.jsonl.gz"))
