"""The exit rules of a position, and the one pure evaluator that says what they ask for right now.

Trailing stop (percent or ATR), break-even move, time stop, partial targets, and the wish to reverse. A rule never loosens a
stop and never asks for more shares than are held. `exit_runner.py` carries out what is asked and keeps what was done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from events.order import OrderSide
from events.wording import price_text, quantity_text
from positions.domain.errors import InvalidPrice
from positions.domain.holding import in_r
from positions.domain.levels import MOST_STOP
from positions.domain.pricing import increment_at, snap_stop

BEFORE_SESSION_END = timedelta(minutes=2)  # a market order still fills in the session it was sent in
MOST_TARGETS = 4
MOST_TRAIL_VALUE = 50.0  # percent, or ATR
REVERSE = "reverse-"  # and the number of the command: the intent of the other side's entry
MOST_TRIES = 3  # exits of one target that came to nothing; then a person decides


class TrailKind(StrEnum):
    PERCENT = "percent"  # of the best price
    ATR = "atr"  # a multiple of the average true range of minute bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """`best` is the best price since it was armed; `distance` in dollars as last worked out. Raises InvalidPrice for a value that
    is no distance."""

    kind: TrailKind
    value: float
    best: float | None = None
    distance: float | None = None
    moved_at: datetime | None = None
    moves: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)) or not 0 < self.value <= MOST_TRAIL_VALUE:
            raise InvalidPrice(f"a trailing distance is at most {MOST_TRAIL_VALUE:g} percent or ATR, and above zero, not {self.value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialTarget:
    """Close `percent` of the largest size held once the gain is `at_r` times the risk taken. `intent_id` names its exit order."""

    at_r: float
    percent: float
    intent_id: str = ""
    sent_at: datetime | None = None
    done_at: datetime | None = None
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse:
    """Once closed, open the other way. The same `intent_id` is sent once only; after `expires_at` not at all."""

    intent_id: str
    quantity: float
    risk: float  # dollars per share between entry and stop
    reward: float | None
    expires_at: datetime
    close_id: str = ""  # the intent of the exit that goes first
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRules:
    """What is armed. The times beside a rule say when it was carried out; a rule that was is not armed any more."""

    trail: Trail | None = None
    break_even_r: float | None = None
    break_even_at: datetime | None = None
    close_after_minutes: float | None = None
    close_at_session_end: bool = False
    time_stop_at: datetime | None = None
    targets: tuple[PartialTarget, ...] = ()
    reverse: Reverse | None = None

    @property
    def armed(self) -> bool:
        waiting = any(not target.done_at for target in self.targets)
        breaking = self.break_even_r is not None and self.break_even_at is None
        return self.trail is not None or breaking or self.close_after_minutes is not None or self.close_at_session_end or waiting

    def to_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = _plain(asdict(self))
        return row

    @classmethod
    def from_dict(cls, row: dict[str, Any] | None) -> ExitRules:
        if not row:
            return cls()
        trail, reverse = row.get("trail"), row.get("reverse")
        return cls(
            trail=Trail(**{**_timed(trail, "moved_at"), "kind": TrailKind(trail["kind"])}) if trail else None,
            break_even_r=row.get("break_even_r"),
            break_even_at=_time(row.get("break_even_at")),
            close_after_minutes=row.get("close_after_minutes"),
            close_at_session_end=bool(row.get("close_at_session_end")),
            time_stop_at=_time(row.get("time_stop_at")),
            targets=tuple(PartialTarget(**_timed(target, "sent_at", "done_at")) for target in row.get("targets", ())),
            reverse=Reverse(**_timed(reverse, "expires_at")) if reverse else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the rules look at of a position. Shares are absolute, prices per share; `risk` is one R per share, None without one."""

    direction: int
    shares: float
    opened: float
    entry: float
    risk: float | None
    stop: float | None
    open_time: datetime | None

    def gain(self, price: float) -> float:
        """Dollars per share in our favour."""
        return (price - self.entry) * self.direction

    def gain_in_r(self, price: float) -> float | None:
        """The gain in units of the risk taken; None where no risk is known."""
        return in_r(self.gain(price), self.risk)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The moment the rules are judged in. `atr` in dollars; `session_end` of the session that is open now."""

    price: float
    now: datetime
    atr: float | None = None
    session_end: datetime | None = None
    increments: Sequence[tuple[float, float]] = ((0.0, 0.01),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a trailing stop may be moved: at most every `seconds`, by at least `ticks` increments."""

    seconds: float = 5.0
    ticks: float = 1.0


class Ask(StrEnum):
    MOVE_STOP = "move_stop"
    CLOSE_PART = "close_part"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a rule asks for. `rule` is trail, break_even, time or target; `cause` says why, with the numbers."""

    ask: Ask
    rule: str
    cause: str
    price: float | None = None
    quantity: float = 0
    target: int = -1  # which partial target


def watched(rules: ExitRules, held: Held, market: Market) -> ExitRules:
    """The rules with the trail's best price and distance brought up to date."""
    trail = rules.trail
    if trail is None:
        return rules
    best = market.price if trail.best is None else max(trail.best * held.direction, market.price * held.direction) * held.direction
    distance = _distance(trail, best, market.atr)
    if best == trail.best and distance == trail.distance:
        return rules
    return replace(rules, trail=replace(trail, best=best, distance=trail.distance if distance is None else distance))


