"""The worker's wiring root: makes every part and says who hears whom. Tests call `build` with other settings or parts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings as django_settings

from events.base import BaseEvent
from events.bus import EventBus
from events.clock import SystemClock, utc_now
from events.commands import SWITCHES
from events.feed import Feed
from events.inbox import Inbox
from events.journal import Fenced, Journal
from positions import store
from positions.accounts import traded_account
from positions.broker.ib import IbBroker, IbSettings
from positions.domain.order_manager import OrderManager
from positions.domain.ports import BrokerSnapshot
from positions.domain.risk import RiskGate, TradingState
from positions.domain.tracker import PositionTracker
from positions.lease import WorkerLock, check_epoch
from positions.limits import limits_from
from signals.approval import shown_at_approval
from signals.models import SignalRecord, SignalSettings, WatchListEntry
from signals.session import market_open as exchange_is_open
from tradingsite.worker.alarms import Alarms
from tradingsite.worker.books import Books
from tradingsite.worker.commands import CommandDesk
from tradingsite.worker.database import Database
from tradingsite.worker.ears import Ears
from tradingsite.worker.equity import Equity
from tradingsite.worker.exit_commands import ExitDesk
from tradingsite.worker.guard import Guard
from tradingsite.worker.health import Health
from tradingsite.worker.hours import session_closes, session_open
from tradingsite.worker.lines import Lines
from tradingsite.worker.margins import Margins
from tradingsite.worker.marks import Marks
from tradingsite.worker.protection import Protection, read_atr
from tradingsite.worker.resolutions import Resolutions
from tradingsite.worker.rhythm import Rhythm
from tradingsite.worker.session import Session
from tradingsite.worker.showing import Showing
from tradingsite.worker.subscriptions import Subscriptions
from tradingsite.worker.trading import TradingSwitch
from tradingsite.worker.worker import Worker

REF_PREFIX = "TD"  # begins every orderRef of ours at the broker


MOST_DECIDED = 1_000  # symbols; more than any login has lines


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker needs to know from outside."""

    mode: str
    live_confirmed: str
    ib: IbSettings
    account: str = ""  # the one last traded in this mode: its books are restored before the gateway answers
    market_data_lines: int = 100

    @classmethod
    def from_django(cls) -> WorkerSettings:
        """Asks the database which account was traded last: call it outside the loop."""
        s = django_settings
        ib = IbSettings(host=s.IB_HOST, port=s.IB_PORT, client_id=s.IB_CLIENT_ID, account=s.IB_ACCOUNT, time_zone=s.IB_TIME_ZONE)
        lines = s.IB_MARKET_DATA_LINES
        return cls(mode=s.TRADING_MODE, live_confirmed=s.LIVE_TRADING_CONFIRMED, ib=ib, account=traded_account(), market_data_lines=lines)


