"""Answers to requests about the account: values, portfolio, positions, profit and loss, executions."""

from __future__ import annotations

from datetime import UTC, datetime

from events.accounts import SIMULATED_ACCOUNT
from positions.gateway import messages_out as out
from positions.gateway.account import Holding
from positions.gateway.messages_in import Request
from positions.gateway.pacing import SUMMARY_SUBSCRIPTIONS
from positions.gateway.reports import commission_frame, contract_fields, execution_frame
from positions.gateway.session import Handler, Session
from positions.gateway.store import Execution
from positions.gateway.wire import Incoming

_BASE_ONLY = frozenset({"RealizedPnL", "UnrealizedPnL", "TotalCashValue"})
_UNITLESS = frozenset({"Cushion"})
_LEDGER = {
    "CashBalance": "TotalCashValue",
    "TotalCashBalance": "TotalCashValue",
    "StockMarketValue": "StockMarketValue",
    "NetLiquidationByCurrency": "NetLiquidation",
    "UnrealizedPnL": "UnrealizedPnL",
    "RealizedPnL": "RealizedPnL",
}
ACCOUNT_UPDATES, POSITIONS, SUMMARY, PNL, PNL_SINGLE, MULTI = "account", "positions", "summary", "pnl", "pnl_single", "multi"


def value_rows(session: Session) -> list[tuple[str, str, str]]:
    """(tag, value, currency) of everything account updates report."""
    numbers = session.gateway.broker.account.values(session.gateway.broker.last)
    rows = [("AccountCode", SIMULATED_ACCOUNT, ""), ("AccountType", "INDIVIDUAL", ""), ("AccountReady", "true", "")]
    rows += [("Currency", "BASE", "BASE"), ("DayTradesRemaining", "-1", ""), ("ExchangeRate", "1.00", "USD")]
    rows += [
        (tag, f"{value:.2f}" if tag not in _UNITLESS else f"{value:.6f}", "" if tag in _UNITLESS else "USD")
        for tag, value in numbers.items()
    ]
    rows += [
        (tag, f"{numbers[name]:.2f}", currency)
        for tag, name in _LEDGER.items()
        for currency in ("BASE", "USD")
        if (tag, currency) not in _SAME
    ]
    return rows


_SAME = frozenset({("UnrealizedPnL", "USD"), ("RealizedPnL", "USD"), ("StockMarketValue", "USD")})


def send_account(session: Session) -> None:
    """Account values and portfolio, as a subscription pushes them."""
    with session.transport.together():
        for tag, value, currency in value_rows(session):
            session.send(out.message("updateAccountValue", tag, value, currency, SIMULATED_ACCOUNT))
        for holding in session.gateway.broker.holdings():
            _send_portfolio(session, holding)
        session.send(out.message("updateAccountTime", f"{datetime.fromtimestamp(session.gateway.now(), UTC):%H:%M}"))


def send_position(session: Session, holding: Holding) -> None:
    info = session.gateway.broker.contracts.info(holding.symbol)
    fields = contract_fields(info, info.primary_exchange)
    session.send(out.message("position", SIMULATED_ACCOUNT, *fields, holding.quantity, holding.average_cost))


def send_profit(session: Session, request_id: int) -> None:
    account, last = session.gateway.broker.account, session.gateway.broker.last
    amounts = (account.daily(last), account.unrealized(last), account.realized_today)
    session.send(out.message("pnl", request_id, *(round(amount, 4) for amount in amounts)))


def send_profit_single(session: Session, request_id: int, con_id: int) -> None:
    broker = session.gateway.broker
    for holding in broker.account.holdings.values():
        if broker.contracts.info(holding.symbol).con_id != con_id:
            continue
        price = broker.last(holding.symbol)
        unrealized = holding.quantity * (price - holding.average_cost)
        amounts = (unrealized + holding.realized_today, unrealized, holding.realized_today, holding.quantity * price)
        session.send(out.message("pnlSingle", request_id, holding.quantity, *(round(amount, 4) for amount in amounts)))
        return
    session.send(out.message("pnlSingle", request_id, 0, 0, 0, 0, 0))


def _account_updates(session: Session, request: Request) -> None:
    if not request["subscribe"]:
        session.account_requests.pop((ACCOUNT_UPDATES, 0), None)
        return
    if request["account"] not in ("", SIMULATED_ACCOUNT):
        session.error(out.SYSTEM, 321, "Error validating request.-'bW' : cause - Invalid account code")
        return
    session.account_requests[ACCOUNT_UPDATES, 0] = ""
    send_account(session)
    session.send(out.message("accountDownloadEnd", SIMULATED_ACCOUNT))


def _account_updates_multi(session: Session, request: Request) -> None:
    for tag, value, currency in value_rows(session):
        session.send(out.message("accountUpdateMulti", request["reqId"], SIMULATED_ACCOUNT, request["model"], tag, value, currency))
    session.send(out.message("accountUpdateMultiEnd", request["reqId"]))


