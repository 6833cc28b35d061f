"""What a person may do about a difference between the books: adopt, close, release, acknowledge. Each has one outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from events.commands import AcknowledgeDifference, AdoptHolding, CloseHolding, Command, ReleasePosition, ResolveDoubt
from events.inbox import Outcome
from events.models import CommandRecord
from events.wording import price_text, quantity_text
from positions.domain.intent import Denied
from positions.domain.order_manager import OrderManager
from tradingsite.worker.books import Books
from tradingsite.worker.subscriptions import Subscriptions

RESOLUTIONS = frozenset({"AdoptHolding", "CloseHolding", "ReleasePosition", "AcknowledgeDifference", "ResolveDoubt"})


class Resolutions:
    """`handlers` is command class → its handler, for the command desk."""

    def __init__(self, *, manager: OrderManager, books: Books, subscriptions: Subscriptions) -> None:
        self._manager = manager
        self._books = books
        self._subscriptions = subscriptions
        self.handlers: dict[type[Command], Callable[[Any, CommandRecord], Awaitable[Outcome]]] = {
            AdoptHolding: self._adopt,
            CloseHolding: self._close,
            ReleasePosition: self._release,
            AcknowledgeDifference: self._acknowledge,
            ResolveDoubt: self._resolve_doubt,
        }

    async def _adopt(self, command: AdoptHolding, record: CommandRecord) -> Outcome:
        await self._subscriptions.one(command.symbol)
        result = await self._manager.adopt_holding(
            command.symbol,
            command.quantity,
            stop_loss=command.stop_loss,
            take_profit=command.take_profit,
            reason=command.reason,
            by=who(record),
        )
        if isinstance(result, Denied):
            return _refused(result)
        held = f"{quantity_text(command.quantity)} {command.symbol}"
        return Outcome.done(f"{held} are a position now; a stop at {price_text(command.stop_loss)} was asked for")

    async def _close(self, command: CloseHolding, record: CommandRecord) -> Outcome:
        await self._subscriptions.one(command.symbol)
        result = await self._manager.close_holding(command.symbol, command.quantity, reason=command.reason, by=who(record))
        return (
            _refused(result)
            if isinstance(result, Denied)
            else Outcome.done(f"closing {quantity_text(command.quantity)} {command.symbol} at the market")
        )

    async def _release(self, command: ReleasePosition, record: CommandRecord) -> Outcome:
        result = await self._manager.release_position(command.position_id, command.quantity, reason=command.reason, by=who(record))
        if isinstance(result, Denied):
            return _refused(result)
        return Outcome.done(f"{result.symbol} is not managed any more; its resting orders are being cancelled")

    async def _resolve_doubt(self, command: ResolveDoubt, record: CommandRecord) -> Outcome:
        result = await self._manager.resolve_doubt(command.order_id, command.verdict, reason=command.reason, by=who(record))
        if isinstance(result, Denied):
            return _refused(result)
        return Outcome.done(f"{result.side.value} {quantity_text(result.quantity)} {result.symbol} is not waited for any more")

    async def _acknowledge(self, command: AcknowledgeDifference, record: CommandRecord) -> Outcome:
        return await self._books.acknowledge(command, who(record))


def who(record: CommandRecord) -> str:
    return record.created_by.get_username() if record.created_by else "the desk"


def _refused(denied: Denied) -> Outcome:
    return Outcome.refused(denied.code, str(denied))
