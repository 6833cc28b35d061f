"""The watch over what is held: stops compared with the broker every five seconds, exit rules twice a second, surprises told.

It decides nothing itself: what a stop should be says `exit_keeper.py`, what a rule asks for `exit_rules.py`, and both act
through the order manager. A change overnight that no trade explains becomes an event and a task for a person.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from events.bus import EventBus
from events.clock import utc_now
from events.inbox import Outcome, amend_outcome
from events.models import CommandRecord
from events.order import OrderRole, OrderState
from events.rows import command_row
from events.system import CommandEvent, OvernightChangeEvent
from positions.broker.ib import IbBroker
from positions.broker.pacer import Priority
from positions.domain.bars import wilder_atr
from positions.domain.exit_rules import REVERSE, ExitRules, Pace, Reverse, Trail, TrailKind
from positions.domain.exit_runner import ExitRunner
from positions.domain.intent import OrderIntent
from positions.domain.order import Order
from positions.domain.order_manager import OrderManager
from positions.domain.overnight import OvernightChange, changes, of_positions
from positions.domain.ports import Bar, BrokerSnapshot
from positions.domain.position import Position
from positions.domain.protection import fault_of
from positions.domain.tracker import PositionTracker
from positions.models import MinuteBar, OperatorTask, ProtectionSettings
from tradingsite.worker.database import Database
from tradingsite.worker.session import Session

log = logging.getLogger(__name__)

ATR_PERIOD = 14
ATR_BARS = 5 * ATR_PERIOD
JUST_CHANGED_SECONDS = 2.0  # sent, modified or answered so lately that a list may not show it yet
JUST_OPENED_SECONDS = 120.0  # an older position was opened under other defaults
SOON_SECONDS = 2.0  # how many stops can be placed or moved in so long is said beside what is held
SETTLED_SECONDS = 20.0  # a difference younger than this may still be an execution on its way


class Protection:
    """`session_end` is when the open session ends, None when it does not."""

    def __init__(
        self,
        *,
        bus: EventBus,
        broker: IbBroker,
        manager: OrderManager,
        tracker: PositionTracker,
        database: Database,
        session: Session,
        session_end: Callable[[], datetime | None],
        fence: Callable[[], None],
        bind: Callable[[OrderIntent], Awaitable[OrderIntent]],
        on_command: Callable[[dict[str, Any]], None],
    ) -> None:
        self.runner = ExitRunner(
            manager, tracker, utc_now, atr=self._atr, session_end=lambda symbol: session_end(), bind=bind, told=self._reversed
        )
        self._on_command = on_command  # gets a command whose outcome has changed, as a feed row
        self.settings = ProtectionSettings()
        self.checked_at: datetime | None = None
        self.open_tasks = 0
        self._bus = bus
        self._broker = broker
        self._manager = manager
        self._tracker = tracker
        self._database = database
        self._session = session
        self._fence = fence
        self._atrs: dict[str, float] = {}
        self._judged: set[str] = set()  # positions that got the defaults, or were there before us
        self._differing: dict[str, datetime] = {}  # symbol → since when book and broker differ
        self._told: set[str] = set()
        self._to_open: list[tuple[str, OvernightChange, str]] = []  # tasks not written yet

    # --- steps of the rhythm ---

    async def guard(self) -> None:
        """Twice a second: exits put right, rules carried out."""
        if not self._session.link_up:
            return
        if self._manager.core.keeper.look_again:
            await self.watch()
        await self._manager.guard()
        await self._apply_defaults()
        await self.runner.run_once()

    async def _reversed(self, wish: Reverse, opened: bool) -> bool:
        """The command's row says what became of its second part; False while its first answer is not written."""
        record = await self._database.run(amend_reverse, self._fence, wish, opened)
        if isinstance(record, CommandRecord):
            self._on_command(command_row(record))
            event = CommandEvent(
                command_id=record.pk,
                name=record.name,
                state=str(record.state),
                code=record.code,
                reason=record.reason,
                position_id=record.position_id,
            )
            await self._bus.emit(event)
        return record is not False

    async def refresh(self) -> None:
        """Every five seconds: the rule, the defaults, and the true ranges that trails need."""
        while self._to_open:
            await self._database.run(open_task, self._fence, self._manager.core.account, *self._to_open[0])
            self._to_open.pop(0)
        trailing = {p.symbol for p in self._tracker.active() if p.exit_rules.trail is not None}
        self.settings, self._atrs, self.open_tasks = await self._database.run(
            read_protection, self._manager.core.account, frozenset(trailing)
        )
        self._manager.set_protection_rule(self.settings.when_refused)
        self.runner.pace = Pace(seconds=self.settings.trailing_seconds, ticks=self.settings.trailing_ticks)

    async def watch(self) -> None:
        """Every five seconds: ask the broker for its open orders and compare each position's stop with what is held."""
        if not self._session.link_up or not any(position.held for position in self._tracker.active()):
            return
        asked_at = utc_now()
        reports = await self._broker.open_orders()
        if reports is None:
            return
        for report in reports:
            self._manager.on_order(report)
        await self._manager.drain()
        shown = {report.order_ref for report in reports}
        missing = [stop for position in self._tracker.active() for stop in self._missing(position, shown, asked_at)]
        self._manager.core.keeper.note_picture(missing, asked_at)
        if any(stop.state is not OrderState.IN_DOUBT for stop in missing):
            self._manager.core.ask_reconcile("a stop is not among the broker's open orders")
        for position in self._tracker.active():
            self._compare(position)
        self.checked_at = utc_now()

    def on_picture(self, snapshot: BrokerSnapshot) -> None:
        """After every reconcile: what no execution explains."""
        account = self._broker.account
        theirs = of_positions([(p.symbol, p.quantity, p.average_cost) for p in snapshot.positions if p.account in ("", account)])
        ours = of_positions([(p.symbol, p.held, p.entry_price or 0.0) for p in self._tracker.active() if p.held])
        found = {change.symbol: change for change in changes(ours, theirs, self._manager.holdings_elsewhere)}
        now = utc_now()
        self._differing = {symbol: self._differing.get(symbol, now) for symbol in found}
        for symbol, change in found.items():
            if (now - self._differing[symbol]).total_seconds() >= SETTLED_SECONDS:
                self._tell(change)

    # --- what health says ---

    def row(self) -> dict[str, Any]:
        """Alarms, positions that are bare now, and the seconds of today without a stop."""
        now = utc_now()
        held = [position for position in self._tracker.active() if position.held]
        everything = [*self._tracker.active(), *self._tracker.closed()]
        alarms = [
            {"position_id": a.position_id, "symbol": a.symbol, "detail": a.detail, "since": a.since.isoformat()}
            for a in self._manager.protection_alarms.values()
        ]
        return {
            "alarms": alarms,
            "rule": self.settings.when_refused,
            "bare": [position.symbol for position in held if position.protection.bare_since is not None],
            "held": len(held),
            "seconds_today": round(sum(position.protection.on_day(now) for position in everything), 1),
            "checked_at": None if self.checked_at is None else self.checked_at.isoformat(),
            "tasks": self.open_tasks,
            "soon": self.soon(),
        }

    def soon(self) -> dict[str, Any]:
        """How many stops IB's pace lets us place, and move, within SOON_SECONDS."""
        pacer = self._broker.pacer
        stops, moves = pacer.within(SOON_SECONDS, Priority.ORDER), pacer.within(SOON_SECONDS, Priority.MOVE)
        return {"seconds": SOON_SECONDS, "stops": stops, "moves": moves}

    def beyond_pace(self) -> str:
        """What follows when more positions are held than stops can be moved within SOON_SECONDS; empty when they can."""
        held, soon = sum(bool(position.held) for position in self._tracker.active()), self.soon()
        if held <= soon["moves"]:
            return ""
        return (
            f"{held} positions are held, but IB's pace lets {soon['moves']} stops be moved, or {soon['stops']} placed, within "
            f"{SOON_SECONDS:.0f} seconds. When the market jumps, the stops of the least endangered follow later. Close some positions."
        )

    # --- inside ---

    def _missing(self, position: Position, shown: set[str], asked_at: datetime) -> list[Order]:
        """Its stops that should be on the list and are not."""
        stops = self._manager.core.book.live(position.position_id, OrderRole.STOP) if position.held else []
        late = [stop for stop in stops if stop.order_ref not in shown and not stop.external and stop.state is not OrderState.SENDING]
        aged = [stop for stop in late if (asked_at - stop.updated_at).total_seconds() >= JUST_CHANGED_SECONDS]
        missing = [stop for stop in late if stop in aged or stop.state is OrderState.IN_DOUBT]
        if missing:
            log.warning("the broker does not list the stop of %s", position)
        return missing

    def _compare(self, position: Position) -> None:
        orders = self._manager.core.book.of_position(position.position_id)
        fault = fault_of(position, orders, utc_now())
        if fault is not None:
            log.warning("the stop of %s: %s", position, fault.value)

    async def _apply_defaults(self) -> None:
        """New positions get the rules a person chose for all of them, once."""
        for position in self._tracker.active():
            if position.position_id in self._judged or not position.held:
                continue
            self._judged.add(position.position_id)
            rules = default_rules(self.settings)
            fresh = position.open_time is not None and (utc_now() - position.open_time).total_seconds() < JUST_OPENED_SECONDS
            untouched = position.exit_rules == ExitRules() and not any(entry["type"] == "exit rule" for entry in position.history)
            if rules.armed and fresh and untouched:
                await self.runner.arm(position, rules, "the defaults of new positions", by="settings")

    def _atr(self, symbol: str) -> float | None:
        return self._atrs.get(symbol)

    def _tell(self, change: OvernightChange) -> None:
        key = f"{change.symbol} {change.kind} {change.ours:g} {change.theirs:g} {utc_now():%Y-%m-%d}"
        if key in self._told:
            return
        self._told.add(key)
        position = next((p for p in self._tracker.active() if p.symbol == change.symbol and p.held), None)
        position_id = position.position_id if position is not None else ""
        log.error("%s: %s", change.symbol, change.detail)
        facts: dict[str, Any] = {"symbol": change.symbol, "position_id": position_id, "kind": change.kind.value, "detail": change.detail}
        self._bus.post(OvernightChangeEvent(**facts, ours=change.ours, theirs=change.theirs))
        self._to_open.append((key, change, position_id))