def _summary(session: Session, request: Request) -> None:
    request_id = request["reqId"]
    subscribed = [key for key in session.account_requests if key[0] == SUMMARY]
    if (SUMMARY, request_id) not in session.account_requests and len(subscribed) >= SUMMARY_SUBSCRIPTIONS:
        session.error(request_id, 322, "Error processing request.-'bS' : cause - Maximum number of account summary requests exceeded")
        return
    session.account_requests[SUMMARY, request_id] = request["tags"]
    send_summary(session, request_id, request["tags"])
    session.send(out.message("accountSummaryEnd", request_id))


def send_summary(session: Session, request_id: int, tags: str) -> None:
    wanted = set(tags.split(","))
    ledger = any(tag.startswith("$LEDGER") for tag in wanted)
    for tag, value, currency in value_rows(session):
        if tag in wanted or (ledger and tag in _LEDGER):
            session.send(out.message("accountSummary", request_id, SIMULATED_ACCOUNT, tag, value, currency))


def _positions(session: Session, _request: Request) -> None:
    session.account_requests[POSITIONS, 0] = ""
    for holding in session.gateway.broker.holdings():
        if holding.quantity:
            send_position(session, holding)
    session.send(out.message("positionEnd"))


def _profit(session: Session, request: Request) -> None:
    session.account_requests[PNL, request["reqId"]] = ""
    send_profit(session, request["reqId"])


def _profit_single(session: Session, request: Request) -> None:
    session.account_requests[PNL_SINGLE, request["reqId"]] = str(request["conId"])
    send_profit_single(session, request["reqId"], request["conId"])


def _executions(session: Session, request: Request) -> None:
    broker = session.gateway.broker
    for execution in broker.executions:
        if _wanted(request, execution):
            moment = session.moment(execution.at)
            session.send(execution_frame(execution, broker.contracts.info(execution.symbol), moment, request["reqId"]))
            session.send(commission_frame(execution))
    session.send(out.message("execDetailsEnd", request["reqId"]))


def _wanted(request: Request, execution: Execution) -> bool:
    side = {"BUY": "BUY", "BOT": "BUY", "SELL": "SELL", "SLD": "SELL"}.get(request["side"].upper(), "")
    moment = f"{datetime.fromtimestamp(execution.at, UTC):%Y%m%d-%H:%M:%S}"
    return (
        request["clientId"] in (0, execution.client_id)
        and request["symbol"] in ("", execution.symbol)
        and side in ("", execution.side)
        and request["account"] in ("", SIMULATED_ACCOUNT)
        and moment >= request["time"].replace("  ", "-").replace(" ", "-")
    )


def _managed_accounts(session: Session, _request: Request) -> None:
    session.send(out.message("managedAccounts", SIMULATED_ACCOUNT))


def _send_portfolio(session: Session, holding: Holding) -> None:
    broker = session.gateway.broker
    info, price = broker.contracts.info(holding.symbol), broker.last(holding.symbol)
    unrealized = holding.quantity * (price - holding.average_cost)
    session.send(
        out.message(
            "updatePortfolio",
            *(info.con_id, info.symbol, "STK", "", 0, "0", "", info.primary_exchange, "USD", info.symbol, "NMS"),
            *(holding.quantity, price, round(holding.quantity * price, 4), holding.average_cost),
            *(round(unrealized, 4), round(holding.realized_today, 4), SIMULATED_ACCOUNT),
        )
    )


def _canceller(kind: str) -> Handler:
    def cancel(session: Session, request: Request) -> None:
        session.account_requests.pop((kind, request.values.get("reqId", 0)), None)

    return cancel


HANDLERS: dict[Incoming, Handler] = {
    Incoming.REQ_ACCOUNT_UPDATES: _account_updates,
    Incoming.REQ_ACCOUNT_UPDATES_MULTI: _account_updates_multi,
    Incoming.CANCEL_ACCOUNT_UPDATES_MULTI: _canceller(MULTI),
    Incoming.REQ_ACCOUNT_SUMMARY: _summary,
    Incoming.CANCEL_ACCOUNT_SUMMARY: _canceller(SUMMARY),
    Incoming.REQ_POSITIONS: _positions,
    Incoming.CANCEL_POSITIONS: _canceller(POSITIONS),
    Incoming.REQ_PNL: _profit,
    Incoming.CANCEL_PNL: _canceller(PNL),
    Incoming.REQ_PNL_SINGLE: _profit_single,
    Incoming.CANCEL_PNL_SINGLE: _canceller(PNL_SINGLE),
    Incoming.REQ_EXECUTIONS: _executions,
    Incoming.REQ_MANAGED_ACCTS: _managed_accounts,
}
