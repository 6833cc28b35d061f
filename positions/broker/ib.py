"""The live `Broker`: IB Gateway or TWS (or the simulated gateway) through the IB library.

One fresh library object per session, one fixed client id for life. Orders are written straight to the wire after our own
pacer; the library's queue, its Trade objects and its reconnect helpers are not used. A session that did not receive every
part of the first picture is closed again: connected is not the same as safe to trade.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from events.clock import clock_skew, utc_now
from events.failpoints import cut_with, failpoint
from events.wording import link_words
from positions.broker import ib_convert
from positions.broker.heartbeat import ANSWER_SECONDS, Heartbeat
from positions.broker.ib_contracts import ContractBook
from positions.broker.ib_ear import Ear, Reading
from positions.broker.ib_library import IB, Client
from positions.broker.pacer import Pacer, Priority
from positions.domain.ports import (
    Bar,
    BrokerListener,
    BrokerSnapshot,
    Contract,
    LinkDown,
    LinkState,
    NothingWritten,
    OrderReport,
    OrderTicket,
    PartlyWritten,
    RecoveryHint,
    SyncIncomplete,
)

log = logging.getLogger(__name__)

PACED = "+PACEAPI"  # a gateway that finds more than 50 messages in a second lets them wait; without it, it ends the connection
WHOLE_SECOND = timedelta(seconds=1)  # to which the gateway tells its time


@dataclass(frozen=True, slots=True, kw_only=True)
class IbSettings:
    """Where the gateway is and how patient we are; seconds."""

    host: str = "127.0.0.1"
    port: int = 4002
    client_id: int = 17
    account: str = ""
    time_zone: str = "UTC"  # of the gateway, for times that it sends without one: gateways of today name it, older ones do not
    connect_timeout: float = 4.0
    request_timeout: float = 5.0
    heartbeat_seconds: float = 3.0
    heartbeat_patience: float = ANSWER_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginEffect:
    """What IB says an order would do to margin; account currency. Not a reservation."""

    initial_change: float
    maintenance_change: float
    equity_after: float | None
    commission: float | None


class IbBroker:
    """Implements `positions.domain.ports.Broker`. `before_send` runs between the pacer and the socket and may raise."""

    def __init__(
        self,
        settings: IbSettings,
        listener: BrokerListener,
        *,
        pacer: Pacer | None = None,
        on_fault: Callable[[str, BaseException], None] | None = None,
        before_send: Callable[[Sequence[OrderTicket]], None] | None = None,
        on_no_line: Callable[[str], None] | None = None,
    ) -> None:
        """`on_no_line` hears a symbol for which IB has no market-data line left (101)."""
        self.settings = settings
        self.listener = listener
        self.pacer = pacer or Pacer()
        self._on_fault = on_fault or (lambda what, error: None)
        self._before_send = before_send or (lambda tickets: None)
        self._on_no_line = on_no_line or (lambda symbol: None)
        self._link = LinkState.DISCONNECTED
        self._account = ""
        self._ib: Any = None
        self._ear: Ear | None = None
        self._refused: asyncio.Future[str] | None = None
        self._heart: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()  # two readers of one list share the library's future and one never wakes
        self._contracts = ContractBook(self.pacer, settings.request_timeout)
        self._tickers: dict[str, Any] = {}  # symbol -> the library contract its ticks are subscribed with
        self.clock_skew = 0.0  # seconds our clock is ahead of the gateway's, as the last heartbeat found

    # --- the link ---

    @property
    def link(self) -> LinkState:
        return self._link

    @property
    def account(self) -> str:
        return self._account

    @property
    def client_id(self) -> int:
        return self.settings.client_id

    def refused_frames(self) -> int:
        return self._ear.refused if self._ear is not None else 0

    async def connect(self) -> BrokerSnapshot:
        """A new session and its first complete picture. Raises LinkDown or SyncIncomplete and leaves no socket behind."""
        self._drop_session("reconnecting", quiet=True)
        self._set_link(LinkState.CONNECTING, f"{self.settings.host}:{self.settings.port}")
        try:
            await self._handshake()
            self._heart = asyncio.create_task(self._heartbeat().beat(), name="ib-heartbeat")
            self._account = self._pick_account()
            self._set_link(LinkState.SYNCING, self._account)
            await self._ask_account_values()
            picture = await self.snapshot()
            if not picture.complete:
                raise SyncIncomplete(f"the gateway never finished sending {', '.join(picture.missing)}")
        except (LinkDown, SyncIncomplete) as error:
            self._drop_session(str(error))
            raise
        except BaseException:
            self._drop_session("connecting was interrupted")
            raise
        loop = asyncio.get_running_loop()
        cut_with(lambda: loop.call_soon_threadsafe(self._drop_session, "cut on purpose"))
        self._set_link(LinkState.CONNECTED, self._account)
        return picture

    async def disconnect(self) -> None:
        self._drop_session("closed by us")

    async def _handshake(self) -> None:
        ib = IB()
        ib.TimezoneTWS = self.settings.time_zone
        ear = Ear(ib, self.listener, on_fault=self._on_fault, on_code=self._on_code, on_no_line=self._no_line)
        ib.wrapper, ib.client = ear, Client(ear)
        ib.client.decoder.interpret = ear.decoding(ib.client.decoder.handlers)
        ib.client.setConnectOptions(PACED)
        ib.client.MaxRequests = 0  # our pacer has waited already; the library's silent queue is never used
        ib.client.apiEnd += self._on_socket_closed
        ib.pendingTickersEvent += self._on_tickers
        ear.clientId = self.settings.client_id
        self._ib, self._ear = ib, ear
        self._contracts.forget()
        self._refused = asyncio.get_running_loop().create_future()
        s = self.settings
        attempt = asyncio.ensure_future(ib.client.connectAsync(s.host, s.port, s.client_id, s.connect_timeout))
        await asyncio.wait({attempt, self._refused}, return_when=asyncio.FIRST_COMPLETED)
        if self._refused.done() and not attempt.done():
            attempt.cancel()
        try:
            await attempt
        except asyncio.CancelledError:
            if not self._refused.done():
                raise
            raise LinkDown(self._refused.result()) from None
        except (OSError, TimeoutError) as error:
            if self._refused.done():
                raise LinkDown(self._refused.result()) from error
            raise LinkDown(f"no answer from {s.host}:{s.port}: {link_words(error)}") from error
        finally:
            self._refused = None

    def _pick_account(self) -> str:
        accounts = list(self._ib.client.getAccounts())
        wanted = self.settings.account
        if wanted and wanted not in accounts:
            raise LinkDown(f"account {wanted} is not served by this gateway")
        if not wanted and len(accounts) != 1:
            raise LinkDown(f"the gateway serves {len(accounts)} accounts: set IB_ACCOUNT to one of them")
        return wanted or str(accounts[0])

    async def _ask_account_values(self) -> None:
        self._need_ear().account = self._account
        if not await self._ask("account values", lambda: self._ib.reqAccountUpdatesAsync(self._account)):
            raise SyncIncomplete("the gateway never finished sending account values")

    def _set_link(self, state: LinkState, detail: str = "", hint: RecoveryHint = RecoveryHint.NONE) -> None:
        if state is self._link and hint is RecoveryHint.NONE:
            return  # IB repeats 1100 many times: only edges count
        self._link = state
        self.listener.on_link(state, detail, hint)

    def _on_code(self, code: int, message: str) -> None:
        """Connection codes, on their edges; 2103/2105/2157 are data farms and never a reason to drop the link."""
        if code == 326 and self._refused is not None and not self._refused.done():
            self._refused.set_result(f"client id {self.settings.client_id} is in use at the gateway: another session holds it")
        elif code in (1100, 2110) and self._link is LinkState.CONNECTED:
            self._set_link(LinkState.UPSTREAM_LOST, f"{code} {message}")
        elif code in (1101, 1102) and self._link in (LinkState.CONNECTED, LinkState.UPSTREAM_LOST):
            hint = RecoveryHint.DATA_LOST if code == 1101 else RecoveryHint.DATA_KEPT
            if code == 1101:
                self._tickers.clear()
            self._set_link(LinkState.CONNECTED, f"{code} {message}", hint)

    def _on_socket_closed(self) -> None:
        if self._link is not LinkState.DISCONNECTED:
            self._drop_session("the gateway closed the connection")

    def _drop_session(self, why: str, *, quiet: bool = False) -> None:
        """Close the raw socket at once: a half-open one would keep our client id busy."""
        ib, self._ib, self._ear = self._ib, None, None
        self._tickers.clear()
        if self._heart is not None and self._heart is not asyncio.current_task():
            self._heart.cancel()
        self._heart = None
        if ib is not None:
            ib.client.apiEnd -= self._on_socket_closed
            ib.pendingTickersEvent -= self._on_tickers
            transport = ib.client.conn.transport
            if transport is not None:
                transport.abort()
            ib.wrapper.connectionClosed()
        if not quiet or self._link is not LinkState.DISCONNECTED:
            self._set_link(LinkState.DISCONNECTED, why)

    def _heartbeat(self) -> Heartbeat:
        """Of this session; it asks beside the lists, and also while the first picture is read."""
        ib, ear = self._ib, self._need_ear()

        async def ask() -> asyncio.Future[object]:
            await self.pacer.turn(Priority.HEARTBEAT)
            asked = utc_now()
            answer: asyncio.Future[object] = asyncio.ensure_future(ib.reqCurrentTimeAsync())
            answer.add_done_callback(lambda ended: self._compare_clocks(ended, asked))
            return answer

        return Heartbeat(
            ask=ask,
            heard_at=lambda: ear.row_at if self._reading.locked() or self._link is LinkState.SYNCING else 0.0,
            on_silence=self._drop_session,
            every=self.settings.heartbeat_seconds,
            patience=self.settings.heartbeat_patience,
        )

    def _compare_clocks(self, answer: asyncio.Future[object], asked: datetime) -> None:
        told = None if answer.cancelled() or answer.exception() is not None else answer.result()
        if isinstance(told, datetime) and told.tzinfo is not None:
            self.clock_skew = clock_skew(told, asked, utc_now(), resolution=WHOLE_SECOND)

    # --- questions ---

    async def _ask(self, what: str, ask: Callable[[], Awaitable[Any]]) -> bool:
        """One question, True when its own End came in time. Raises LinkDown when the socket dies meanwhile."""
        await self.pacer.turn(Priority.QUERY)
        ib = self._need_session()
        try:
            await asyncio.wait_for(ask(), self.settings.request_timeout)
        except TimeoutError:
            log.warning("%s: no answer within %.0f s", what, self.settings.request_timeout)
            return False
        except ConnectionError as error:
            raise LinkDown(f"the link died while asking for {what}") from error
        return ib is self._ib

    async def open_orders(self) -> tuple[OrderReport, ...] | None:
        """What is open at the broker now; None when the list was not complete or another reading is under way."""
        if self._reading.locked():
            return None
        async with self._reading:
            ib, ear = self._need_session(), self._need_ear()
            reading = ear.reading = Reading(phase="open_orders")
            try:
                whole = await self._ask("open orders", ib.reqAllOpenOrdersAsync)
            finally:
                ear.reading = None
            return tuple(reading.open_orders.values()) if whole and not reading.refused else None

    async def snapshot(self) -> BrokerSnapshot:
        """All lists of one reconcile pass, one after the other; a list whose End never came is named in `missing`."""
        async with self._reading:
            ib, ear = self._need_session(), self._need_ear()
            began_at = utc_now()
            reading = ear.reading = Reading()
            missing = []
            try:
                for phase, ask in (
                    ("open_orders", ib.reqAllOpenOrdersAsync),
                    ("completed_orders", lambda: ib.reqCompletedOrdersAsync(False)),
                    ("executions", ib.reqExecutionsAsync),
                    ("positions", ib.reqPositionsAsync),
                ):
                    reading.phase = phase
                    if not await self._ask(phase, ask):
                        missing.append(phase)
                reading.phase = ""
                next_id = await self._ask_next_id(missing)
            finally:
                ear.reading = None
            if reading.refused:
                missing.append("unreadable rows")
            return BrokerSnapshot(
                open_orders=tuple(reading.open_orders.values()),
                completed_orders=tuple(reading.completed_orders),
                executions=tuple(reading.executions),
                commissions=tuple(reading.commissions),
                positions=tuple(reading.positions.values()),
                account_values=dict(ear.account_values),
                next_order_id=next_id,
                taken_at=utc_now(),
                began_at=began_at,
                missing=tuple(missing),
            )

    async def _ask_next_id(self, missing: list[str]) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._need_ear().next_id = answer

        def ask() -> Awaitable[int]:
            self._ib.client.reqIds(1)
            return answer

        if not await self._ask("next order id", ask):
            missing.append("next_order_id")
            return 0
        return answer.result()

    def _need_session(self) -> Any:
        if self._ib is None or not self._ib.client.isConnected():
            raise LinkDown("there is no connection to the gateway")
        return self._ib

    def _need_ear(self) -> Ear:
        if self._ear is None:
            raise LinkDown("there is no connection to the gateway")
        return self._ear

    # --- contracts and data ---

    async def qualify(self, symbol: str) -> Contract:
        return await self._contracts.qualify(self._need_session(), symbol)

    def any_contract(self) -> Contract | None:
        """One of the contracts of this session: US stocks share their regular hours."""
        return self._contracts.any()

    async def subscribe(self, symbol: str) -> None:
        if symbol in self._tickers:
            return
        contract = ib_convert.contract_to_ib(await self.qualify(symbol))
        await self.pacer.turn(Priority.DATA)
        ib = self._need_session()
        if symbol not in self._tickers:
            self._tickers[symbol] = contract
            ib.reqMktData(contract, "", False, False)

    async def unsubscribe(self, symbol: str) -> None:
        contract = self._tickers.pop(symbol, None)
        if contract is not None and self._ib is not None:
            await self.pacer.turn(Priority.DATA)
            self._need_session().cancelMktData(contract)

    def _no_line(self, symbol: str) -> None:
        """Only for a stream that we believe in: an answer may come for one that was given up meanwhile."""
        if self._tickers.pop(symbol, None) is not None:
            self._on_no_line(symbol)

    async def history(self, symbol: str, minutes: int) -> Sequence[Bar]:
        """Completed one-minute bars of the last `minutes`, oldest first."""
        contract = ib_convert.contract_to_ib(await self.qualify(symbol))
        await self._contracts.history_turn()
        ib = self._need_session()
        duration = f"{minutes * 60} S" if minutes <= 1440 else f"{-(-minutes // 1440)} D"
        rows = await ib.reqHistoricalDataAsync(
            contract, "", duration, "1 min", "TRADES", False, 2, False, [], self.settings.request_timeout * 4
        )
        return ib_convert.bars(symbol, rows, before=utc_now())

    def _on_tickers(self, tickers: Any) -> None:
        try:
            now = utc_now()
            for ticker in tickers:
                self.listener.on_tick(ib_convert.tick(ib_convert.symbol_from_ib(ticker.contract.symbol), ticker, received_at=now))
        except Exception as error:  # eventkit would swallow it
            log.exception("a tick could not be handed over")
            self._on_fault("tick", error)

    # --- orders ---

    def reserve_ids(self, count: int, *, above: int = 0) -> list[int]:
        client = self._need_session().client
        client.updateReqId(above + 1)
        return [int(client.getReqId()) for _ in range(count)]

    async def send(self, tickets: Sequence[OrderTicket]) -> None:
        """Write a whole family in one go: parent first, the last one transmits. Raises NothingWritten before the first byte,
        PartlyWritten after it."""
        with _before_the_first_byte():
            orders = [(t, ib_convert.contract_to_ib(t.contract), ib_convert.ticket_to_ib(t)) for t in tickets]
            await self.pacer.turn(Priority.ORDER, len(orders))
            self._need_healthy_link()
            self._before_send(tickets)
            failpoint("wire.begin")
            ear = self._need_ear()
        for number, (ticket, contract, order) in enumerate(orders, 1):
            try:
                ear.remember(ticket, self.settings.client_id)
                self._ib.client.placeOrder(ticket.ib_order_id, contract, order)
                failpoint("wire.leg")
            except Exception as error:
                raise PartlyWritten(f"{type(error).__name__}: {error}", [later.ib_order_id for later in tickets[number:]]) from error

    async def modify(self, ticket: OrderTicket, *, routine: bool = False) -> None:
        """The same id again is a modify; the whole order is resent. Raises NothingWritten before the first byte."""
        with _before_the_first_byte():
            contract, order = ib_convert.contract_to_ib(ticket.contract), ib_convert.ticket_to_ib(ticket)
            await self.pacer.turn(Priority.MOVE if routine else Priority.ORDER)
            self._need_healthy_link()
            self._before_send((ticket,))
        self._ib.client.placeOrder(ticket.ib_order_id, contract, order)
        failpoint("wire.modified")

    async def cancel(self, ib_order_id: int) -> None:
        """A cancel is a request, and allowed on any living socket."""
        await self.pacer.turn(Priority.ORDER)
        self._need_session().client.cancelOrder(ib_order_id, "")
        failpoint("wire.cancelled")

    def line_room(self, *, routine: bool = False) -> int:
        return self.pacer.room(Priority.MOVE if routine else Priority.ORDER)

    async def line_free(self, *, routine: bool = False) -> None:
        await self.pacer.until_room(Priority.MOVE if routine else Priority.ORDER)

    async def what_if(self, ticket: OrderTicket) -> MarginEffect | None:
        """Ask IB what the order would do to margin, without placing it; None when it does not answer with numbers."""
        contract, order = ib_convert.contract_to_ib(ticket.contract), ib_convert.ticket_to_ib(ticket)
        order.whatIf, order.transmit, order.parentId = True, True, 0
        await self.pacer.turn(Priority.QUERY)
        ib = self._need_session()
        request = int(ib.client.getReqId())
        order.orderId = request
        answer = ib.wrapper.startReq(request)
        ib.client.placeOrder(request, contract, order)
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError, ConnectionError):
            state = await asyncio.wait_for(answer, self.settings.request_timeout)
            return _margin_effect(state)
        return None

    def _need_healthy_link(self) -> None:
        self._need_session()
        if self._link is not LinkState.CONNECTED:
            raise LinkDown(f"the link is {self._link.value}")


@contextlib.contextmanager
def _before_the_first_byte() -> Iterator[None]:
    """Whatever breaks in here has told the broker nothing: a certainty that the order's row must not lose."""
    try:
        yield
    except NothingWritten:
        raise
    except Exception as error:
        raise NothingWritten(f"it broke before anything was written: {error}") from error


def _margin_effect(state: Any) -> MarginEffect | None:
    initial = ib_convert.number(getattr(state, "initMarginChange", None))
    maintenance = ib_convert.number(getattr(state, "maintMarginChange", None))
    if initial is None or maintenance is None:
        return None
    return MarginEffect(
        initial_change=initial,
        maintenance_change=maintenance,
        equity_after=ib_convert.number(state.equityWithLoanAfter),
        commission=ib_convert.number(state.commission),
    )
