"""Symbols to contracts: each resolved once, pinned to its con_id, with the price increments of its market rule.

Also keeps the pace of historical requests, which IB limits apart from everything else (60 in 10 minutes, 5 of one
contract in 2 seconds).
"""

from __future__ import annotations

import asyncio
from typing import Any

from events.symbols import canonical_symbol
from positions.broker import ib_convert
from positions.broker.ib_library import IbStock
from positions.broker.pacer import Pacer, Priority
from positions.domain.ports import Contract, LinkDown, UnknownContract

HISTORY_REQUESTS, HISTORY_SECONDS = 55, 600.0  # IB allows 60


class ContractBook:
    """symbol -> Contract, for one session: the schedule in it covers a few days only."""

    def __init__(self, pacer: Pacer, timeout: float) -> None:
        self._pacer = pacer
        self._timeout = timeout
        self._known: dict[str, Contract] = {}
        self._rules: dict[int, tuple[tuple[float, float], ...]] = {}
        self._one_at_a_time = asyncio.Lock()  # two askers of one market rule share the library's future
        self._history = Pacer(ceilings={Priority.DATA: HISTORY_REQUESTS}, window=HISTORY_SECONDS)

    def any(self) -> Contract | None:
        return next(iter(self._known.values()), None)

    def forget(self) -> None:
        self._known.clear()

    async def history_turn(self) -> None:
        await self._history.turn(Priority.DATA)
        await self._pacer.turn(Priority.DATA)

    async def qualify(self, ib: Any, symbol: str) -> Contract:
        """Raises UnknownContract unless exactly one US stock answers to the symbol."""
        symbol = canonical_symbol(symbol)
        if symbol in self._known:
            return self._known[symbol]
        async with self._one_at_a_time:
            if symbol not in self._known:
                self._known[symbol] = await self._look_up(ib, symbol)
        return self._known[symbol]

    async def _look_up(self, ib: Any, symbol: str) -> Contract:
        try:
            name = ib_convert.symbol_to_ib(symbol)
        except ib_convert.BadFrame as error:
            raise UnknownContract(str(error)) from None
        await self._pacer.turn(Priority.QUERY)
        try:
            found = await asyncio.wait_for(ib.reqContractDetailsAsync(IbStock(name, "SMART", "USD")), self._timeout)
        except TimeoutError:
            raise LinkDown(f"no answer about the contract {symbol}") from None
        except ConnectionError as error:
            raise LinkDown(f"the link died while asking for the contract {symbol}") from error
        if not found:
            raise UnknownContract(f"IB knows no US stock {symbol}")
        if len(found) > 1:
            raise UnknownContract(f"{symbol} is ambiguous: IB knows {len(found)} of them")
        return ib_convert.contract_from_details(symbol, found[0], await self._increments(ib, found[0]))

    async def _increments(self, ib: Any, details: Any) -> tuple[tuple[float, float], ...]:
        rule = ib_convert.market_rule_id(details)
        if rule is None:
            return ()
        if rule not in self._rules:
            await self._pacer.turn(Priority.QUERY)
            answer = await ib.reqMarketRuleAsync(rule) or []
            pairs = ((ib_convert.number(row.lowEdge), ib_convert.price(row.increment)) for row in answer)
            steps = tuple(sorted((low, step) for low, step in pairs if low is not None and step is not None))
            if not steps:
                return ()
            self._rules[rule] = steps
        return self._rules[rule]