def default_rules(settings: ProtectionSettings) -> ExitRules:
    trail = None
    if settings.trailing != ProtectionSettings.Trailing.NONE:
        trail = Trail(kind=TrailKind(settings.trailing), value=settings.trailing_value)
    return ExitRules(
        trail=trail,
        break_even_r=settings.break_even_r,
        close_after_minutes=settings.close_after_minutes,
        close_at_session_end=settings.close_at_session_end,
    )


def read_protection(account: str, symbols: frozenset[str]) -> tuple[ProtectionSettings, dict[str, float], int]:
    """The settings row, symbol → ATR in dollars over stored minutes, and how many tasks wait for a person."""
    settings = ProtectionSettings.objects.get_or_create(pk=1)[0]
    atrs = {symbol: atr for symbol in symbols if (atr := read_atr(symbol)) is not None}
    return settings, atrs, OperatorTask.objects.filter(account=account, state=OperatorTask.State.OPEN).count()


def read_atr(symbol: str) -> float | None:
    newest = MinuteBar.objects.filter(symbol=symbol).order_by("-at")[:ATR_BARS]
    bars = [Bar(symbol=symbol, at=bar.at, open=bar.open, high=bar.high, low=bar.low, close=bar.close) for bar in reversed(newest)]
    atr = wilder_atr(bars, ATR_PERIOD)
    return atr if atr is not None and math.isfinite(atr) and atr > 0 else None


