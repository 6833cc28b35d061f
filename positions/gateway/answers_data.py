"""Answers to requests for contracts and market data."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from positions.gateway import history
from positions.gateway import messages_out as out
from positions.gateway.contracts import RULES, NoContract
from positions.gateway.market import SymbolInfo
from positions.gateway.messages_in import Request
from positions.gateway.pacing import MARKET_DATA_LINES, TICK_BY_TICK_LINES
from positions.gateway.session import Handler, Session
from positions.gateway.streams import KINDS, BarLine, Line, TickLine
from positions.gateway.wire import Incoming

NO_DATA = "Historical Market Data Service error message:HMDS query returned no data"


def _contract(session: Session, request: Request) -> SymbolInfo | None:
    """The contract meant, or None after an error has been sent."""
    try:
        return session.gateway.broker.contracts.resolve(request.contract)
    except NoContract as error:
        session.error(request["reqId"], error.code, error.text)
        return None


def _contract_details(session: Session, request: Request) -> None:
    """One row for each stock that is meant: two of them are the client's ambiguity to solve."""
    contracts = session.gateway.broker.contracts
    try:
        by_id = request.contract["conId"] not in ("", "0")
        found = [contracts.resolve(request.contract)] if by_id else contracts.candidates(request.contract)
    except NoContract as error:
        session.error(request["reqId"], error.code, error.text)
        return
    for info in found:
        card = contracts.card(info, request.contract["exchange"], session.gateway.now())
        session.send(out.contract_details(session.version, request["reqId"], card))
    session.send(out.message("contractDetailsEnd", request["reqId"]))


def _matching_symbols(session: Session, request: Request) -> None:
    rows = [
        (info.con_id, info.symbol, "STK", info.primary_exchange, "USD", info.name)
        for info in session.gateway.broker.contracts.matching(request["pattern"])
    ]
    session.send(out.symbol_samples(session.version, request["reqId"], rows))


def _market_rule(session: Session, request: Request) -> None:
    rule = RULES.get(request["ruleId"])
    if rule is None:
        session.error(out.SYSTEM, 321, "Error validating request.-'bW' : cause - Invalid market rule id")
        return
    session.send(out.market_rule(request["ruleId"], rule))


def _option_parameters(session: Session, request: Request) -> None:
    """The simulated market lists no options: an empty answer."""
    session.send(out.message("securityDefinitionOptionParameterEnd", request["reqId"]))


def _market_data(session: Session, request: Request) -> None:
    info = _contract(session, request)
    request_id, streams = request["reqId"], session.streams
    if info is None:
        return
    if request_id in streams.lines:
        session.error(request_id, 102, "Duplicate ticker ID")
        return
    refusal = session.gateway.data_refusal(session, info.symbol)
    if refusal is not None:
        session.error(request_id, *refusal)
        return
    quote = session.gateway.shown_quote(info.symbol)
    generic = frozenset(request["genericTicks"].replace(" ", "").split(","))
    if request["snapshot"] or request["regulatorySnapshot"]:
        streams.begin(request_id, info.symbol)
        streams.send_quote(request_id, Line(symbol=info.symbol, generic=generic), quote, full=True)
        session.send(out.message("tickSnapshotEnd", request_id))
        return
    if len(streams.lines) >= session.gateway.line_limit:
        session.error(request_id, 101, "Max number of tickers has been reached")
        return
    if session.gateway.is_delayed(info.symbol):
        session.error(request_id, 10167, "Requested market data is not subscribed. Displaying delayed market data.")
    streams.open_line(request_id, info.symbol, generic, quote)


def _cancel_market_data(session: Session, request: Request) -> None:
    if session.streams.lines.pop(request["reqId"], None) is None:
        session.error(request["reqId"], 300, f"Can't find EId with tickerId:{request['reqId']}")


def _market_data_type(session: Session, request: Request) -> None:
    session.market_data_type = request["type"] if request["type"] in (1, 2, 3, 4) else 1