def build(settings: WorkerSettings, *, lock: WorkerLock, epoch: int) -> Worker:
    """Call on the running loop, with the lock held."""
    bus, database, gate, clock = EventBus(), Database(), RiskGate(), SystemClock()
    feed = Feed(epoch=epoch)
    showing = Showing(feed)
    late = _Late()
    journal = Journal(
        projections=[store.project],
        fence=lambda: check_epoch(epoch),
        epoch=epoch,
        on_durable=showing.durable,
        on_failure=late.journal_failed,
        on_refused=late.events_refused,
    )
    limits = _Limits(gate)
    switch = TradingSwitch(
        bus,
        database,
        on_limits=limits.heard,
        on_state=late.trading_state_changed,
        fence=lambda: check_epoch(epoch),
    )
    bus.on_failure = late.core_failed
    ears = Ears()
    broker = IbBroker(
        settings.ib,
        ears,
        on_fault=lambda what, error: switch.halt_now(f"The broker's {what} could not be read: {type(error).__name__}: {error}"),
        before_send=late.before_send,
        on_no_line=late.no_line,
    )
    tracker = PositionTracker(bus, account=settings.account)
    marks = Marks(bus, tracker, feed, showing)
    equity = Equity(bus, tracker, marks, feed, database)
    manager = OrderManager(
        bus,
        broker,
        tracker,
        gate,
        commit=journal.commit,
        clock=clock,
        account=settings.account,
        client_id=settings.ib.client_id,
        session_id=uuid.uuid4().hex,
        ref_prefix=REF_PREFIX,
    )
    books = Books(
        bus=bus,
        manager=manager,
        database=database,
        feed=feed,
        commit=journal.commit,
        fence=lambda: check_epoch(epoch),
        epoch=epoch,
        ref_prefix=REF_PREFIX,
    )
    session = Session(
        bus=bus,
        broker=broker,
        manager=manager,
        mode=settings.mode,
        live_confirmed=settings.live_confirmed,
        account_answers=late.account_answered,
        on_picture=late.on_picture,
        on_data_lost=late.data_lost,
        on_ready=late.on_ready,
        on_change=late.state_changed,
        books=books,
    )
    subscriptions = Subscriptions(
        broker, database, lines=Lines(settings.market_data_lines), watched=watched_symbols, decided=decided_symbols,
        held=lambda: held_symbols(tracker), heard_at=marks.heard_at, market_open=lambda: market_open(broker),
    )  # fmt: skip
    guard = Guard(
        bus=bus, database=database, manager=manager, tracker=tracker, session=session, equity=equity, switch=switch,
        limits=lambda: gate.limits, limits_version=lambda: limits.version, session_closes=lambda: market_closes(broker),
        clock_skew=lambda: broker.clock_skew, fence=lambda: check_epoch(epoch), cash=books.cash,
    )  # fmt: skip
    margins = Margins(
        broker=broker, manager=manager, tracker=tracker, session=session, equity=equity, database=database,
        limits=lambda: (limits.version, gate.limits.margin_max_age_seconds),
    )  # fmt: skip
    protection = Protection(
        bus=bus, broker=broker, manager=manager, tracker=tracker, database=database, session=session,
        session_end=lambda: market_closes(broker), fence=lambda: check_epoch(epoch), bind=margins.bound_to,
        on_command=lambda row: feed.put("commands", str(row["id"]), row),
    )  # fmt: skip
    desk = CommandDesk(
        bus=bus,
        manager=manager,
        tracker=tracker,
        session=session,
        switch=switch,
        subscriptions=subscriptions,
        exits=ExitDesk(
            manager=manager,
            tracker=tracker,
            subscriptions=subscriptions,
            runner=protection.runner,
            bind=margins.bound_to,
            atr=lambda symbol: database.run(read_atr, symbol),
        ),
        resolutions=Resolutions(manager=manager, books=books, subscriptions=subscriptions),
        guard=guard,
        margins=margins,
        entry_life_seconds=lambda: database.run(entry_life_seconds),
        shown=lambda signal_id: database.run(shown_at_approval, signal_id),
    )
    inbox = Inbox(
        desk.handle,
        epoch=epoch,
        settled=desk.settled,
        on_row=lambda row: feed.put("commands", str(row["id"]), row),
        fence=lambda: check_epoch(epoch),
        not_now=desk.waiting_commands,
        first=SWITCHES,
    )
    rhythm = Rhythm(on_fenced=late.taken_over)
    alarms = Alarms(
        manager=manager, session=session, link=lambda: broker.link, database=database, epoch=epoch, fence=lambda: check_epoch(epoch),
        clock_skew=lambda: broker.clock_skew, beyond_pace=protection.beyond_pace,
    )  # fmt: skip
    health = Health(
        mode=settings.mode,
        epoch=epoch,
        session=session,
        broker=broker,
        switch=switch,
        marks=marks,
        equity=equity,
        subscriptions=subscriptions,
        books=books,
        protection=protection,
        alarms=alarms,
        database=database,
        feed=feed,
        started_at=utc_now().isoformat(),
        counters=lambda: _counters(bus, broker, feed, journal, marks, rhythm),
    )
    worker = Worker(
        epoch=epoch, lock=lock, bus=bus, database=database, journal=journal, feed=feed, inbox=inbox, broker=broker,
        tracker=tracker, manager=manager, session=session, switch=switch, marks=marks, equity=equity,
        subscriptions=subscriptions, rhythm=rhythm, health=health, books=books, guard=guard, margins=margins,
        protection=protection, alarms=alarms,
    )  # fmt: skip
    late.worker = worker
    manager.watch(
        session_open=lambda: entries_may_trade(broker, utc_now()),
        day_pnl=lambda: equity.row.get("day_pnl"),
        surroundings=guard.surroundings,
        last_look=guard.last_look,
    )
    equity.ask_picture = manager.core.ask_reconcile
    ears.manager, ears.marks, ears.equity = manager, marks, equity
    ears.link_heard, ears.fill_heard = session.on_link, worker.fill_heard
    return worker


class _Limits:
    """Hands the rows a person edits to the gate. `version` changes with every edit."""

    def __init__(self, gate: RiskGate) -> None:
        self.version = ""
        self._gate = gate

    def heard(self, row: dict[str, Any]) -> None:
        self.version = row["version"]
        self._gate.limits = limits_from(row)


