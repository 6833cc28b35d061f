"""Which contract a client means, and what contractDetails says of it. Stocks in US dollars only.

A con id wins over a symbol, as at IB. What a client may ask for is in `listing.py`, and what the account holds; anything else is
error 200, and so is a symbol that is listed twice, unless the exchange is named.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from positions.gateway.hours import ZONE_NAME, Hours
from positions.gateway.listing import CON_IDS, LISTED, TWICE, is_listed
from positions.gateway.market import Market, SymbolInfo, UnknownSymbol
from positions.gateway.messages_out import ContractCard

ORDER_TYPES = "ACTIVETIM,AD,ADJUST,ALERT,DAY,FOK,GAT,GTC,GTD,IOC,LMT,LOC,MKT,MOC,OCA,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"
EXCHANGES = "SMART,NASDAQ,NYSE,ARCA,BATS,IEX"
RULE_ID = 26
RULES: dict[int, tuple[tuple[float, float], ...]] = {RULE_ID: ((0.0, 0.0001), (1.0, 0.01))}
NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified for {} is ambiguous; you must specify the multiplier or trading class."


class NoContract(Exception):
    """The client's contract fits nothing: IB's code and words."""

    def __init__(self, code: int = 200, text: str = NO_DEFINITION) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Contracts:
    """Resolves client contracts. `known` symbols are those the account holds, listed or not."""

    def __init__(self, market: Market, hours: Hours, known: tuple[str, ...] = ()) -> None:
        self._market = market
        self._hours = hours
        self._known = frozenset(known)
        self._infos: dict[str, SymbolInfo] = {}
        self._by_con_id: dict[int, SymbolInfo] = {}
        for symbol in (*sorted(LISTED), *known):
            self.info(symbol)

    def info(self, symbol: str) -> SymbolInfo:
        """What the market knows of a symbol, listed or not. Raises NoContract."""
        if symbol not in self._infos:
            try:
                info = self._market.contract(symbol)
            except UnknownSymbol as error:
                raise NoContract from error
            self._infos[symbol] = info = replace(info, con_id=CON_IDS.get(symbol, info.con_id))
            self._by_con_id[info.con_id] = info
        return self._infos[symbol]

    def resolve(self, contract: Mapping[str, str]) -> SymbolInfo:
        """The one stock that a wire contract means. Raises NoContract."""
        con_id = contract["conId"]
        if con_id.isdigit() and int(con_id):
            info = self._by_con_id.get(int(con_id)) or (self._asked(contract["symbol"]) if contract["symbol"] else None)
            if info is None or info.con_id != int(con_id):
                raise NoContract
            return info
        found = self.candidates(contract)
        if len(found) > 1:
            raise NoContract(text=AMBIGUOUS.format(found[0].symbol))
        return found[0]

    def candidates(self, contract: Mapping[str, str]) -> list[SymbolInfo]:
        """Every stock that a wire contract without a con id may mean. Raises NoContract when there is none."""
        if contract["secType"] != "STK" or contract["currency"] not in ("", "USD"):
            raise NoContract
        info = self._asked(contract["symbol"] or contract["localSymbol"])
        places = TWICE.get(info.symbol, (info.primary_exchange,))
        both = [replace(info, con_id=info.con_id + place, primary_exchange=name) for place, name in enumerate(places)]
        self._by_con_id |= {one.con_id: one for one in both if one.con_id not in self._by_con_id}
        named = [one for one in both if one.primary_exchange == contract["primaryExchange"]]
        return named or both

    def _asked(self, symbol: str) -> SymbolInfo:
        if not is_listed(symbol) and symbol not in self._known:
            raise NoContract
        return self.info(symbol)

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
        with contextlib.suppress(NoContract):
            found[pattern] = self._asked(pattern)
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