def _tick_by_tick(session: Session, request: Request) -> None:
    info = _contract(session, request)
    kind = KINDS.get(request["tickType"])
    if info is None:
        return
    if kind is None:
        session.error(request["reqId"], 321, "Error validating request.-'bW' : cause - Invalid tick type")
        return
    if len(session.streams.ticks) >= TICK_BY_TICK_LINES:
        session.error(request["reqId"], 10190, "Max number of tick-by-tick requests has been reached")
        return
    session.streams.ticks[request["reqId"]] = TickLine(symbol=info.symbol, kind=kind)


def _real_time_bars(session: Session, request: Request) -> None:
    info = _contract(session, request)
    if info is None:
        return
    if len(session.streams.bars) >= MARKET_DATA_LINES:
        session.error(request["reqId"], 101, "Max number of tickers has been reached")
        return
    session.streams.bars[request["reqId"]] = BarLine(symbol=info.symbol, query=None, last_start=int(session.gateway.now()))


def _historical_data(session: Session, request: Request) -> None:
    info = _contract(session, request)
    if info is None:
        return
    gateway, request_id = session.gateway, request["reqId"]
    refusal = gateway.refuse_history(info.symbol)
    if refusal is not None:
        session.error(request_id, *refusal)
        return
    try:
        query = history.parse_query(request, gateway.now(), session.moment, forced=bool(gateway.time_form))
    except history.BadHistory as error:
        session.error(request_id, 321, f"Error validating request.-'bW' : cause - {error}")
        return
    bars = history.bars_for(gateway.broker.prices, info.symbol, query, gateway.now())
    if not bars:
        session.error(request_id, 162, NO_DATA)
        return
    rows = [history.bar_row(query, bar) for bar in bars]
    session.send(out.historical_data(request_id, session.moment(query.begin), session.moment(query.end), rows))
    if request["keepUpToDate"]:
        session.streams.bars[request_id] = BarLine(symbol=info.symbol, query=query)


def _cancel_historical_data(session: Session, request: Request) -> None:
    if session.streams.bars.pop(request["reqId"], None) is not None:
        text = f"Historical Market Data Service error message:API historical data query cancelled: {request['reqId']}"
        session.error(request["reqId"], 162, text)


def _head_timestamp(session: Session, request: Request) -> None:
    if _contract(session, request) is None:
        return
    first = datetime(2000, 1, 3, 14, 30, tzinfo=UTC)
    text = str(int(first.timestamp())) if request["formatDate"] == 2 else session.moment(first.timestamp())
    session.send(out.message("headTimestamp", request["reqId"], text))


def _current_time(session: Session, _request: Request) -> None:
    session.send(out.message("currentTime", int(time.time())))  # the wall's, however fast the market runs


def _dropper(name: str) -> Callable[[Session, Request], None]:
    def drop(session: Session, request: Request) -> None:
        getattr(session.streams, name).pop(request["reqId"], None)

    return drop


def _nothing(_session: Session, _request: Request) -> None:
    """A request that needs no answer."""


HANDLERS: dict[Incoming, Handler] = {
    Incoming.REQ_CONTRACT_DETAILS: _contract_details,
    Incoming.REQ_MATCHING_SYMBOLS: _matching_symbols,
    Incoming.REQ_MARKET_RULE: _market_rule,
    Incoming.REQ_SEC_DEF_OPT_PARAMS: _option_parameters,
    Incoming.REQ_MKT_DATA: _market_data,
    Incoming.CANCEL_MKT_DATA: _cancel_market_data,
    Incoming.REQ_MARKET_DATA_TYPE: _market_data_type,
    Incoming.REQ_TICK_BY_TICK: _tick_by_tick,
    Incoming.CANCEL_TICK_BY_TICK: _dropper("ticks"),
    Incoming.REQ_REAL_TIME_BARS: _real_time_bars,
    Incoming.CANCEL_REAL_TIME_BARS: _dropper("bars"),
    Incoming.REQ_HISTORICAL_DATA: _historical_data,
    Incoming.CANCEL_HISTORICAL_DATA: _cancel_historical_data,
    Incoming.REQ_HEAD_TIMESTAMP: _head_timestamp,
    Incoming.CANCEL_HEAD_TIMESTAMP: _nothing,
    Incoming.REQ_CURRENT_TIME: _current_time,
    Incoming.START_API: _nothing,
}
