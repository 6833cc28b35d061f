"""placeOrder in, openOrder and completedOrder out: the three long messages of the protocol.

The tables are in `order_layouts.py`. Parsed fields stay text under their names, so that what a
client sent is echoed as it sent it; `parse_place_order` returns them with the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from positions.gateway.messages_in import FieldReader
from positions.gateway.order_layouts import COMPLETED, CONDITION_FIELDS, GROUP_FIELDS, OPEN, PLACE
from positions.gateway.wire import UNSET_DOUBLE_TEXT, UNSET_INTEGER_TEXT, WireError

_UNSET_TEXTS = frozenset({"", UNSET_DOUBLE_TEXT, UNSET_INTEGER_TEXT, "1.7976931348623157e+308"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """A parsed placeOrder: all its fields as text, variable groups as joined text under their `@` names."""

    order_id: int
    contract: Mapping[str, str]
    fields: Mapping[str, str]

    def number(self, name: str) -> float | None:
        """A number, None when unset. Raises WireError when it is none or not finite."""
        return wire_number(self.fields.get(name, ""), name)

    def flag(self, name: str) -> bool:
        return self.fields.get(name, "") in ("1", "true", "True")


def wire_number(text: str, name: str) -> float | None:
    """A wire number; anything above 1e300 means unset, however the client spelt it."""
    if text in _UNSET_TEXTS:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise WireError(f"{name}: {text[:40]!r} is not a number") from error
    if value != value or value < -1e300:
        raise WireError(f"{name}: {text[:40]!r} is not finite")
    return None if value > 1e300 else value


def parse_place_order(fields: list[str], server_version: int) -> PlacedOrder:
    """Parses placeOrder (3), both versions. Raises WireError unless every field is consumed exactly."""
    reader = FieldReader(fields[1:])
    order_id = reader.integer()
    contract = reader.contract()
    values: dict[str, str] = {}
    for word in PLACE:
        if word.startswith("@"):
            _PLACE_GROUPS[word](reader, values, contract, server_version)
            continue
        since, _, name = word.rpartition(",")
        if not since or server_version >= int(since[2:]):
            values[name] = reader.text()
    reader.finish()
    return PlacedOrder(order_id=order_id, contract=contract, fields=values)


def open_order_fields(version: int, order_id: int, contract: list[object], values: Mapping[str, object]) -> list[object]:
    """openOrder (5). `values` maps field names to what to write; missing ones get the default TWS writes."""
    head: list[object] = [5, version, order_id] if version < 145 else [5, order_id]
    return [*head, *contract, *_write(OPEN, version, values)]


def completed_order_fields(version: int, contract: list[object], values: Mapping[str, object]) -> list[object]:
    """completedOrder (101), which has neither order id nor client id."""
    return [101, *contract, *_write(COMPLETED, version, values)]


def _write(table: list[str], version: int, values: Mapping[str, object]) -> Iterator[object]:
    for word in table:
        if word.startswith("@"):
            yield from _WRITE_GROUPS[word](values)
            continue
        since, _, rest = word.rpartition(",")
        if since and version < int(since[2:]):
            continue
        name, kind = rest.split(":")
        value = values.get(name, "")
        yield value if value not in _UNSET_TEXTS and value is not None else _DEFAULTS[kind]


_DEFAULTS: dict[str, object] = {
    "s": "",
    "b": "0",
    "i": "0",
    "I": UNSET_INTEGER_TEXT,
    "d": "0",
    "D": UNSET_DOUBLE_TEXT,
    "z": "0.0",  # a price of an order type that has none
    "x": "-1",
    "c": "IB",
    "a": "None",
    "n": "None",  # TWS writes this word, and both clients take it for a delta-neutral order
}


# Conditional groups of placeOrder


def _bag(reader: FieldReader, values: dict[str, str], contract: Mapping[str, str], _version: int) -> None:
    if contract["secType"] == "BAG":
        reader.skip(8 * reader.integer())
        reader.skip(reader.integer())
        reader.skip(2 * reader.integer())


def _when(name: str) -> Callable[[FieldReader, dict[str, str], Mapping[str, str], int], None]:
    def read(reader: FieldReader, values: dict[str, str], _contract: Mapping[str, str], _version: int) -> None:
        present = {
            "@delta_neutral_order": lambda: bool(values["deltaNeutralOrderType"]),
            "@scale": lambda: (wire_number(values["scalePriceIncrement"], "scalePriceIncrement") or 0) > 0,
            "@peg_bench": lambda: values["orderType"] == "PEG BENCH",
        }[name]()
        if present:
            values.update((field, reader.text()) for field in GROUP_FIELDS[name])

    return read


def _hedge(reader: FieldReader, values: dict[str, str], _contract: Mapping[str, str], _version: int) -> None:
    if values["hedgeType"]:
        values["hedgeParam"] = reader.text()


def _delta_neutral_contract(reader: FieldReader, values: dict[str, str], _c: Mapping[str, str], _v: int) -> None:
    if reader.flag():
        reader.skip(3)


def _algo(reader: FieldReader, values: dict[str, str], _contract: Mapping[str, str], _version: int) -> None:
    if values["algoStrategy"]:
        values["@algo"] = "\0".join(reader.skip(2 * reader.integer()))


def _conditions(reader: FieldReader, values: dict[str, str], _contract: Mapping[str, str], _version: int) -> None:
    count = reader.integer()
    taken: list[str] = [str(count)]
    for _ in range(count):
        kind = reader.integer()
        if kind not in CONDITION_FIELDS:
            raise WireError(f"unknown order condition {kind}")
        taken += [str(kind), *reader.skip(CONDITION_FIELDS[kind])]
    if count:
        taken += reader.skip(2)
    values["@conditions"] = "\0".join(taken)


def _pegged_170(reader: FieldReader, values: dict[str, str], contract: Mapping[str, str], version: int) -> None:
    if version < 170:
        return
    if contract["exchange"] == "IBKRATS":
        values["minTradeQty"] = reader.text()
    if values["orderType"] == "PEG BEST":
        values["minCompeteSize"] = reader.text()
        values["competeAgainstBestOffset"] = reader.text()
    up_to_mid = values.get("competeAgainstBestOffset") in ("inf", "Infinity", "Infinite")
    if values["orderType"] == "PEG MID" or up_to_mid:
        values["midOffsetAtWhole"] = reader.text()
        values["midOffsetAtHalf"] = reader.text()


_PLACE_GROUPS: dict[str, Callable[[FieldReader, dict[str, str], Mapping[str, str], int], None]] = {
    "@bag": _bag,
    "@delta_neutral_order": _when("@delta_neutral_order"),
    "@scale": _when("@scale"),
    "@hedge": _hedge,
    "@delta_neutral_contract": _delta_neutral_contract,
    "@algo": _algo,
    "@peg_bench": _when("@peg_bench"),
    "@conditions": _conditions,
    "@pegged_170": _pegged_170,
}


# Conditional groups of openOrder and completedOrder


def _write_algo(values: Mapping[str, object]) -> list[object]:
    if not values.get("algoStrategy"):
        return []
    parameters = str(values.get("@algo", "")).split("\0") if values.get("@algo") else []
    return [len(parameters) // 2, *parameters]


def _write_conditions(values: Mapping[str, object]) -> list[object]:
    return list(str(values.get("@conditions") or "0").split("\0"))


def _write_scale(values: Mapping[str, object]) -> list[object]:
    present = (wire_number(str(values.get("scalePriceIncrement", "")), "scalePriceIncrement") or 0) > 0
    return [values.get(name, "") for name in GROUP_FIELDS["@scale"]] if present else []


def _write_peg_bench(values: Mapping[str, object]) -> list[object]:
    return [values.get(name, "") for name in GROUP_FIELDS["@peg_bench"]] if values.get("orderType") == "PEG BENCH" else []


_WRITE_GROUPS: dict[str, Callable[[Mapping[str, object]], list[object]]] = {
    "@delta_neutral_8": lambda values: ["0", "", "", "", "?", "0", "0", ""],
    "@delta_neutral_4": lambda values: ["0", "0", "0", ""],
    "@legs": lambda values: ["0", "0", "0"],
    "@scale": _write_scale,
    "@hedge": lambda values: [values.get("hedgeParam", "")] if values.get("hedgeType") else [],
    "@no_delta_neutral": lambda values: ["0"],
    "@algo": _write_algo,
    "@peg_bench": _write_peg_bench,
    "@conditions": _write_conditions,
}
