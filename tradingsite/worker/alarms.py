"""What the worker finds wrong and a person must acknowledge. It looks every two seconds; `positions.alarms` keeps the rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.urls import reverse

from events.bus import EventBus
from events.clock import clock_trouble, utc_now
from events.order import OrderState
from events.system import ProtectionEvent
from events.wording import moment_words, quantity_text
from positions.alarms import Trouble, keep_in_step, waiting_rows
from positions.domain.exit_keeper import Repair
from positions.domain.order_manager import OrderManager
from positions.domain.ports import LinkState
from positions.models import TradingState
from signals.models import SignalSettings, SourceHealth
from tradingsite.worker import ends
from tradingsite.worker.database import Database
from tradingsite.worker.session import Session
from tradingsite.worker.trading import ACTIVE

log = logging.getLogger(__name__)

LINK_SECONDS = 30.0  # of a lost link; a gateway's own restart takes less
CLOCK_SECONDS = 10.0  # a step of a time server is found by one comparison and gone at the next
BOOKS_SECONDS = 15.0  # an execution on its way explains most differences sooner
PACE_SECONDS = 10.0  # a position that is just being closed is not held for long
UNMEANT_SECONDS = 3.0  # the execution that explains it may be on its way
DOUBT_SECONDS = 60.0  # reconciliation settles most doubts; this one needs a person
FLOW_INTERVALS = 3  # polls without an answer
FORGOT_IDS = (
    "IB's next order number is not above one it has confirmed: its sequence was reset. Orders that its lists do not show are no longer "
    "sent again by themselves; decide about them on the Broker page."
)
NEEDS_LINK = frozenset({"no_stop", "books_differ", "doubt", "order_ids"})  # cannot be judged while the broker is away
DESK = ("worker", "the desk")  # who halts by itself


class Alarms:
    """`fence` raises when another worker has taken over. `rows` is what the pages show, read again every two seconds."""

    def __init__(
        self, *, manager: OrderManager, session: Session, link: Callable[[], LinkState], database: Database, epoch: int,
        fence: Callable[[], None], clock_skew: Callable[[], float] = lambda: 0.0, beyond_pace: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self.rows: list[dict[str, object]] = []
        self._manager = manager
        self._session = session
        self._link = link
        self._database = database
        self._epoch = epoch
        self._fence = fence
        self._clock_skew = clock_skew
        self._beyond_pace = beyond_pace
        self._heard: dict[str, Trouble] = {}  # position_id → its alarm, heard since the last look
        self._since: dict[tuple[str, str], datetime] = {}  # (kind, what it is about) → since when it stands, as we saw it
        reverse("overview")  # the first address imports every page: half a second now, not when the link has just been lost

    async def listen(self, bus: EventBus) -> None:
        await bus.subscribe(ProtectionEvent, self._hear, core=False)

    def _hear(self, event: ProtectionEvent) -> None:
        """A position that was flattened because it got no stop may be gone before the next look: its alarm is raised all the same."""
        if event.state == Repair.ALARM:
            self._heard[event.position_id] = _no_stop(event.position_id, event.symbol, event.detail, event.timestamp)

    async def look(self) -> None:
        """Bring the rows in step with what stands now."""
        heard, self._heard = self._heard, {}
        standing = {trouble.about: trouble for trouble in self._without_stop()}
        seen = [*(heard | standing).values(), *self._of_the_link(), *self._of_the_clocks(), *self._of_orders(), *self._of_the_pace()]
        blind = frozenset() if self._session.link_up else NEEDS_LINK
        try:
            raised, self.rows = await self._database.run(self._keep, seen, blind)
        except Exception:
            self._heard = heard | self._heard
            raise
        for text in raised:
            log.error("ALARM: %s", text)

    def _keep(self, seen: list[Trouble], blind: frozenset[str]) -> tuple[list[str], list[dict[str, object]]]:
        now = utc_now()
        troubles = [*seen, *halted_by_the_desk(), *set_aside(), *flow_silent(now)]
        raised = keep_in_step(self._fence, self._epoch, troubles, blind=blind, now=now)
        return [alarm.text for alarm in raised], waiting_rows(now)

    def _of_the_link(self) -> Iterator[Trouble]:
        lost = self._link() is not LinkState.CONNECTED
        since = self._lasting("link", "broker", lost)
        if since is not None:
            text = f"The broker link is down since {moment_words(since, utc_now())}. {self._session.detail}".strip()
            yield Trouble(kind="link", about="broker", text=text, page=reverse("positions:broker"), since=since, after=LINK_SECONDS)
        blocked = self._session.blocked
        since = self._lasting("books_differ", "books", bool(blocked))
        if since is not None:
            page = reverse("positions:broker")
            yield Trouble(kind="books_differ", about="books", text=blocked, page=page, since=since, after=BOOKS_SECONDS)
        since = self._lasting("order_ids", "ids", self._manager.broker_forgot_ids)
        if since is not None:
            yield Trouble(kind="order_ids", about="ids", text=FORGOT_IDS, page=reverse("positions:broker"), since=since)

    def _of_the_clocks(self) -> Iterator[Trouble]:
        for about, away in (("broker", self._clock_skew()), ("database", self._database.skew)):
            trouble = clock_trouble(away, f"{about}'s")
            since = self._lasting("clock", about, bool(trouble))
            if since is not None:
                text = f"{trouble[0].upper()}{trouble[1:]}: no entry leaves until a time server has set it."
                yield Trouble(kind="clock", about=about, text=text, page=reverse("overview"), since=since, after=CLOCK_SECONDS)

    def _without_stop(self) -> Iterator[Trouble]:
        for alarm in self._manager.protection_alarms.values():
            yield _no_stop(alarm.position_id, alarm.symbol, alarm.detail, alarm.since)

    def _of_orders(self) -> Iterator[Trouble]:
        for position in self._manager.unmeant:
            page = reverse("positions:detail", args=[position.position_id])
            side, since = "long" if position.held > 0 else "short", position.open_time or position.create_time
            size = quantity_text(abs(position.held))
            text = f"{position.symbol} is {side} {size}: more was executed than was held. Close it, or keep it on purpose."
            yield Trouble(kind="unmeant", about=position.position_id, text=text, page=page, since=since, after=UNMEANT_SECONDS)
        doubtful = {o.order_ref: o for o in self._manager.orders.values() if o.state is OrderState.IN_DOUBT}
        for ref in [about for kind, about in self._since if kind == "doubt" and about not in doubtful]:
            self._lasting("doubt", ref, False)
        for ref, order in doubtful.items():
            since = self._lasting("doubt", ref, True) or utc_now()
            text = f"Nobody knows whether the broker has {order.side.value.lower()} {quantity_text(order.quantity)} {order.symbol} ({ref})."
            page = reverse("positions:broker")
            yield Trouble(kind="doubt", about=ref, text=text, page=page, since=since, after=DOUBT_SECONDS)

    def _of_the_pace(self) -> Iterator[Trouble]:
        text = self._beyond_pace()
        since = self._lasting("beyond_pace", "stops", bool(text))
        if since is not None:
            yield Trouble(kind="beyond_pace", about="stops", text=text, page=reverse("positions:list"), since=since, after=PACE_SECONDS)

    def _lasting(self, kind: str, about: str, stands: bool) -> datetime | None:
        """Since when it stands; None when it does not."""
        if not stands:
            self._since.pop((kind, about), None)
            return None
        now = utc_now()
        since = self._since[(kind, about)] = min(self._since.get((kind, about), now), now)  # never ahead: the clock may be set back
        return since


def _no_stop(position_id: str, symbol: str, detail: str, since: datetime) -> Trouble:
    page = reverse("positions:detail", args=[position_id])
    return Trouble(kind="no_stop", about=position_id, text=f"{symbol} has no stop: {detail}", page=page, since=since)


def halted_by_the_desk() -> Iterator[Trouble]:
    """Entries that the desk itself shut; what a person shut needs no alarm."""
    row = TradingState.objects.filter(pk=1).exclude(state=ACTIVE).filter(changed_by__in=DESK).first()
    if row is not None and row.changed_at is not None:
        text = f"The desk made trading {row.state.replace('_', ' ')} by itself: {row.reason}"
        yield Trouble(
            kind="halted", about=f"trading {row.changed_at.isoformat()}", text=text, page=reverse("trading"), since=row.changed_at
        )


def set_aside() -> Iterator[Trouble]:
    for row in ends.waiting():
        yield Trouble(kind="set_aside", about=row.key, text=row.reason, page=reverse("positions:broker"), since=row.at)


def flow_silent(now: datetime) -> Iterator[Trouble]:
    """No answer of the options-flow API for three polls. While the market is closed nobody polls, and nobody is missed."""
    row = SourceHealth.objects.filter(ticker="").first()
    if row is None or row.last_success is None or row.detail.get("closed"):
        return
    limit = timedelta(seconds=FLOW_INTERVALS * SignalSettings.current().poll_seconds)
    if now - row.last_success > limit:
        text = f"The options-flow API has not answered since {moment_words(row.last_success, utc_now())}. {row.last_error}".strip()
        yield Trouble(kind="flow", about="api", text=text, page=reverse("overview"), since=row.last_success + limit)
