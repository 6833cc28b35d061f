"""What a person may ask of the worker. A command is imperative, has one handler and may be refused.

The web files one as a row (`events/inbox.py`); `to_payload()` is what the row keeps and `parse_command()` reads it back,
refusing whatever is not exactly a command: unknown names and fields, wrong types, NaN, numbers out of range.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from events.symbols import canonical_symbol, is_symbol
from events.wording import quantity_text

MAX_PRICE = 10_000_000.0  # per share
MAX_QUANTITY = 10_000_000.0  # shares
SYMBOL = re.compile(r"[A-Z0-9. /-]{1,21}")
SWITCHES = ("HaltTrading", "ReduceOnly", "ResumeTrading", "FlattenAll")  # commands that change the trading state


class BadCommand(ValueError):
    """Not a command: `field` says what is wrong with which part, in words a person can read."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Root of the commands. Constructing one checks it; an existing command is a valid one."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS[type(self).__name__].items():
            check(name, getattr(self, name))
            if check is _symbol:  # one spelling, whatever door it came through
                object.__setattr__(self, name, canonical_symbol(getattr(self, name)))

    @property
    def name(self) -> str:
        return type(self).__name__

    def to_payload(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveSignal(Command):
    """Trade this signal. Prices per share, quantity in shares; `version` is the signal version the person saw.

    `action` is open_long, open_short, close_long or close_short; to close takes neither stop nor target. `expected_price` is the
    fill that the numbers were made for.
    """

    signal_id: str
    version: int
    symbol: str
    direction: int
    action: str
    quantity: float
    limit_price: float
    stop_loss: float | None
    take_profit: float | None
    reference_price: float
    decided_by: str
    expected_price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectSignal(Command):
    """Do not trade this signal."""

    signal_id: str
    reason: str
    decided_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePosition(Command):
    """Close a position, or `quantity` shares (> 0) of it."""

    position_id: str
    quantity: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStop(Command):
    """Move a position's resting stop."""

    position_id: str
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTarget(Command):
    """Move a position's resting target."""

    position_id: str
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder(Command):
    """Cancel a working order."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltTrading(Command):
    """No new orders at all but cancels and protective ones."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceOnly(Command):
    """Exits only."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeTrading(Command):
    """Orders may leave again."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenAll(Command):
    """Cancel every entry and close every position."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSymbol(Command):
    """Ask the broker whether it knows a stock. Nothing is traded."""

    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptHolding(Command):
    """Manage shares that were bought or sold elsewhere: they become a position of ours, protected by a stop.

    `quantity` is signed and what the person saw; the worker refuses when it has changed since.
    """

    symbol: str
    quantity: float
    stop_loss: float
    take_profit: float | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseHolding(Command):
    """Close, at the market, shares that were bought or sold elsewhere; `quantity` as in AdoptHolding."""

    symbol: str
    quantity: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePosition(Command):
    """Stop managing a position: our orders for it are cancelled and its shares stay where they are. `quantity` is signed."""

    position_id: str
    quantity: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveDoubt(Command):
    """What a person found out about an order in doubt: it never reached IB (never_sent), or it is over there (over)."""

    order_id: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeDifference(Command):
    """A person has seen that our book and the broker's differ in `row` of the comparison, and takes the broker's word for it.

    `ours` and `theirs` are the numbers the person saw (shares, or money for cash). `kind` says what a movement of cash was
    (deposit, withdrawal, dividend, interest, fee, tax, result); "" for one that was paid in or out, and for everything else.
    """

    row: str
    ours: float
    theirs: float
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTrailing(Command):
    """Let the stop follow the best price: `value` percent below it, or `value` times the average true range (kind atr)."""

    position_id: str
    kind: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearTrailing(Command):
    """The stop stays where it is."""

    position_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBreakEven(Command):
    """Move the stop to the entry once the gain is `at_r` times the first risk; None: do not."""

    position_id: str
    at_r: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimeStop(Command):
    """Close so many minutes after the opening, or at the end of the session, or neither."""

    position_id: str
    minutes: float | None = None
    at_session_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPartialTarget(Command):
    """Close `percent` of the position once the gain is `at_r` times the first risk."""

    position_id: str
    at_r: float
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearPartialTargets(Command):
    """Those not reached yet are taken off."""

    position_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleIn(Command):
    """Buy (of a short position: sell) more at a limit, protected at the position's stop."""

    position_id: str
    quantity: float
    limit_price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversePosition(Command):
    """Close, then open the other way: same shares, same risk per share."""

    position_id: str
    reason: str = ""


def parse_command(name: str, payload: Mapping[str, Any]) -> Command:
    """The command a row describes; raises BadCommand."""
    kind = _COMMANDS.get(name)
    if kind is None:
        raise BadCommand(f"no command is called {str(name)[:60]!r}")
    if not isinstance(payload, Mapping):
        raise BadCommand(f"{name}: the payload is not an object")
    known = {field.name: field for field in dataclasses.fields(kind)}
    for given in payload:
        if given not in known:
            raise BadCommand(f"{name} has no field {str(given)[:60]!r}", field=str(given)[:60])
    for field in known.values():
        if field.name not in payload and field.default is dataclasses.MISSING:
            raise BadCommand(f"{name}: {_called(field.name)} is missing", field=field.name)
    return kind(**payload)


Check = Callable[[str, Any], None]


def _called(name: str) -> str:
    """A field in a sentence."""
    return "R" if name == "at_r" else name.replace("_", " ")


def _text(limit: int, *, required: bool = False) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise BadCommand(f"{_called(name)} must be text", field=name)
        if len(value) > limit:
            raise BadCommand(f"{_called(name)} is longer than {limit} characters", field=name)
        if required and not value.strip():
            raise BadCommand(f"{_called(name)} is missing", field=name)
        if "\x00" in value:
            raise BadCommand(f"{_called(name)} contains a NUL character", field=name)

    return check


def _is_finite(value: Any) -> bool:
    """A whole number too long for a float is none either: it would overflow in every later sum."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _number(above: float, limit: float, *, optional: bool = False) -> Check:
    def check(name: str, value: Any) -> None:
        if value is None and optional:
            return
        if not _is_finite(value):
            raise BadCommand(f"{_called(name)} must be a finite number", field=name)
        if not above < value <= limit:
            raise BadCommand(f"{_called(name)} must be above {quantity_text(above)} and at most {limit:,.0f}", field=name)

    return check


def _between(least: float, most: float) -> Check:
    def check(name: str, value: Any) -> None:
        if not _is_finite(value) or not least <= value <= most:
            raise BadCommand(f"{_called(name)} must be a number from {quantity_text(least)} to {quantity_text(most)}", field=name)

    return check


def _signed(limit: float, *, zero: bool) -> Check:
    def check(name: str, value: Any) -> None:
        if not _is_finite(value):
            raise BadCommand(f"{_called(name)} must be a finite number", field=name)
        if abs(value) > limit or (not value and not zero):
            raise BadCommand(f"{_called(name)} must be {'' if zero else 'other than zero and '}within {limit:,.0f}", field=name)

    return check


def _one_of(*words: str | int) -> Check:
    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value not in words:
            raise BadCommand(f"{_called(name)} must be one of {', '.join(map(str, words))}", field=name)

    return check


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise BadCommand(f"{_called(name)} must be true or false", field=name)


def _whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise BadCommand(f"{_called(name)} must be a whole number, 0 or more", field=name)


def _symbol(name: str, value: Any) -> None:
    if not isinstance(value, str) or not SYMBOL.fullmatch(value) or not is_symbol(canonical_symbol(value)):
        raise BadCommand(f"{_called(name)} must be 1 to 21 of A-Z, 0-9, dot, space, dash, slash", field=name)


_ID = _text(36, required=True)
_PRICE = _number(0, MAX_PRICE)
_REASON = _text(300)
_WHY = _text(300, required=True)  # what is put right by hand says why
_SHARES = _signed(MAX_QUANTITY, zero=False)
_ANY_AMOUNT = _signed(1e12, zero=True)
_COMMANDS: dict[str, type[Command]] = {kind.__name__: kind for kind in Command.__subclasses__()}
# Command name → field → its check.
_CHECKS: dict[str, dict[str, Check]] = {
    "ApproveSignal": {
        "signal_id": _ID,
        "version": _whole,
        "symbol": _symbol,
        "direction": _one_of(1, -1),
        "action": _one_of("open_long", "open_short", "close_long", "close_short"),
        "quantity": _number(0, MAX_QUANTITY),
        "limit_price": _PRICE,
        "stop_loss": _number(0, MAX_PRICE, optional=True),
        "take_profit": _number(0, MAX_PRICE, optional=True),
        "reference_price": _PRICE,
        "expected_price": _number(0, MAX_PRICE, optional=True),
        "decided_by": _text(150, required=True),
    },
    "RejectSignal": {"signal_id": _ID, "reason": _text(300, required=True), "decided_by": _text(150, required=True)},
    "ClosePosition": {"position_id": _ID, "quantity": _number(0, MAX_QUANTITY, optional=True), "reason": _REASON},
    "ChangeStop": {"position_id": _ID, "price": _PRICE},
    "ChangeTarget": {"position_id": _ID, "price": _PRICE},
    "SetTrailing": {"position_id": _ID, "kind": _one_of("percent", "atr"), "value": _between(0.05, 50)},
    "ClearTrailing": {"position_id": _ID},
    "SetBreakEven": {"position_id": _ID, "at_r": _number(0, 20, optional=True)},
    "SetTimeStop": {"position_id": _ID, "minutes": _number(0, 100_000, optional=True), "at_session_end": _flag},
    "SetPartialTarget": {"position_id": _ID, "at_r": _number(0, 50), "percent": _number(0, 100)},
    "ClearPartialTargets": {"position_id": _ID},
    "ScaleIn": {"position_id": _ID, "quantity": _number(0, MAX_QUANTITY), "limit_price": _PRICE},
    "ReversePosition": {"position_id": _ID, "reason": _REASON},
    "CancelOrder": {"order_id": _ID},
    "HaltTrading": {"reason": _REASON},
    "ReduceOnly": {"reason": _REASON},
    "ResumeTrading": {"reason": _REASON},
    "FlattenAll": {"reason": _REASON},
    "CheckSymbol": {"symbol": _symbol},
    "AdoptHolding": {
        "symbol": _symbol,
        "quantity": _SHARES,
        "stop_loss": _PRICE,
        "take_profit": _number(0, MAX_PRICE, optional=True),
        "reason": _WHY,
    },
    "CloseHolding": {"symbol": _symbol, "quantity": _SHARES, "reason": _WHY},
    "ReleasePosition": {"position_id": _ID, "quantity": _SHARES, "reason": _WHY},
    "ResolveDoubt": {"order_id": _ID, "verdict": _one_of("never_sent", "over"), "reason": _WHY},
    "AcknowledgeDifference": {"row": _text(80, required=True), "ours": _ANY_AMOUNT, "theirs": _ANY_AMOUNT, "reason": _WHY},
}
