"""Parses client requests (all but placeOrder's body) by table, strictly: every field consumed, none left over.

One row of LAYOUTS is one message: its fields after the id, in wire order. A name is text unless a suffix says
`:i` integer, `:f` number, `:b` flag. `@contract` stands for the twelve contract fields, other `@` words for the
conditional groups that only combination contracts carry. `>=176 name` fields exist from that server version on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from positions.gateway.wire import Incoming, WireError

CONTRACT_FIELDS = (
    "conId",
    "symbol",
    "secType",
    "lastTradeDateOrContractMonth",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "primaryExchange",
    "currency",
    "localSymbol",
    "tradingClass",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One parsed request. `values` maps field name → typed value; `contract` has the twelve contract fields as text."""

    kind: Incoming
    values: Mapping[str, Any]
    contract: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


class FieldReader:
    """Takes fields from the left, typed, and refuses to end with some left over."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    def text(self) -> str:
        if self._at >= len(self._fields):
            raise WireError(f"message ends after {self._at} fields, more expected")
        self._at += 1
        return self._fields[self._at - 1]

    def integer(self) -> int:
        text = self.text()
        try:
            return int(text) if text else 0
        except ValueError as error:
            raise WireError(f"field {self._at}: {text[:40]!r} is not an integer") from error

    def number(self) -> float:
        text = self.text()
        try:
            value = float(text) if text else 0.0
        except ValueError as error:
            raise WireError(f"field {self._at}: {text[:40]!r} is not a number") from error
        if not math.isfinite(value):
            raise WireError(f"field {self._at}: {text[:40]!r} is not finite")
        return value

    def flag(self) -> bool:
        text = self.text()
        if text not in ("0", "1", "", "true", "false", "True", "False"):
            raise WireError(f"field {self._at}: {text[:40]!r} is not a flag")
        return text in ("1", "true", "True")

    def contract(self) -> dict[str, str]:
        return {name: self.text() for name in CONTRACT_FIELDS}

    def skip(self, count: int) -> list[str]:
        return [self.text() for _ in range(count)]

    def finish(self) -> None:
        left = len(self._fields) - self._at
        if left:
            raise WireError(f"{left} unexpected fields after field {self._at}")


LAYOUTS: dict[Incoming, tuple[str, ...]] = {
    Incoming.REQ_MKT_DATA: (
        "version:i",
        "reqId:i",
        "@contract",
        "@bag_legs",
        "@delta_neutral",
        "genericTicks",
        "snapshot:b",
        "regulatorySnapshot:b",
        "options",
    ),
    Incoming.CANCEL_MKT_DATA: ("version:i", "reqId:i"),
    Incoming.CANCEL_ORDER: ("version:i", "orderId:i", ">=169 manualCancelTime"),
    Incoming.REQ_OPEN_ORDERS: ("version:i",),
    Incoming.REQ_ACCOUNT_UPDATES: ("version:i", "subscribe:b", "account"),
    Incoming.REQ_EXECUTIONS: (
        "version:i",
        "reqId:i",
        "clientId:i",
        "account",
        "time",
        "symbol",
        "secType",
        "exchange",
        "side",
    ),
    Incoming.REQ_IDS: ("version:i", "count:i"),
    Incoming.REQ_CONTRACT_DETAILS: (
        "version:i",
        "reqId:i",
        "@contract",
        "includeExpired:b",
        "secIdType",
        "secId",
        ">=176 issuerId",
    ),
    Incoming.REQ_AUTO_OPEN_ORDERS: ("version:i", "bind:b"),
    Incoming.REQ_ALL_OPEN_ORDERS: ("version:i",),
    Incoming.REQ_MANAGED_ACCTS: ("version:i",),
    Incoming.REQ_HISTORICAL_DATA: (
        "reqId:i",
        "@contract",
        "includeExpired:b",
        "endDateTime",
        "barSize",
        "duration",
        "useRth:b",
        "whatToShow",
        "formatDate:i",
        "@bag_legs",
        "keepUpToDate:b",
        "options",
    ),
    Incoming.CANCEL_HISTORICAL_DATA: ("version:i", "reqId:i"),
    Incoming.REQ_CURRENT_TIME: ("version:i",),
    Incoming.REQ_REAL_TIME_BARS: (
        "version:i",
        "reqId:i",
        "@contract",
        "barSize:i",
        "whatToShow",
        "useRth:b",
        "options",
    ),
    Incoming.CANCEL_REAL_TIME_BARS: ("version:i", "reqId:i"),
    Incoming.REQ_GLOBAL_CANCEL: ("version:i",),
    Incoming.REQ_MARKET_DATA_TYPE: ("version:i", "type:i"),
    Incoming.REQ_POSITIONS: ("version:i",),
    Incoming.CANCEL_POSITIONS: ("version:i",),
    Incoming.REQ_ACCOUNT_SUMMARY: ("version:i", "reqId:i", "group", "tags"),
    Incoming.CANCEL_ACCOUNT_SUMMARY: ("version:i", "reqId:i"),
    Incoming.START_API: ("version:i", "clientId:i", "optionalCapabilities"),
    Incoming.REQ_ACCOUNT_UPDATES_MULTI: ("version:i", "reqId:i", "account", "model", "ledgerAndNlv:b"),
    Incoming.CANCEL_ACCOUNT_UPDATES_MULTI: ("version:i", "reqId:i"),
    Incoming.REQ_SEC_DEF_OPT_PARAMS: ("reqId:i", "symbol", "futFopExchange", "secType", "conId:i"),
    Incoming.REQ_MATCHING_SYMBOLS: ("reqId:i", "pattern"),
    Incoming.REQ_HEAD_TIMESTAMP: ("reqId:i", "@contract", "includeExpired:b", "useRth:b", "whatToShow", "formatDate:i"),
    Incoming.CANCEL_HEAD_TIMESTAMP: ("reqId:i",),
    Incoming.REQ_MARKET_RULE: ("ruleId:i",),
    Incoming.REQ_PNL: ("reqId:i", "account", "model"),
    Incoming.CANCEL_PNL: ("reqId:i",),
    Incoming.REQ_PNL_SINGLE: ("reqId:i", "account", "model", "conId:i"),
    Incoming.CANCEL_PNL_SINGLE: ("reqId:i",),
    Incoming.REQ_TICK_BY_TICK: ("reqId:i", "@contract", "tickType", "numberOfTicks:i", "ignoreSize:b"),
    Incoming.CANCEL_TICK_BY_TICK: ("reqId:i",),
    Incoming.REQ_COMPLETED_ORDERS: ("apiOnly:b",),
}


# Requests that IB serves and this gateway does not: message id → the place of its request id among the fields.
_UNSERVED = {10: 2, 11: 2, 12: 0, 18: 0, 21: 2, 22: 1, 23: 2, 24: 0, 52: 2, 53: 2, 54: 2, 55: 2, 56: 2, 57: 2, 69: 1, 70: 1}
_UNSERVED |= {72: 2, 73: 2, 79: 1, 80: 0, 82: 0, 83: 1, 84: 1, 85: 0, 86: 1, 88: 1, 89: 1, 96: 1, 100: 1, 101: 1, 102: 1, 103: 1, 104: 1}


class NotServed(WireError):
    """A request that this gateway does not serve."""


def message_kind(fields: list[str]) -> Incoming:
    """The message id of a payload. Raises NotServed for one that is none of ours, WireError for one that is no number."""
    try:
        number = int(fields[0])
    except ValueError as error:
        raise WireError(f"unknown message id {fields[0][:40]!r}") from error
    try:
        return Incoming(number)
    except ValueError as error:
        raise NotServed(f"The request {number} is not simulated.") from error


def request_id(fields: list[str]) -> int:
    """The request or order id of a message that could not be carried out; -1 where it has none, or none that can be read."""
    try:
        number = int(fields[0])
        layout = next((words for kind, words in LAYOUTS.items() if kind == number), ())
        names = [word.partition(" ")[2].partition(":")[0] if word.startswith(">=") else word.partition(":")[0] for word in layout]
        place = 1 if number == Incoming.PLACE_ORDER else _UNSERVED.get(number, 0)
        place = next((names.index(name) + 1 for name in ("reqId", "orderId") if name in names), place)
        return int(fields[place]) if place else -1
    except (ValueError, IndexError):
        return -1


def parse_request(fields: list[str], server_version: int) -> Request:
    """Parses any request but placeOrder. Raises WireError when the fields are not exactly the layout's."""
    kind = message_kind(fields)
    layout = LAYOUTS.get(kind)
    if layout is None:
        raise WireError(f"message {kind} has a parser of its own")
    reader = FieldReader(fields[1:])
    values: dict[str, Any] = {}
    contract: dict[str, str] = {}
    for word in layout:
        if word == "@contract":
            contract = reader.contract()
        elif word.startswith("@"):
            _GROUPS[word](reader, contract)
        else:
            _read_field(word, reader, values, server_version)
    reader.finish()
    return Request(kind=kind, values=values, contract=contract)


def _read_field(word: str, reader: FieldReader, values: dict[str, Any], server_version: int) -> None:
    if word.startswith(">="):
        since, word = word[2:].split(" ")
        if server_version < int(since):
            return
    name, _, type_letter = word.partition(":")
    values[name] = _READERS[type_letter](reader)


def _bag_legs(reader: FieldReader, contract: Mapping[str, str]) -> None:
    if contract["secType"] == "BAG":
        reader.skip(4 * reader.integer())


def _delta_neutral(reader: FieldReader, contract: Mapping[str, str]) -> None:
    if reader.flag():
        reader.skip(3)


_READERS: dict[str, Callable[[FieldReader], Any]] = {
    "": FieldReader.text,
    "i": FieldReader.integer,
    "f": FieldReader.number,
    "b": FieldReader.flag,
}
_GROUPS: dict[str, Callable[[FieldReader, Mapping[str, str]], None]] = {
    "@bag_legs": _bag_legs,
    "@delta_neutral": _delta_neutral,
}