class _Late:
    """Stands in for the worker while its parts, which call it, are made."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def before_send(self, tickets: Any) -> None:
        if self.worker is not None:
            self.worker.before_send(tickets)

    async def on_ready(self) -> None:
        if self.worker is not None:
            await self.worker.on_ready()

    def state_changed(self) -> None:
        if self.worker is not None:
            self.worker.state_changed()

    def data_lost(self) -> None:
        if self.worker is not None:
            self.worker.subscriptions.reset()

    def no_line(self, symbol: str) -> None:
        if self.worker is not None:
            self.worker.subscriptions.no_line(symbol)

    def on_picture(self, snapshot: BrokerSnapshot) -> None:
        if self.worker is not None:
            self.worker.equity.on_snapshot(snapshot)
            self.worker.protection.on_picture(snapshot)

    async def account_answered(self, account: str) -> bool:
        return self.worker is not None and await self.worker.account_answered(account)

    def trading_state_changed(self, state: str, reason: str) -> None:
        if self.worker is not None:
            self.worker.manager.set_trading_state(TradingState(state), reason)

    def taken_over(self, why: str) -> None:
        if self.worker is not None:
            self.worker.taken_over(why)

    def core_failed(self, event: BaseEvent, handler: str, error: Exception) -> None:
        """Halt; and when an event of the order path never reached the journal, memory is ahead of it."""
        if self.worker is None:
            return
        self.worker.switch.halt_now(_failure(event, handler, error))
        if handler == Journal.append.__qualname__ and not isinstance(error, Fenced):
            self.worker.manager.event_lost(event, error)

    def events_refused(self, event: BaseEvent, error: str) -> None:
        """The row is missing, the memory is right: nothing new may be opened on books that no longer agree."""
        if self.worker is not None:
            self.worker.switch.halt_now(f"the database refused {event.event_type} {event.event_id}, which was set aside: {error}")

    def journal_failed(self, error: Exception) -> None:
        if isinstance(error, Fenced):
            self.taken_over(str(error))


def market_open(broker: IbBroker) -> bool | None:
    """Whether the regular session is open, by the schedule of any contract we know; None when none is known."""
    contract = broker.any_contract()
    return None if contract is None else session_open(contract, utc_now())


def entries_may_trade(broker: IbBroker, now: datetime) -> bool:
    """What an entry is judged by: the broker's schedule, and the exchange's calendar where that says nothing of today.

    A schedule covers a few days; a link that lasts longer outlives it, and not known would mean not checked.
    """
    contract = broker.any_contract()
    known = None if contract is None else session_open(contract, now)
    return exchange_is_open(now) if known is None else known


def market_closes(broker: IbBroker) -> datetime | None:
    """When the regular session that is open now ends; None when it is not known, or never ends."""
    contract = broker.any_contract()
    return None if contract is None else session_closes(contract, utc_now())


def watched_symbols() -> list[str]:
    return list(WatchListEntry.objects.filter(enabled=True).values_list("symbol", flat=True))


def decided_symbols() -> list[str]:
    """Of signals that were just approved, then of those that a person may approve, newest first."""
    states = [SignalRecord.State.APPROVED, SignalRecord.State.PENDING]  # in the order of their words, too
    waiting = SignalRecord.objects.filter(state__in=states, expires_at__gt=utc_now()).order_by("state", "-created_at")
    return list(waiting.values_list("symbol", flat=True)[:MOST_DECIDED])


def held_symbols(tracker: PositionTracker) -> list[str]:
    """Positions whose rules need a price first: a stop at the broker holds without one."""
    return [position.symbol for position in sorted(tracker.active(), key=lambda position: not position.exit_rules.armed)]


def entry_life_seconds() -> float:
    seconds = SignalSettings.objects.values_list("entry_life_seconds", flat=True).first()
    return float(seconds or 120)


def _failure(event: BaseEvent, handler: str, error: Exception) -> str:
    return f"{handler} failed on {event.event_type}: {type(error).__name__}: {error}"


def _counters(bus: EventBus, broker: IbBroker, feed: Feed, journal: Journal, marks: Marks, rhythm: Rhythm) -> dict[str, Any]:
    return {
        "ticks": marks.ticks,
        "journaled": journal.written,
        "refused_frames": broker.refused_frames(),
        "frames_sent": feed.counters["frames_sent"],
        "frames_lost": feed.counters["frames_lost"],
        "handler_failures": sum(bus.failures.values()),
        "step_failures": sum(rhythm.failures.values()),
    }
