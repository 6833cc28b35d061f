"""The running gateway: its clock, its connected sessions, and the delivery of what the brokerage reports to them.

Also the state that faults put it in: link to IB lost, farms broken, a symbol halted or without data, ids kept busy.
`server.py` listens and ticks it, `control.py` steers it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from positions.gateway import answers_account, answers_data, answers_orders
from positions.gateway import messages_out as out
from positions.gateway.brokerage import Brokerage, Report
from positions.gateway.faults import FaultBook
from positions.gateway.hours import Hours
from positions.gateway.market import Market, Quote, market_time
from positions.gateway.market_calendar import DAY, day_of, day_start
from positions.gateway.order_codec import PlacedOrder
from positions.gateway.orders import OrderSpec
from positions.gateway.pacing import MARKET_DATA_LINES
from positions.gateway.reports import commission_note, execution_note, notes_of
from positions.gateway.session import Session
from positions.gateway.transport import Mode
from positions.gateway.wire import Incoming

log = logging.getLogger(__name__)

NEXT_DAY_SECONDS = 300.0  # before midnight, in wall time: enough for 300 symbols at four a second, four times over
MATCH_DELAY = 0.03  # seconds from the acknowledgement of an order to its first chance to trade
_RECEIVED_KEPT = 5000


class DataState(StrEnum):
    """What is wrong with a symbol's data."""

    STALE = "stale"  # nothing comes any more; orders still trade
    HALTED = "halted"  # halted=1, nothing trades
    NONE = "none"  # prices of -1
    ZERO_SIZE = "zero_size"
    CROSSED = "crossed"
    DELAYED = "delayed"  # delayed ticks with 10167 for clients that asked for type 3, others are refused with 10089
    REFUSED = "refused"  # 354 on new requests
    COMPETING = "competing"  # 10197: another session of the user takes the live data


