"""The broker session's life: connect, compare books, trade, lose the link, come back. One loop, never two.

    connecting → reconciling → ready → (link lost) → connecting …

Ready means: every part of the first picture arrived, the account is the one this mode may trade, and our books were
compared with the broker's. Only then may entries leave. Back-off doubles from half a second to four.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum

from events.bus import EventBus
from events.clock import monotonic, utc_now
from events.failpoints import failpoint
from events.system import ConnectionEvent
from positions.broker.ib import IbBroker
from positions.domain.order_manager import OrderManager
from positions.domain.ports import BrokerError, BrokerSnapshot, LinkDown, LinkState, RecoveryHint, SyncIncomplete
from tradingsite.worker.books import FULL, LIGHT, Books
from tradingsite.worker.mode import mode_refusal

log = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.5, 4.0  # a gateway that answers again is met within ten seconds
REFUSED_SECONDS = 30.0
SETTLED_AFTER = 20.0  # a session this long was a good one: the next back-off starts small again
LIGHT_RECONCILE_SECONDS = 30.0
AGAIN_SECONDS = 3.0  # while entries wait for books that differ: a fill may have come between two of IB's lists
LOOK_SECONDS = 0.5  # how soon a request for a reconcile is seen
SECOND_PASS_SECONDS = 10.5  # absence of an order is proven by two pictures at least ten seconds apart


class State(StrEnum):
    STARTING = "starting"
    CONNECTING = "connecting"
    RECONCILING = "reconciling"
    READY = "ready"
    REFUSED = "refused"  # connected to an account that this mode must not trade
    STOPPED = "stopped"


class Session:
    """`state` is what health shows, and `on_change` says that it is another one. `on_data_lost` runs when the broker has
    forgotten what we listen to; `on_ready` when the books begin to agree, and after trouble of the link that they survived.
    """

    def __init__(
        self,
        *,
        bus: EventBus,
        broker: IbBroker,
        manager: OrderManager,
        mode: str,
        live_confirmed: str,
        account_answers: Callable[[str], Awaitable[bool]],
        on_picture: Callable[[BrokerSnapshot], None],
        on_data_lost: Callable[[], object],
        on_ready: Callable[[], Awaitable[None]],
        on_change: Callable[[], None],
        books: Books,
    ) -> None:
        self.state = State.STARTING
        self.detail = ""
        self.since: datetime = utc_now()
        self.reconciled_at: datetime | None = None
        self.reconcile_reason = ""
        self.attempts = 0
        self._bus = bus
        self._broker = broker
        self._manager = manager
        self.mode = mode
        self._live_confirmed = live_confirmed
        self._account_answers = account_answers
        self._on_picture = on_picture
        self._on_data_lost = on_data_lost
        self._on_ready = on_ready
        self._on_change = on_change
        self._books = books
        self._stopping = asyncio.Event()
        self._due = asyncio.Event()  # something happened to the link that `run` must look at
        self._hint = RecoveryHint.NONE
        self._doubted: BrokerSnapshot | None = None  # the picture in which an order of ours was missing
        self._doubted_at = 0.0  # when that was, by a clock that nobody sets

    @property
    def ready(self) -> bool:
        """Entries may leave."""
        return self.state is State.READY and self.link_up

    @property
    def blocked(self) -> str:
        """Why entries wait although everything else works: the books differ. "" when they do not."""
        return self._books.blocked if self.link_up and self.state is State.RECONCILING else ""

    @property
    def link_up(self) -> bool:
        """Exits and cancels may leave: the account was accepted, the link works, and what it missed while it did not has been read."""
        accepted = self.state in (State.READY, State.RECONCILING)
        return accepted and self._broker.link is LinkState.CONNECTED and not self._manager.behind

    # --- heard ---

    def on_link(self, state: LinkState, detail: str, hint: RecoveryHint) -> None:
        """From the broker, on edges only."""
        log.info("link %s %s", state.value, detail)
        self._bus.post(ConnectionEvent(state=state.value, detail=detail[:300], account=self._broker.account, mode=self.mode))
        if state is LinkState.DISCONNECTED or hint is RecoveryHint.DATA_LOST:
            self._on_data_lost()  # now, not when the books agree: prices must come back while they do not
        if state is LinkState.DISCONNECTED or hint is not RecoveryHint.NONE:
            self._hint = hint if hint is not RecoveryHint.NONE else self._hint
            self._due.set()
        if state in (LinkState.UPSTREAM_LOST, LinkState.DISCONNECTED) or hint is not RecoveryHint.NONE:
            self._manager.link_lost()
        if state is LinkState.UPSTREAM_LOST and self.state is State.READY:
            self._become(State.RECONCILING, detail)  # nothing counts as compared while IB does not hear us
        if state is LinkState.DISCONNECTED and self.state in (State.READY, State.RECONCILING):
            self._become(State.CONNECTING, detail)  # known now, not when the next dial begins

    def stop(self) -> None:
        self._stopping.set()
        self._due.set()

    # --- the loop ---

    async def run(self) -> None:
        """Until `stop()`. Never raises for a broken link."""
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            began = monotonic()
            try:
                await self._one_session()
            except BrokerError as error:
                self._become(State.CONNECTING, str(error))
                log.warning("not connected: %s", error)
            except Exception:
                self._become(State.CONNECTING, "the session broke; the worker's log says how")
                log.exception("the session failed")
            await self._broker.disconnect()
            delay = FIRST_DELAY if monotonic() - began > SETTLED_AFTER else delay
            await self._wait(delay)
            delay = min(delay * 2, LONGEST_DELAY)
        self._become(State.STOPPED, "")

    async def _one_session(self) -> None:
        """One connection from its first byte to its last."""
        self._become(State.CONNECTING, self.detail)
        self.attempts += 1
        self._due.clear()
        self._hint, self._doubted = RecoveryHint.NONE, None
        self._manager.link_lost()  # a reading that was under way when it broke may have been learned since
        picture = await self._broker.connect()
        failpoint("session.connected")
        refusal = mode_refusal(mode=self.mode, account=self._broker.account, confirmed=self._live_confirmed)
        if refusal is not None:
            self._become(State.REFUSED, refusal)
            log.error(refusal)
            await self._broker.disconnect()
            await self._wait(REFUSED_SECONDS)
            return
        if not await self._account_answers(self._broker.account):
            return
        await self._manager.doubt_unanswered("the link was lost before it was answered")
        await self._reconcile(picture, RecoveryHint.DATA_LOST, kind="start" if self.attempts == 1 else "reconnect")
        await self._stay()

    async def _stay(self) -> None:
        """While the link lives: a light reconcile every thirty seconds, sooner while the books differ, at once when somebody asks."""
        last = monotonic()
        while not self._stopping.is_set() and self._broker.link is not LinkState.DISCONNECTED:
            self._due.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._due.wait()
            if self._stopping.is_set() or self._broker.link is not LinkState.CONNECTED:
                continue
            hint, self._hint = self._hint, RecoveryHint.NONE
            kind = self._kind_due(hint, monotonic() - last)
            if kind:
                await self._reconcile(await self._broker.snapshot(), hint, kind=kind)
                last = monotonic()

    def _kind_due(self, hint: RecoveryHint, seconds: float) -> str:
        """Which comparison is due `seconds` after the last one: after the link's trouble, asked for, the day's full one, or a light one."""
        if hint is not RecoveryHint.NONE:
            return "link"
        if self._wanted():
            return "asked"
        waiting = self.state is State.RECONCILING and self._doubted is None  # a doubt sets its own pace
        if seconds <= (AGAIN_SECONDS if waiting else LIGHT_RECONCILE_SECONDS):
            return ""
        return FULL if self._books.full_due() else LIGHT

    def _wanted(self) -> bool:
        """Somebody asks, an error waits for its verdict, or a doubt is old enough for the second picture."""
        if self._manager.verdict_due:
            return True
        if self._doubted is not None:
            return monotonic() - self._doubted_at >= SECOND_PASS_SECONDS
        return bool(self._manager.needs_reconcile)

    async def _reconcile(self, picture: BrokerSnapshot, hint: RecoveryHint, *, kind: str) -> None:
        """Compare with one picture, or with this one and the one that left a doubt ten seconds ago."""
        if not picture.complete:
            raise SyncIncomplete(f"the gateway never finished sending {', '.join(picture.missing)}")
        if self._broker.link is LinkState.DISCONNECTED:
            raise LinkDown("the link was lost behind the last list")
        if hint is not RecoveryHint.NONE or self.state is not State.READY:
            self._become(State.RECONCILING, "")
        why = self._manager.needs_reconcile
        first, second, now = self._doubted, picture, monotonic()
        if first is not None and first.taken_at > picture.taken_at:
            first = None  # the clock was set back between the two: this one is the first of a new pair
        enough = first is not None and now - self._doubted_at >= SECOND_PASS_SECONDS - 0.5
        pair = (first, second) if first is not None and enough else (picture, None)
        report = await self._manager.reconcile(*pair, light=kind == LIGHT)
        self._doubted = None
        if report.needs_second or (kind == FULL and first is None):  # a full comparison takes two readings
            anew = first is None or enough
            self._doubted, self._doubted_at = (picture, now) if anew else (first, self._doubted_at)  # the first of the pair to come
        self.reconcile_reason = report.reason
        self._on_picture(picture)
        blocked = await self._books.compared(picture, report, kind=kind, reason=why)
        if self._broker.link is not LinkState.CONNECTED:
            return  # lost while we compared: `on_link` has said what we are now
        if blocked or not report.ok:
            self._manager.set_reconciled(False)
            self._become(State.RECONCILING, blocked or report.reason or "our books and the broker's differ")
            return
        if report.proving:
            self._manager.set_reconciled(False)
            self._become(State.RECONCILING, "an order is in doubt: IB's lists are read once more in ten seconds")
            return
        self._manager.set_reconciled(True)
        self.reconciled_at = utc_now()
        was_ready = self.state is State.READY
        failpoint("session.ready")
        self._become(State.READY, "")
        if not was_ready or hint is not RecoveryHint.NONE:
            await self._on_ready()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _become(self, state: State, detail: str) -> None:
        if state is not self.state:
            log.info("worker %s %s", state.value, detail)
            self.state, self.since, self.detail = state, utc_now(), detail
            self._on_change()
        self.detail = detail
