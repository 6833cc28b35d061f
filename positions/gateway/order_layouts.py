"""The three long layouts of the protocol as tables: placeOrder, openOrder and completedOrder, field by field in wire order.

A word is a field name. In what the server writes, a kind after the colon says what stands for a missing value
(`DEFAULTS` of `order_codec.py`): `s` text, `b` flag, `i` integer, `d` number, `z` price; capital `I` and `D` may be unset.
`>=176,name` exists from that server version on. `@` words are groups that only some orders carry.
"""

from __future__ import annotations

PLACE: list[str] = """
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
""".split()  # noqa: SIM905

OPEN: list[str] = """
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
""".split()  # noqa: SIM905

COMPLETED: list[str] = """
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
""".split()  # noqa: SIM905

GROUP_FIELDS: dict[str, tuple[str, ...]] = {
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
CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}  # condition type → fields after the type
