"""The worker's life, from the first row read to the last row written; what it is made of is in `composition.py`.

Stopping leaves the broker's orders exactly as they are: they protect the positions while we are away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from events.accounts import masked
from events.bus import EventBus
from events.clock import monotonic, utc_now
from events.failpoints import failpoint
from events.failstop import Breakdown
from events.feed import Feed
from events.inbox import Inbox
from events.journal import Journal
from events.system import HandlerFailedEvent
from events.wording import age_words
from positions import store
from positions.accounts import note_traded
from positions.broker.ib import IbBroker
from positions.domain.order_manager import OrderManager
from positions.domain.ports import LinkDown, OrderTicket, SendRefused
from positions.domain.references import is_entry
from positions.domain.tracker import PositionTracker
from positions.lease import WorkerLock, check_epoch, write_health
from tradingsite.worker import ends
from tradingsite.worker.alarms import Alarms
from tradingsite.worker.books import Books
from tradingsite.worker.database import Database
from tradingsite.worker.equity import Equity
from tradingsite.worker.guard import Guard
from tradingsite.worker.health import Health, read_flow
from tradingsite.worker.margins import Margins
from tradingsite.worker.marks import Marks
from tradingsite.worker.protection import Protection
from tradingsite.worker.rhythm import Rhythm
from tradingsite.worker.session import Session, State
from tradingsite.worker.subscriptions import Subscriptions
from tradingsite.worker.trading import ACTIVE, TradingSwitch

log = logging.getLogger(__name__)

LEASE_SECONDS = 6.0  # nothing is sent when the lease was not confirmed for so long: we may have been asleep
GAP_SECONDS = 5.0
# Of the process; any supervisor should start it again after 70 and 71.
EXIT_OK, EXIT_UNTRUSTED, EXIT_OTHER_ACCOUNT, EXIT_TAKEN_OVER = 0, 70, 71, 75


@dataclass(slots=True, kw_only=True)
class Worker:
    """`run()` until `stop()`; returns the process's exit code."""

    epoch: int
    lock: WorkerLock
    bus: EventBus
    database: Database
    journal: Journal
    feed: Feed
    inbox: Inbox
    broker: IbBroker
    tracker: PositionTracker
    manager: OrderManager
    session: Session
    switch: TradingSwitch
    marks: Marks
    equity: Equity
    subscriptions: Subscriptions
    rhythm: Rhythm
    health: Health
    guard: Guard
    margins: Margins
    books: Books
    protection: Protection
    alarms: Alarms
    code: int = EXIT_OK
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _fill_heard: asyncio.Event = field(default_factory=asyncio.Event)
    _state_changed: asyncio.Event = field(default_factory=asyncio.Event)
    _lease_ok_at: float = field(default_factory=monotonic)
    _frames_lost: int = 0
    _breakdown: Breakdown | None = None

    async def run(self) -> int:
        """Restore, connect, trade, and put everything away in order."""
        await self._restore()
        tasks = [asyncio.create_task(step, name=name) for name, step in self._lives().items()]
        self._start_rhythm()
        stopped = asyncio.create_task(self._stopping.wait(), name="stop")
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            self._report_end(task)
        stopped.cancel()
        await self._put_away(tasks)
        return self.code

    def stop(self) -> None:
        """SIGTERM and Ctrl-C."""
        self._stopping.set()

    def taken_over(self, why: str) -> None:
        """Another worker holds the lease: stop sending this instant, then go."""
        if self.code != EXIT_TAKEN_OVER:
            log.critical("stopping at once: %s", why)
        self.code = EXIT_TAKEN_OVER
        self._lease_ok_at = float("-inf")
        self.stop()

    def fail_stop(self, breakdown: Breakdown) -> None:
        """Memory may differ from the journal: write and send nothing more, and let the next worker start from the rows."""
        self._breakdown = breakdown
        self.journal.seal()
        if self.code == EXIT_OK:
            self.code = EXIT_UNTRUSTED
        self.stop()

    def before_send(self, tickets: Sequence[OrderTicket]) -> None:
        """The last look before the socket: a worker that slept, lost its lease or broke sends nothing; a halted one no entry;
        and no exit leaves while a fill of what it closes lies unread."""
        if self._breakdown is not None:
            raise LinkDown(f"this worker is ending: {self._breakdown}")
        silent = monotonic() - self._lease_ok_at
        if silent > LEASE_SECONDS:
            raise LinkDown(f"this worker has not confirmed its lease for {age_words(silent)}: nothing is sent")
        if self.switch.state != ACTIVE and any(is_entry(ticket.order_ref) for ticket in tickets):
            raise SendRefused(self.switch.state, f"Trading is {self.switch.state.replace('_', ' ')}: {self.switch.reason}")
        self.manager.look_again(tickets)

    def fill_heard(self) -> None:
        self._fill_heard.set()

    def state_changed(self) -> None:
        """The session is ready, or is not any more: pages hear of it now, not with the next heartbeat."""
        self._state_changed.set()

    async def account_answered(self, account: str) -> bool:
        """The gateway serves this account. False, and the end of this worker, when the books in memory are another's: nothing of
        one account is restored, protected or counted for another, so a new worker begins with the right ones."""
        await self.database.run(note_traded, self._fence, account, self.session.mode, self.epoch)
        books = self.manager.core.account
        if books and account != books:
            log.warning("the gateway serves %s, these are the books of %s: starting again", masked(account), masked(books))
            self.code = EXIT_OTHER_ACCOUNT
            self.stop()
            return False
        self.manager.core.account = self.tracker.account = self.equity.account = account
        return True

    # --- starting ---

    async def _restore(self) -> None:
        """Rows to objects; then the bus comes alive."""
        read, account = self.database.run, self.manager.core.account
        positions = await read(store.load_positions, account) + await read(store.load_lately_closed, account)
        orders, elsewhere = await read(store.load_orders, account), await read(store.load_elsewhere, account)
        set_aside, halts = await self.database.run(ends.load_set_aside, self._fence, self.epoch)
        await self.journal.attach(self.bus)
        await self.tracker.start()
        self.manager.when_untrusted(self.fail_stop, set_aside=set_aside)
        self.manager.restore(orders, positions, elsewhere)
        failpoint("restore.loaded")
        await self.books.load(account)
        await self.alarms.listen(self.bus)
        await self.switch.refresh()
        for reason in halts:
            self.switch.halt_now(reason)
        await self._tell_last_end()
        await self.guard.refresh()
        log.info("restored %d orders and %d positions, epoch %d", len(orders), len(positions), self.epoch)

    async def _tell_last_end(self) -> None:
        end = await self.database.run(ends.last_end, self.epoch)
        if end is not None:
            log.error("the worker before this one stopped itself: %s: %s", end, end.error)
            await self.bus.emit(HandlerFailedEvent(handler=f"worker ({end.section}, {end.cause})", error=end.error, core=True))

    def _fence(self) -> None:
        check_epoch(self.epoch)

    def _lives(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "feed": self.feed.run(),
            "orders": self.manager.run(),
            "session": self.session.run(),
            "inbox": self.inbox.run(),
        }

    def _start_rhythm(self) -> None:
        self.feed.before_each_frame(self._publish_marks)
        self.rhythm.every(1.0, "marks", self._keep_marks)  # loss limits and records need them while Redis holds frames up
        self.rhythm.every(1.0, "lease", self._confirm_lease)
        self.rhythm.every(1.0, "orders", self.manager.tick)
        self.rhythm.every(0.5, "exits", self.protection.guard)
        self.rhythm.every(5.0, "stops", self.protection.watch)
        self.rhythm.every(5.0, "protection", self.protection.refresh)
        self.rhythm.every(2.0, "limits", self.switch.refresh)
        self.rhythm.every(5.0, "clocks", self.database.compare_clocks)
        self.rhythm.every(1.0, "halt", self.guard.enforce_halt)
        self.rhythm.every(3.0, "locks", self.guard.look)
        self.rhythm.every(1.0, "margins", self.margins.refresh)
        self.rhythm.every(2.0, "alarms", self.alarms.look)
        self.rhythm.every(2.0, "health", self._say_health)
        self.rhythm.every(0.0, "state", self._say_changes)
        self.rhythm.every(2.0, "records", self._write_records)
        self.rhythm.every(5.0, "subscriptions", self.subscriptions.sync)
        self.rhythm.every(60.0, "points", self.equity.point)
        self.rhythm.every(0.5, "fills", self._point_after_fill)

    async def on_ready(self) -> None:
        """The books agree: listen to the market again and write down where we stand."""
        await self.subscriptions.sync()
        self.inbox.wake()
        await self.equity.point()
        await self._say_health()

    # --- going on ---

    def _publish_marks(self) -> None:
        """Positions and equity of the same moment go into the same frame, so that the sums on a page agree."""
        self.marks.publish()
        self.equity.show()

    async def _keep_marks(self) -> None:
        self._publish_marks()

    async def _confirm_lease(self) -> None:
        """Lock and epoch are still ours; after a sleep of the whole process this runs before anything is sent."""
        if not await self.database.run(self.lock.held):
            self.taken_over("the lock was lost with its database connection")
            return
        await self.database.run(check_epoch, self.epoch)
        self.rhythm.database_ok = True
        self._lease_ok_at = monotonic()

    async def _write_records(self) -> None:
        """Marks and bars; the journal goes first, so that no row tells of something it does not hold."""
        rows = self.marks.take_moved()
        bars = self.marks.take_bars(utc_now())
        try:
            await self.journal.commit()
            failpoint("records.marks")
            await self.database.run(store.save_marks, rows, self.epoch)
            await self.database.run(store.save_bars, bars)
        except Exception:
            self.marks.give_back(bars)
            raise

    async def _point_after_fill(self) -> None:
        if self._fill_heard.is_set():
            self._fill_heard.clear()
            await self.journal.commit()  # the point counts what the database holds of the fill
            await self.equity.point()

    async def _say_changes(self) -> None:
        await self._state_changed.wait()
        self._state_changed.clear()
        await self._say_health()

    async def _say_health(self) -> None:
        lost = self.feed.counters["frames_lost"]
        redis_ok, self._frames_lost = lost == self._frames_lost, lost
        flow: dict[str, Any] = {"state": "unknown", "last_success": None, "detail": "The database does not answer."}
        if self.rhythm.database_ok:
            flow = await self.database.run(read_flow)
        frame = self.health.frame(flow, redis_ok, self.rhythm.database_ok)
        self.feed.heartbeat(frame)
        await self.database.run(write_health, self.epoch, self.session.state.value, self.health.row(frame))

    # --- ending ---

    def _report_end(self, task: asyncio.Task[Any]) -> None:
        """None of the worker's lives ends by itself; if one does, the process must not pretend to live."""
        error = task.exception()
        log.critical("%s ended: %r", task.get_name(), error, exc_info=error)
        self.code = self.code or 1

    async def _put_away(self, tasks: list[asyncio.Task[Any]]) -> None:
        """No new command, no new send; then the journal's last events; then the lock."""
        self.inbox.stop()
        self.subscriptions.stop()
        await self.rhythm.stop()
        inbox = [task for task in tasks if task.get_name() == "inbox"]
        await asyncio.wait(inbox, timeout=1.0)
        self.session.stop()
        await self.broker.disconnect()
        if self._breakdown is None:
            await self._in_time("the last reports", self.manager.drain(), 1.0)
        await self._in_time("the journal", self.journal.close(), 1.5)
        if self._breakdown is not None:
            await self._in_time("the reason", self.database.run(ends.record_end, self._fence, self.epoch, self._breakdown), 5.0)
        self.feed.stop()
        await asyncio.wait(tasks, timeout=0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.code != EXIT_TAKEN_OVER:
            await self._in_time("the last heartbeat", self._say_stopped(), 1.5)
        await self._in_time("the database", self.database.close(), 0.5)

    async def _say_stopped(self) -> None:
        await self.database.run(write_health, self.epoch, State.STOPPED.value, self.health.row(self.health.frame({}, True, True)))

    @staticmethod
    async def _in_time(what: str, step: Awaitable[Any], seconds: float) -> None:
        try:
            await asyncio.wait_for(step, seconds)
        except Exception as error:
            log.warning("%s could not be put away: %s: %s", what, type(error).__name__, error)