def amend_reverse(fence: Callable[[], None], wish: Reverse, opened: bool) -> CommandRecord | bool:
    """The amended row; True where there is none to amend, False while it is not finished."""
    key = wish.intent_id.removeprefix(REVERSE)
    if not key.isdigit():
        return True
    words = f"closed, and the other side {wish.outcome}" if opened else f"Only half was done: the other side was {wish.outcome}."
    outcome = Outcome.done(words) if opened else Outcome.refused("half_done", words)
    with transaction.atomic():
        fence()
        return amend_outcome(int(key), outcome) or not CommandRecord.objects.filter(pk=int(key)).exists()


def open_task(fence: Callable[[], None], account: str, key: str, change: OvernightChange, position_id: str) -> None:
    """One task for one discovery, however often it is made."""
    titles = {"split": "Looks like a split", "symbol_change": "Looks like a new symbol", "assignment": "Looks like an assignment"}
    with transaction.atomic():
        fence()
        OperatorTask.objects.get_or_create(
            key=key[:120],
            defaults={
                "account": account,
                "kind": change.kind.value,
                "symbol": change.symbol,
                "position_id": position_id,
                "title": f"{change.symbol}: {titles.get(change.kind.value, 'the broker holds another quantity')}",
                "detail": change.detail[:500],
                "opened_at": utc_now(),
            },
        )
