"""placeOrder in, openOrder and completedOrder out: the three long layouts of the protocol, each as one table.

A word of a table is a field name with a kind after the colon: `s` text, `b` flag, `i` integer, `d` number; capital
`I` and `D` may be unset. `@` words are conditional groups. Parsed fields stay text under their names, so that what a
client sent is echoed as it sent it; `parse_place_order` returns them with the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from positions.gateway.messages_in import CONTRACT_FIELDS, FieldReader
from positions.gateway.wire import UNSET_DOUBLE_TEXT, UNSET_INTEGER_TEXT, WireError

_PLACE = """
secIdType secId action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef
transmit parentId blockOrder sweepToFill displaySize triggerMethod outsideRth hidden @bag sharesAllocation
discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage faProfile modelCode shortSaleSlot
designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset eTradeOnly firmQuoteOnly
nbboPriceCap auctionStrategy startingPrice stockRefPrice delta stockRangeLower stockRangeUpper
overridePercentageConstraints volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice @delta_neutral_order
continuousUpdate referencePriceType trailStopPrice trailingPercent scaleInitLevelSize scaleSubsLevelSize
scalePriceIncrement @scale scaleTable activeStartTime activeStopTime hedgeType @hedge optOutSmartRouting
clearingAccount clearingIntent notHeld @delta_neutral_contract algoStrategy @algo algoId whatIf orderMiscOptions
solicited randomizeSize randomizePrice @peg_bench @conditions adjustedOrderType triggerPrice lmtPriceOffset
adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit extOperator softDollarName
softDollarValue cashQty mifid2DecisionMaker mifid2DecisionAlgo mifid2ExecutionTrader mifid2ExecutionAlgo
dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo
>=158,duration >=160,postToAts >=162,autoCancelParent >=166,advancedErrorOverride >=169,manualOrderTime @pegged_170
""".split()

_OPEN = """
action:s totalQuantity:d orderType:s lmtPrice:z auxPrice:z tif:s ocaGroup:s account:s openClose:s origin:i orderRef:s
clientId:i permId:i outsideRth:b hidden:b discretionaryAmt:d goodAfterTime:s sharesAllocation:s faGroup:s faMethod:s
faPercentage:s faProfile:s modelCode:s goodTillDate:s rule80A:s percentOffset:D settlingFirm:s shortSaleSlot:i
designatedLocation:s exemptCode:x auctionStrategy:i startingPrice:D stockRefPrice:D delta:D stockRangeLower:D
stockRangeUpper:D displaySize:I blockOrder:b sweepToFill:b allOrNone:b minQty:I ocaType:i eTradeOnly:b firmQuoteOnly:b
nbboPriceCap:D parentId:i triggerMethod:i volatility:D volatilityType:i deltaNeutralOrderType:n deltaNeutralAuxPrice:D
@delta_neutral_8 continuousUpdate:b referencePriceType:i trailStopPrice:D trailingPercent:D basisPoints:D
basisPointsType:I comboLegsDescrip:s @legs scaleInitLevelSize:I scaleSubsLevelSize:I scalePriceIncrement:D @scale
hedgeType:s @hedge optOutSmartRouting:b clearingAccount:s clearingIntent:c notHeld:b @no_delta_neutral algoStrategy:s
@algo solicited:b whatIf:b status:s initMarginBefore:D maintMarginBefore:D equityWithLoanBefore:D initMarginChange:D
maintMarginChange:D equityWithLoanChange:D initMarginAfter:D maintMarginAfter:D equityWithLoanAfter:D commission:D
minCommission:D maxCommission:D commissionCurrency:s warningText:s randomizeSize:b randomizePrice:b @peg_bench
@conditions adjustedOrderType:a triggerPrice:D trailStopPrice:D lmtPriceOffset:D adjustedStopPrice:D
adjustedStopLimitPrice:D adjustedTrailingAmount:D adjustableTrailingUnit:i softDollarName:s softDollarValue:s
softDollarDisplayName:s cashQty:d dontUseAutoPriceForHedge:b isOmsContainer:b discretionaryUpToLimitPrice:b
usePriceMgmtAlgo:b >=159,duration:I >=160,postToAts:I >=162,autoCancelParent:b >=170,minTradeQty:I
>=170,minCompeteSize:I >=170,competeAgainstBestOffset:D >=170,midOffsetAtWhole:D >=170,midOffsetAtHalf:D
""".split()

_COMPLETED = """
action:s totalQuantity:d orderType:s lmtPrice:z auxPrice:z tif:s ocaGroup:s account:s openClose:s origin:i orderRef:s
permId:i outsideRth:b hidden:b discretionaryAmt:d goodAfterTime:s faGroup:s faMethod:s faPercentage:s faProfile:s
modelCode:s goodTillDate:s rule80A:s percentOffset:D settlingFirm:s shortSaleSlot:i designatedLocation:s exemptCode:x
startingPrice:D stockRefPrice:D delta:D stockRangeLower:D stockRangeUpper:D displaySize:I sweepToFill:b allOrNone:b
minQty:I ocaType:i triggerMethod:i volatility:D volatilityType:i deltaNeutralOrderType:n deltaNeutralAuxPrice:D
@delta_neutral_4 continuousUpdate:b referencePriceType:i trailStopPrice:D trailingPercent:D comboLegsDescrip:s @legs
scaleInitLevelSize:I scaleSubsLevelSize:I scalePriceIncrement:D @scale hedgeType:s @hedge clearingAccount:s
clearingIntent:c notHeld:b @no_delta_neutral algoStrategy:s @algo solicited:b status:s randomizeSize:b randomizePrice:b
@peg_bench @conditions trailStopPrice:D lmtPriceOffset:D cashQty:d dontUseAutoPriceForHedge:b isOmsContainer:b
autoCancelDate:s filledQuantity:d refFuturesConId:i autoCancelParent:b shareholder:s imbalanceOnly:b
routeMarketableToBbo:b parentPermId:i completedTime:s completedStatus:s >=170,minTradeQty:I >=170,minCompeteSize:I
>=170,competeAgainstBestOffset:D >=170,midOffsetAtWhole:D >=170,midOffsetAtHalf:D
""".split()

_GROUP_FIELDS: dict[str, tuple[str, ...]] = {
    "@delta_neutral_order": (
        "deltaNeutralConId",
        "deltaNeutralSettlingFirm",
        "deltaNeutralClearingAccount",
        "deltaNeutralClearingIntent",
        "deltaNeutralOpenClose",
        "deltaNeutralShortSale",
        "deltaNeutralShortSaleSlot",
        "deltaNeutralDesignatedLocation",
    ),
    "@scale": (
        "scalePriceAdjustValue",
        "scalePriceAdjustInterval",
        "scaleProfitOffset",
        "scaleAutoReset",
        "scaleInitPosition",
        "scaleInitFillQty",
        "scaleRandomPercent",
    ),
    "@peg_bench": (
        "referenceContractId",
        "isPeggedChangeAmountDecrease",
        "peggedChangeAmount",
        "referenceChangeAmount",
        "referenceExchangeId",
    ),
}
_CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}  # condition type → fields after the type
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
    for word in _PLACE:
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
    return [*head, *contract, *_write(_OPEN, version, values)]


def completed_order_fields(version: int, contract: list[object], values: Mapping[str, object]) -> list[object]:
    """completedOrder (101), which has neither order id nor client id."""
    return [101, *contract, *_write(_COMPLETED, version, values)]


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
            values.update((field, reader.text()) for field in _GROUP_FIELDS[name])

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
        if kind not in _CONDITION_FIELDS:
            raise WireError(f"unknown order condition {kind}")
        taken += [str(kind), *reader.skip(_CONDITION_FIELDS[kind])]
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
    return [values.get(name, "") for name in _GROUP_FIELDS["@scale"]] if present else []


def _write_peg_bench(values: Mapping[str, object]) -> list[object]:
    return [values.get(name, "") for name in _GROUP_FIELDS["@peg_bench"]] if values.get("orderType") == "PEG BENCH" else []


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

assert len(CONTRACT_FIELDS) == 12
