"""Builds every server message but openOrder and completedOrder, by table. One row: message id, version field, field count.

Field counts matter: official ibapi drops a table-driven message of another length silently, and ib_insync logs and
drops. `message(name, version, *fields)` therefore refuses a wrong count at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from positions.gateway.wire import encode_frame

SYSTEM = -1  # request id of messages that answer no request


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`count` is the number of fields after id and version word; None where the message has a variable part."""

    id: int
    version: str = ""
    count: int | None = None


LAYOUTS: dict[str, Layout] = {
    "tickPrice": Layout(id=1, version="6", count=5),
    "tickSize": Layout(id=2, version="6", count=3),
    "orderStatus": Layout(id=3, count=11),
    "updateAccountValue": Layout(id=6, version="2", count=4),
    "updatePortfolio": Layout(id=7, version="8", count=18),
    "updateAccountTime": Layout(id=8, version="1", count=1),
    "nextValidId": Layout(id=9, version="1", count=1),
    "execDetails": Layout(id=11, count=30),
    "managedAccounts": Layout(id=15, version="1", count=1),
    "historicalData": Layout(id=17),
    "tickGeneric": Layout(id=45, version="6", count=3),
    "tickString": Layout(id=46, version="6", count=3),
    "currentTime": Layout(id=49, version="1", count=1),
    "realtimeBar": Layout(id=50, version="3", count=9),
    "contractDetailsEnd": Layout(id=52, version="1", count=1),
    "openOrderEnd": Layout(id=53, version="1", count=0),
    "accountDownloadEnd": Layout(id=54, version="1", count=1),
    "execDetailsEnd": Layout(id=55, version="1", count=1),
    "tickSnapshotEnd": Layout(id=57, version="1", count=1),
    "marketDataType": Layout(id=58, version="1", count=2),
    "commissionReport": Layout(id=59, version="1", count=6),
    "position": Layout(id=61, version="3", count=14),
    "positionEnd": Layout(id=62, version="1", count=0),
    "accountSummary": Layout(id=63, version="1", count=5),
    "accountSummaryEnd": Layout(id=64, version="1", count=1),
    "accountUpdateMulti": Layout(id=73, version="1", count=6),
    "accountUpdateMultiEnd": Layout(id=74, version="1", count=1),
    "securityDefinitionOptionParameterEnd": Layout(id=76, count=1),
    "symbolSamples": Layout(id=79),
    "tickReqParams": Layout(id=81, count=4),
    "headTimestamp": Layout(id=88, count=2),
    "historicalDataUpdate": Layout(id=90, count=9),
    "marketRule": Layout(id=93),
    "pnl": Layout(id=94, count=4),
    "pnlSingle": Layout(id=95, count=6),
    "tickByTick": Layout(id=99),
    "orderBound": Layout(id=100, count=3),
    "completedOrdersEnd": Layout(id=102, count=0),
}


def message(name: str, *fields: object) -> bytes:
    """A frame of the named message. Raises ValueError when the number of fields is not the table's."""
    layout = LAYOUTS[name]
    if layout.count is not None and len(fields) != layout.count:
        raise ValueError(f"{name} takes {layout.count} fields, not {len(fields)}")
    head: tuple[object, ...] = (layout.id, layout.version) if layout.version else (layout.id,)
    return encode_frame(head + fields)


def error(version: int, request_id: int, code: int, text: str) -> bytes:
    """An error or notice. From server version 166 on it carries a (here empty) JSON reject reason."""
    fields: list[object] = [4, 2, request_id, code, text]
    return encode_frame([*fields, ""] if version >= 166 else fields)


def greeting(version: int, connection_time: str) -> bytes:
    """The only message before startApi; anything sent along with it is lost by official clients."""
    return encode_frame([version, connection_time])


def historical_data(request_id: int, start: str, end: str, bars: Sequence[Sequence[object]]) -> bytes:
    """`bars` rows are date, open, high, low, close, volume, wap, count."""
    return message("historicalData", request_id, start, end, len(bars), *(field for bar in bars for field in bar))


def symbol_samples(version: int, request_id: int, rows: Sequence[tuple[int, str, str, str, str, str]]) -> bytes:
    """`rows` are con id, symbol, security type, primary exchange, currency, description."""
    fields: list[object] = []
    for *contract, description in rows:
        fields += [*contract, 1, "OPT"]
        if version >= 176:
            fields += [description, ""]
    return message("symbolSamples", request_id, len(rows), *fields)


def market_rule(rule_id: int, increments: Iterable[tuple[float, float]]) -> bytes:
    """`increments` are (low edge of the price band, tick) pairs, ascending."""
    pairs = list(increments)
    return message("marketRule", rule_id, len(pairs), *(number for pair in pairs for number in pair))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCard:
    """What contractDetails says of a stock."""

    symbol: str
    con_id: int
    exchange: str
    primary_exchange: str
    min_tick: float
    order_types: str
    valid_exchanges: str
    market_rule_ids: str
    long_name: str
    industry: str
    category: str
    subcategory: str
    time_zone: str
    trading_hours: str
    liquid_hours: str
    isin: str


def contract_details(version: int, request_id: int, card: ContractCard) -> bytes:
    """contractDetails (10) of a stock. Versions below 164 carry a version word and a size multiplier, later ones sizes."""
    old = version < 164
    fields: list[object] = [10, *(["8"] if old else []), request_id]
    fields += [card.symbol, "STK", "", 0, "", card.exchange, "USD", card.symbol, "NMS", "NMS", card.con_id, card.min_tick]
    fields += ["100"] if old else []
    fields += ["", card.order_types, card.valid_exchanges, 1, 0, card.long_name, card.primary_exchange, ""]
    fields += [card.industry, card.category, card.subcategory, card.time_zone, card.trading_hours, card.liquid_hours]
    fields += ["", 0, 1, "ISIN", card.isin, 1, "", "", card.market_rule_ids, "", "COMMON"]
    fields += [] if old else [1, 1, 100]
    return encode_frame(fields)
