"""Which contract a client means, and what contractDetails says of it. Stocks in US dollars only.

A con id wins over a symbol, as at IB. Symbols are those of the seeded market; anything else is error 200.
"""

from __future__ import annotations

from collections.abc import Mapping

from positions.gateway.hours import ZONE_NAME, Hours
from positions.gateway.market import Market, SymbolInfo, UnknownSymbol
from positions.gateway.messages_out import ContractCard

ORDER_TYPES = "ACTIVETIM,AD,ADJUST,ALERT,DAY,FOK,GAT,GTC,GTD,IOC,LMT,LOC,MKT,MOC,OCA,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"
LISTED = ("SPY", "QQQ", "IWM", "AAPL", "MSFT", "NVDA", "AMD", "TSLA", "META", "GOOGL", "AMZN", "NFLX", "JPM", "XOM", "CVNA")
EXCHANGES = "SMART,NASDAQ,NYSE,ARCA,BATS,IEX"
RULE_ID = 26
RULES: dict[int, tuple[tuple[float, float], ...]] = {RULE_ID: ((0.0, 0.0001), (1.0, 0.01))}
NO_DEFINITION = "No security definition has been found for the request"


class NoContract(Exception):
    """The client's contract fits nothing: IB's code and words."""

    def __init__(self, code: int = 200, text: str = NO_DEFINITION) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Contracts:
    """Resolves client contracts. A con id alone resolves only for LISTED symbols, `known` ones and those looked up before."""

    def __init__(self, market: Market, hours: Hours, known: tuple[str, ...] = ()) -> None:
        self._market = market
        self._hours = hours
        self._by_con_id: dict[int, SymbolInfo] = {}
        for symbol in (*LISTED, *known):
            self.info(symbol)

    def info(self, symbol: str) -> SymbolInfo:
        """What the market knows of a symbol. Raises NoContract."""
        try:
            info = self._market.contract(symbol)
        except UnknownSymbol as error:
            raise NoContract from error
        self._by_con_id[info.con_id] = info
        return info

    def resolve(self, contract: Mapping[str, str]) -> SymbolInfo:
        """The one stock that a wire contract means. Raises NoContract."""
        con_id = contract["conId"]
        if con_id.isdigit() and int(con_id):
            info = self._by_con_id.get(int(con_id)) or (self.info(contract["symbol"]) if contract["symbol"] else None)
            if info is None or info.con_id != int(con_id):
                raise NoContract
            return info
        if contract["secType"] != "STK" or contract["currency"] not in ("", "USD"):
            raise NoContract
        return self.info(contract["symbol"] or contract["localSymbol"])

    def card(self, info: SymbolInfo, exchange: str, at: float) -> ContractCard:
        return ContractCard(
            symbol=info.symbol,
            con_id=info.con_id,
            exchange=exchange or "SMART",
            primary_exchange=info.primary_exchange,
            min_tick=info.min_tick,
            order_types=ORDER_TYPES,
            valid_exchanges=EXCHANGES,
            market_rule_ids=",".join([str(RULE_ID)] * len(EXCHANGES.split(","))),
            long_name=info.name,
            industry="Technology",
            category="Simulated",
            subcategory="Simulated",
            time_zone=ZONE_NAME,
            trading_hours=self._hours.trading_hours(at),
            liquid_hours=self._hours.liquid_hours(at),
            isin=f"US{info.con_id:010d}"[:12],
        )

    def matching(self, pattern: str) -> list[SymbolInfo]:
        """Symbols for a search: the pattern itself when it is one, then known ones that begin with it."""
        pattern = pattern.strip().upper()
        found: dict[str, SymbolInfo] = {}
        try:
            found[pattern] = self.info(pattern)
        except NoContract:
            pass
        for info in sorted(self._by_con_id.values(), key=lambda info: info.symbol):
            if info.symbol.startswith(pattern):
                found.setdefault(info.symbol, info)
        return list(found.values())[:16]


def increment(price: float) -> float:
    """The tick of the market rule at this price."""
    edge_and_tick = [tick for edge, tick in RULES[RULE_ID] if price >= edge]
    return edge_and_tick[-1]


def off_tick(price: float) -> bool:
    """Whether a price is no multiple of its increment (error 110)."""
    tick = increment(price)
    steps = price / tick
    return abs(steps - round(steps)) > 1e-6