def evaluate(rules: ExitRules, held: Held, market: Market, pace: Pace) -> list[Action]:
    """What to do now, the most urgent first; at most one move of the stop, the tightest. Leaving makes the rest idle."""
    if held.shares <= 0 or not math.isfinite(market.price) or market.price <= 0:
        return []
    leave = _time_stop(rules, held, market)
    if leave is not None:
        return [leave]
    actions = [action for number, target in enumerate(rules.targets) if (action := _target(number, target, held, market))]
    if any(action.ask is Ask.CLOSE for action in actions):
        return [next(action for action in actions if action.ask is Ask.CLOSE)]
    moves = [move for move in (_break_even(rules, held, market), _trail(rules, held, market, pace)) if move is not None]
    best = max(moves, key=lambda move: (move.price or 0.0) * held.direction, default=None)
    return [*actions[:1], *([best] if best is not None else [])]  # a second part waits until the first has shrunk the exits


def _time_stop(rules: ExitRules, held: Held, market: Market) -> Action | None:
    if rules.time_stop_at is not None:
        return None
    minutes = rules.close_after_minutes
    if minutes is not None and held.open_time is not None and market.now >= held.open_time + timedelta(minutes=minutes):
        return Action(ask=Ask.CLOSE, rule="time", cause=f"time stop: open for {quantity_text(minutes)} min")
    if rules.close_at_session_end and market.session_end is not None and market.now >= market.session_end - BEFORE_SESSION_END:
        return Action(ask=Ask.CLOSE, rule="time", cause="time stop: the session ends")
    return None


def _target(number: int, target: PartialTarget, held: Held, market: Market) -> Action | None:
    gain = held.gain_in_r(market.price)
    if target.done_at is not None or target.intent_id or target.tries >= MOST_TRIES or gain is None or gain < target.at_r:
        return None
    cause = f"partial target: {quantity_text(target.percent)} % at {quantity_text(target.at_r)} R"
    shares = math.floor(held.opened * target.percent / 100 + 1e-9)
    if shares >= held.shares:
        return Action(ask=Ask.CLOSE, rule="target", cause=cause, quantity=held.shares, target=number)
    return Action(ask=Ask.CLOSE_PART, rule="target", cause=cause, quantity=max(1, shares), target=number)


def _break_even(rules: ExitRules, held: Held, market: Market) -> Action | None:
    gain = held.gain_in_r(market.price)
    if rules.break_even_r is None or rules.break_even_at is not None or gain is None or gain < rules.break_even_r:
        return None
    return _move(held, market, held.entry, "break_even", f"break-even after {quantity_text(rules.break_even_r)} R", least_ticks=1)


def _trail(rules: ExitRules, held: Held, market: Market, pace: Pace) -> Action | None:
    trail = rules.trail
    if trail is None or trail.best is None:
        return None
    distance = _distance(trail, trail.best, market.atr)
    waited = pace.seconds if trail.moved_at is None else (market.now - trail.moved_at).total_seconds()
    if distance is None or 0 <= waited < pace.seconds:  # a move stamped later than now was made before the clock was set back
        return None
    words = f"{quantity_text(trail.value)} %" if trail.kind is TrailKind.PERCENT else f"{quantity_text(trail.value)} ATR (one-minute bars)"
    cause = f"trailing {words}: best price {price_text(trail.best)}"
    return _move(held, market, trail.best - distance * held.direction, "trail", cause, least_ticks=pace.ticks)


def at_break_even(held: Held, market: Market) -> bool:
    """Whether the stop already rests at the entry price or better."""
    side = OrderSide.SELL if held.direction > 0 else OrderSide.BUY
    return held.stop is not None and (held.stop - snap_stop(held.entry, side, market.increments)) * held.direction >= -1e-9


def _move(held: Held, market: Market, wanted: float, rule: str, cause: str, *, least_ticks: float) -> Action | None:
    """Only tighter, by at least so many ticks, and at least one tick away from the market."""
    if wanted <= 0 or not math.isfinite(wanted):
        return None
    side = OrderSide.SELL if held.direction > 0 else OrderSide.BUY
    price, tick = snap_stop(wanted, side, market.increments), float(increment_at(wanted, market.increments))
    if (market.price - price) * held.direction < tick - 1e-9:
        return None
    if held.stop is not None and (price - held.stop) * held.direction < max(1.0, least_ticks) * tick - 1e-9:
        return None
    return Action(ask=Ask.MOVE_STOP, rule=rule, price=price, cause=cause)


def _distance(trail: Trail, best: float, atr: float | None) -> float | None:
    """Dollars between the best price and the stop; None while there is no ATR, and while it is too large for a stop."""
    if trail.kind is TrailKind.PERCENT:
        return best * trail.value / 100
    if atr is None or not math.isfinite(atr) or atr <= 0:
        return None
    distance = atr * trail.value
    return distance if distance <= MOST_STOP * best else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.isoformat() if isinstance(value, datetime) else value.value if isinstance(value, StrEnum) else value


def _timed(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**row, **{name: _time(row.get(name)) for name in names}}


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