SILENT = frozenset({DataState.STALE, DataState.HALTED, DataState.COMPETING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came from a client."""

    sequence: int
    at: float
    client_id: int
    name: str
    values: Mapping[str, Any]


class Gateway:
    """One simulated gateway. `speed` is how fast its market clock runs against the wall, `line_limit` the streams of one client."""

    def __init__(self, *, seed: int, state_dir: Path, speed: float = 1.0, calendar: str = "", line_limit: int = MARKET_DATA_LINES) -> None:
        self.speed = speed
        hours = Hours(calendar)
        self.broker = Brokerage(Market(seed, always_open=not calendar), hours, state_dir, self.now())
        self.faults = FaultBook()
        self.broker.sizing = self.faults.fill_size
        self.sessions: dict[int, Session] = {}  # client id → its session
        self.handlers = {**answers_data.HANDLERS, **answers_account.HANDLERS, **answers_orders.HANDLERS}
        self.received: deque[Received] = deque(maxlen=_RECEIVED_KEPT)
        self.line_limit = line_limit
        self.time_form = ""  # how moments are written: one of times.FORMS; "" as the version of the client has it
        self.farms_broken = False
        self.upstream_lost = False
        self.upstream_drops = False  # while the link is lost, requests about orders vanish instead of waiting
        self.data_states: dict[str, DataState] = {}  # symbol → what is wrong with its data
        self.transport_mode = Mode.NORMAL  # of sockets opened from now on
        self.sockets = self.most_sockets = 0  # client connections open now, and at most at any time
        self.busy_ids: dict[int, float] = {}  # client id kept busy → monotonic time of its release
        self._account_changed = False  # by a fill, since it was sent
        self._waiting: list[Callable[[], None]] = []
        self._frozen: dict[str, Quote] = {}

    def now(self) -> float:
        """The gateway's time: epoch seconds of the market's clock."""
        return market_time(time.time(), self.speed)

    # Sessions

    def join(self, session: Session, client_id: int) -> bool:
        """Registers a session under its client id; False when the id is in use, or kept busy by a fault."""
        busy = client_id in self.sessions or self.busy_ids.get(client_id, 0.0) > time.monotonic()
        if busy or self.faults.take_client(client_id) is not None:
            return False
        self.sessions[client_id] = session
        self.broker.note_link(client_id, up=True)
        return True

    def leave(self, session: Session) -> None:
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
            self.broker.note_link(session.client_id, up=False)

    def saw(self, client_id: int, kind: Incoming, values: Mapping[str, Any]) -> None:
        """Remembers a request, so that a test can ask what really arrived."""
        sequence = self.received[-1].sequence + 1 if self.received else 1
        self.received.append(Received(sequence=sequence, at=self.now(), client_id=client_id, name=kind.name, values=values))

    def broadcast(self, code: int, text: str) -> None:
        for session in list(self.sessions.values()):
            session.error(out.SYSTEM, code, text)

    # Orders

    def answer_place(self, session: Session, placed: PlacedOrder) -> None:
        answers_orders.place(session, placed)

    def refuse_history(self, symbol: str) -> tuple[int, str] | None:
        """A scripted refusal of a history request, or None."""
        rule = self.faults.take_history(symbol)
        if rule is None:
            return None
        code = int(rule.settings.get("code", 162))
        return code, str(rule.settings.get("text", "Historical Market Data Service error message:Historical data request pacing violation"))

    def deliver(self, reports: list[Report]) -> None:
        """Sends reports to the clients that own the orders. While the link to IB is lost they are lost too."""
        if not reports or self.upstream_lost:
            return
        notes = notes_of(reports, self.broker.contracts.info, self.time_form)
        for note in self.faults.disturb(notes, reports):
            session = self.sessions.get(note.client_id)
            if session is not None:
                session.send(note.build(session.version))
        self._push_positions(reports)

    def repeat_executions(self) -> int:
        """Pushes every execution of the day and its commission once more; returns how many that were."""
        for execution in self.broker.executions:
            session = self.sessions.get(execution.client_id)
            for note in (execution_note(execution, self.broker.contracts.info, self.time_form), commission_note(execution)):
                if session is not None:
                    session.send(note.build(session.version))
        return len(self.broker.executions)

    def held_upstream(self, session: Session, again: Callable[[], None]) -> bool:
        """Whether a request must wait for the link to IB; it is repeated when the link is back, or lost for good."""
        if not self.upstream_lost:
            return False
        if not self.upstream_drops:
            self._waiting.append(again)
        return True

    def match_soon(self, symbol: str) -> None:
        """Gives a new order its first chance to trade, after the client has had its acknowledgement."""
        asyncio.get_running_loop().call_later(MATCH_DELAY, self.match, symbol)

    def match(self, symbol: str) -> None:
        if self.data_states.get(symbol) is not DataState.HALTED:
            self.broker.now = self.now()
            self.deliver(self.broker.match({symbol: self.broker.prices.quote(symbol, self.broker.now)}))

    def located_later(self, spec: OrderSpec, seconds: float) -> None:
        """The shares of a short sale are found after `seconds`."""
        asyncio.get_running_loop().call_later(seconds, self._located, spec)

    def _located(self, spec: OrderSpec) -> None:
        order = self.broker.exchange.book.orders.get(spec.key)
        if order is not None and order.live:
            self.broker.now = self.now()
            self.deliver(self.broker.located(order))
            self.match(spec.symbol)

    def match_silently(self, spec: OrderSpec) -> None:
        """Trades an order whose client shall hear nothing of it."""
        self.broker.match({spec.symbol: self.broker.prices.quote(spec.symbol, self.now())})

    # Market data

    def is_delayed(self, symbol: str) -> bool:
        return self.data_states.get(symbol) is DataState.DELAYED

    def data_refusal(self, session: Session, symbol: str) -> tuple[int, str] | None:
        """Why a new subscription is refused, or None."""
        state = self.data_states.get(symbol)
        if state is DataState.REFUSED:
            return 354, "Requested market data is not subscribed."
        if state is DataState.COMPETING:
            return 10197, "No market data during competing live session"
        if state is DataState.DELAYED and session.market_data_type not in (3, 4):
            return 10089, "Requested market data requires additional subscription for API. Delayed market data is available."
        return None

    def shown_quote(self, symbol: str) -> Quote:
        """The quote of now as clients see it."""
        return self._shown(symbol, self.broker.prices.quote(symbol, self.now()))

    def _shown(self, symbol: str, quote: Quote) -> Quote:
        """With what is wrong with the symbol's data."""
        state = self.data_states.get(symbol)
        if state in (DataState.STALE, DataState.HALTED):
            return self._frozen.setdefault(symbol, quote)
        if state is DataState.NONE:
            return replace(quote, bid=-1.0, ask=-1.0, last=-1.0, bid_size=0, ask_size=0, last_size=0)
        if state is DataState.ZERO_SIZE:
            return replace(quote, bid_size=0, ask_size=0)
        if state is DataState.CROSSED:
            return replace(quote, bid=quote.ask, ask=quote.bid)
        return quote

    def set_data_state(self, symbol: str, state: DataState | None) -> None:
        """Breaks a symbol's data, or (None) mends it."""
        self._frozen.pop(symbol, None)
        before = self.data_states.pop(symbol, None)
        if state is not None:
            self.data_states[symbol] = state
        for session in self.sessions.values():
            session.streams.halted(symbol, value=int(state is DataState.HALTED))
            if DataState.DELAYED in (before, state):
                session.streams.changed(symbol)
            if state is DataState.COMPETING:
                session.streams.fail(symbol, 10197, "No market data during competing live session")

    # Time

    def tick(self) -> None:
        """A quarter of a second has passed: time moves on, orders meet quotes, streams send what changed."""
        now = self.now()
        self.deliver(self.broker.advance(now))
        working = {symbol for symbol in self.broker.exchange.book.symbols() if self.data_states.get(symbol) is not DataState.HALTED}
        told = set() if self.upstream_lost or self.farms_broken else self._watched()
        quotes = {symbol: self.broker.prices.quote(symbol, now) for symbol in working | told}
        self.deliver(self.broker.match({symbol: quotes[symbol] for symbol in working}))
        self._publish_changed_accounts()
        shown = {symbol: self._shown(symbol, quotes[symbol]) for symbol in told}
        for session in list(self.sessions.values()):
            session.streams.tick(shown, now)
        self._make_next_day(now)

    def _watched(self) -> set[str]:
        """Symbols whose prices somebody streams and that say something now."""
        watched = {symbol for session in self.sessions.values() for symbol in session.streams.symbols()}
        return {symbol for symbol in watched if self.data_states.get(symbol) not in SILENT}

    def _make_next_day(self, now: float) -> None:
        """In the last minutes of the market's day: one symbol's next day each tick, so that midnight makes none."""
        if DAY - (now - day_start(day_of(now))) > NEXT_DAY_SECONDS * self.speed:
            return
        market = self.broker.prices.market
        symbols = sorted(self._watched() | set(self.broker.exchange.book.symbols()))
        next((symbol for symbol in symbols if market.make_ahead(symbol)), None)

    def publish_results(self) -> None:
        """The once-a-second updates of profit and loss subscriptions."""
        for session in list(self.sessions.values()):
            for (kind, request_id), detail in list(session.account_requests.items()):
                if kind == answers_account.PNL:
                    answers_account.send_profit(session, request_id)
                elif kind == answers_account.PNL_SINGLE:
                    answers_account.send_profit_single(session, request_id, int(detail))

    def publish_accounts(self) -> None:
        """The slow updates of account subscriptions, also sent after every fill."""
        for session in list(self.sessions.values()):
            for (kind, request_id), detail in list(session.account_requests.items()):
                if kind == answers_account.ACCOUNT_UPDATES:
                    answers_account.send_account(session)
                elif kind == answers_account.SUMMARY:
                    answers_account.send_summary(session, request_id, detail)

    # The link to IB

    def lose_upstream(self, *, drop_requests: bool) -> None:
        """1100: the sockets stay up, nothing is pushed any more."""
        self.upstream_lost, self.upstream_drops = True, drop_requests
        self.broadcast(1100, "Connectivity between IBKR and Trader Workstation has been lost.")

    def restore_upstream(self, *, data_kept: bool) -> None:
        """1102 (subscriptions kept) or 1101 (lost); what happened meanwhile is not pushed, only answered when asked."""
        self.upstream_lost = False
        if data_kept:
            self.broadcast(1102, "Connectivity between IBKR and Trader Workstation has been restored - data maintained.")
        else:
            for session in self.sessions.values():
                session.streams.clear()
            self.broadcast(1101, "Connectivity between IBKR and Trader Workstation has been restored - data lost.")
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request()

    def _push_positions(self, reports: list[Report]) -> None:
        """Positions at once; the account follows with the tick, once for all fills of it."""
        symbols = {report.execution.symbol for report in reports if hasattr(report, "execution")}
        self._account_changed = self._account_changed or bool(symbols)
        for session in list(self.sessions.values()) if symbols else ():
            if (answers_account.POSITIONS, 0) in session.account_requests:
                for symbol in symbols:
                    answers_account.send_position(session, self.broker.account.holdings[symbol])

    def _publish_changed_accounts(self) -> None:
        if not self._account_changed or self.upstream_lost:
            return
        self._account_changed = False
        for session in list(self.sessions.values()):
            if (answers_account.ACCOUNT_UPDATES, 0) in session.account_requests:
                answers_account.send_account(session)
