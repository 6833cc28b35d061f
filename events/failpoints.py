"""Named places where the desk can be made to fail, for proving that no failure loses or doubles an order. Pure.

`FAILPOINT=name:kind:nth` arms one of them for a process: its nth passage (default the first) fails as `kind` says. Without
it a passage costs one comparison. Several may be given, separated by commas. Refused where real money is traded.

`FAILPOINT_FILE=path` lets a failpoint be armed later: a process takes what stands in that file, once, and removes it. So the
failure comes in the middle of what is being proven and not while the process starts.

    exit    the process ends at once with code 137, as under kill -9
    raise   FailpointReached
    stall   this thread, and with it the event loop, stands still for FAILPOINT_SECONDS (default 8)
    cut     the link to the broker is cut, as by a network that went away
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

EXIT_CODE = 137
STALL_SECONDS = 8.0

# Where → what has happened when it is passed. Each is placed exactly once; a test holds this list against the code.
POINTS: dict[str, str] = {
    # a person approves (web)
    "approve.begin": "nothing yet",
    "approve.signal": "the signal says approved, in an open transaction",
    "approve.command": "the command is filed as well, in the same open transaction",
    "approve.committed": "signal and command are durable",
    # the worker takes the wish
    "claim.begin": "the transaction is open",
    "claim.update": "the row says claimed, not committed",
    "claim.committed": "the claim is durable, the wish not looked at",
    "command.begin": "the wish is about to be carried out",
    "command.handled": "it was carried out, its outcome not told",
    "finish.begin": "the outcome is known, not written",
    "finish.committed": "the outcome is durable",
    # the journal
    "journal.begin": "a batch waits, no transaction is open",
    "journal.events": "events are inserted, no row follows from them yet",
    "journal.rows": "events and rows are written, not committed",
    "journal.committed": "all is durable, nobody has been told",
    # an entry
    "entry.judged": "the risk gate let it pass",
    "entry.planned": "the position is planned and told",
    # any family of new orders
    "order.reserve": "no ids yet",
    "order.claimed": "ids taken, rows told, not durable",
    "order.committed": "rows durable, nothing sent",
    "order.sent": "everything is written to the socket",
    # the socket
    "wire.begin": "the pacer gave way, nothing is written",
    "wire.leg": "one leg is written",
    "wire.modified": "a modify is written",
    "wire.cancelled": "a cancel is written",
    # what changes a living order
    "modify.committed": "the wish to modify is durable, not sent",
    "modify.sent": "the modify is sent, not answered",
    "cancel.committed": "the wish to cancel is durable, not sent",
    "cancel.sent": "the cancel is sent, not answered",
    # the broker answers
    "hear.begin": "a report is taken from the queue",
    "ack.read": "an order's new state is in memory only",
    "ack.told": "the order's new state was told",
    "fill.heard": "an execution arrived, the ledger does not know it",
    "fill.booked": "it is in the order's ledger, not told",
    "fill.applied": "it is in the position, not told",
    "fill.told": "order and position were told",
    "commission.booked": "a fee is in the ledger, not told",
    # protection and exits
    "protect.begin": "shares have no stop and one is about to be sent",
    "close.begin": "a close is about to be sent",
    "close.sent": "the exit is sent, the position does not say so",
    # the worker's life
    "restore.loaded": "rows became objects, nothing is connected",
    "session.connected": "the first picture is complete, not compared",
    "reconcile.learned": "missed executions were learned, doubt not settled",
    "session.ready": "the books agree, entries may leave",
    "records.marks": "the journal is written, marks are not",
}


class Kind(StrEnum):
    EXIT = "exit"
    RAISE = "raise"
    STALL = "stall"
    CUT = "cut"


class FailpointReached(RuntimeError):
    """The armed failure, kind "raise"."""


@dataclass(slots=True)
class Armed:
    """One armed failpoint; `left` passages until it strikes."""

    kind: Kind
    left: int


_armed: dict[str, Armed] | None = None
_cut: Callable[[], object] | None = None
_seconds = STALL_SECONDS
_log = ""
_later = ""


def failpoint(name: str) -> None:
    """Fail here if this place is armed."""
    if _armed is not None:
        _pass(name)


def cut_with(cut: Callable[[], object]) -> None:
    """What the kind "cut" does in this process; may be called from any thread."""
    global _cut
    _cut = cut


def arm(text: str, environment: Mapping[str, str] | None = None) -> None:
    """Arm what `text` says, or nothing when it is empty. Raises ValueError for an unknown name or kind, and in live mode."""
    global _armed, _seconds, _log, _later
    given = os.environ if environment is None else environment
    _armed, _later = None, given.get("FAILPOINT_FILE", "")
    if not text and not _later:
        return
    if given.get("TRADING_MODE", "").lower() == "live":
        raise ValueError("FAILPOINT is refused when TRADING_MODE=live")
    _armed = dict(_parse(part) for part in text.split(",") if part)
    _seconds = float(given.get("FAILPOINT_SECONDS", STALL_SECONDS))
    _log = given.get("FAILPOINT_LOG", "")


def _parse(text: str) -> tuple[str, Armed]:
    name, _, rest = text.strip().partition(":")
    kind, _, nth = rest.partition(":")
    if name not in POINTS:
        raise ValueError(f"FAILPOINT: there is no {name!r}")
    if kind not in list(Kind) or (nth and not nth.isdigit()):
        raise ValueError(f"FAILPOINT: {text!r} is not name:kind:nth with a kind of {', '.join(Kind)}")
    return name, Armed(Kind(kind), max(1, int(nth or 1)))


def _pass(name: str) -> None:
    if _later:
        _arm_later()
    armed = (_armed or {}).get(name)
    if armed is None or armed.left < 1:
        return
    armed.left -= 1
    if armed.left:
        return
    _write_down(f"{name}:{armed.kind}\n")
    if armed.kind is Kind.EXIT:
        os._exit(EXIT_CODE)
    if armed.kind is Kind.RAISE:
        raise FailpointReached(name)
    if armed.kind is Kind.STALL:
        time.sleep(_seconds)
    elif _cut is not None:
        _cut()


def _arm_later() -> None:
    """Take what the file says; a process that starts after this one finds it gone."""
    global _armed
    try:
        with open(_later, encoding="utf-8") as file:
            text = file.read().strip()
        os.remove(_later)
    except FileNotFoundError:
        return
    _armed = dict(_parse(part) for part in text.split(","))


def _write_down(line: str) -> None:
    """So that a proof knows that the failure really happened."""
    if _log:
        with open(_log, "a", encoding="utf-8") as file:
            file.write(line)


arm(os.environ.get("FAILPOINT", ""))
