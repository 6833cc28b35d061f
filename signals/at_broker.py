"""Whether the broker knows a symbol: asked through the worker when it is entered, and read from the worker's health afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from events.clock import monotonic, utc_now
from events.commands import CheckSymbol
from events.health import newest_lease, said_by
from events.inbox import file_command
from events.models import CommandRecord, WorkerLease
from positions.accounts import traded_account

ASK_SECONDS, LOOK_SECONDS = 4.0, 0.1
NOT_CHECKED = "not checked yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`refused` only by the broker's own word; without an answer in time nothing is known."""

    refused: bool = False
    words: str = NOT_CHECKED


def ask(symbol: str, user: Any) -> Answer:
    """Outside any transaction, for the worker reads only what is committed. Waits ASK_SECONDS at most, and not at all without a link."""
    if not _answers(newest_lease()):
        return Answer()
    record, _ = file_command(CheckSymbol(symbol=symbol), account=traded_account(), user=user, key=uuid4().hex, expires_in=ASK_SECONDS)
    until = monotonic() + ASK_SECONDS
    while record.state not in (CommandRecord.State.DONE, CommandRecord.State.REFUSED) and monotonic() < until:
        time.sleep(LOOK_SECONDS)
        record.refresh_from_db()
    if record.code == "unknown_symbol":
        return Answer(refused=True, words=record.reason)
    return Answer(words=record.reason or NOT_CHECKED) if record.state == CommandRecord.State.DONE else Answer()


def words_of(symbol: str, lease: WorkerLease | None) -> str:
    """What a row of the watch list says: known, unknown in IB's words, silent, or not checked yet."""
    if lease is None or not _answers(lease):
        return NOT_CHECKED
    told, quotes = lease.health.get("worker") or {}, lease.health.get("quotes") or {}
    unknown = told.get("unknown_symbols") or {}
    if symbol in unknown:
        return str(unknown[symbol])
    if symbol in (told.get("without_quote") or ()):
        return "known; no quote has come"
    return "known" if symbol in quotes else NOT_CHECKED


def _answers(lease: WorkerLease | None) -> bool:
    """The worker lives and its link works."""
    said = said_by(lease, utc_now())
    return said["worker"]["state"] != "down" and said["gateway"].get("link") == "connected"
