"""What a person does in a world: every wish of the pages, at any moment, sensible or not."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from tradingsite.chaos.simulation.world import SYMBOLS, Desk

WHY = "the story says so"


async def approve(desk: Desk, draw: Random) -> None:
    symbol, quantity, through = draw.choice(SYMBOLS), float(draw.randint(1, 40)), draw.choice((0.005, 0.005, -0.02))
    direction = dict(desk.sides()).get(symbol, draw.choice((1, 1, 1, -1)))  # against what is held it would be no entry
    await desk.approve(symbol, quantity, through=through, direction=direction, patience=6.0)


async def close(desk: Desk, draw: Random) -> None:
    for position, *_ in desk.open_positions()[:2]:
        desk.wish("ClosePosition", position_id=position)


async def close_part(desk: Desk, draw: Random) -> None:
    for position, *_ in desk.open_positions()[:1]:
        desk.wish("ClosePosition", position_id=position, quantity=1.0)


async def move_stop(desk: Desk, draw: Random) -> None:
    for position, _, stop, _ in desk.open_positions():
        if stop:
            desk.wish("ChangeStop", position_id=position, price=round(stop * draw.uniform(0.985, 1.005), 2))


async def cancel(desk: Desk, draw: Random) -> None:
    for order in desk.resting_entries():
        desk.wish("CancelOrder", order_id=order)


async def steer(desk: Desk, draw: Random) -> None:
    """What else a position's page offers."""
    for position, _, stop, held in desk.open_positions()[:2]:
        price = max(stop, 1.0)
        wishes: list[tuple[str, dict[str, Any]]] = [
            ("ChangeTarget", {"price": round(price * (1 + draw.uniform(0.06, 0.2) * (1 if held > 0 else -1)), 2)}),
            ("SetTrailing", {"kind": draw.choice(("percent", "percent", "atr")), "value": draw.choice((1.0, 3.0))}),
            ("ClearTrailing", {}),
            ("SetBreakEven", {"at_r": draw.choice((0.1, 0.5))}),
            ("SetTimeStop", {"minutes": draw.choice((0.2, 1.0))}),
            ("SetPartialTarget", {"at_r": draw.choice((0.1, 0.5)), "percent": 50.0}),
            ("ClearPartialTargets", {}),
            ("ReversePosition", {"reason": WHY}),
            ("ScaleIn", {"quantity": float(draw.randint(1, 10)), "limit_price": round(price * (1.04 if held > 0 else 0.96), 2)}),
        ]
        name, fields = draw.choice(wishes)
        desk.wish(name, position_id=position, **fields)


async def flatten(desk: Desk, draw: Random) -> None:
    desk.wish("FlattenAll", reason=WHY)


async def halt(desk: Desk, draw: Random) -> None:
    """And resume a little later."""
    desk.wish(draw.choice(("HaltTrading", "ReduceOnly")), reason=WHY)
    await asyncio.sleep(draw.uniform(0.2, 4))
    desk.wish("ResumeTrading", reason=WHY)


async def release(desk: Desk, draw: Random) -> None:
    """Stop managing a position; take it back or close it when the desk has done so."""
    if positions := desk.open_positions():
        position, symbol, stop, held = positions[0]
        desk.wish("ReleasePosition", position_id=position, quantity=held, reason=WHY)
        if await desk.until(lambda: symbol in desk.held_elsewhere(), draw.uniform(0.1, 6)):
            take_back(desk, symbol, stop if draw.random() < 0.5 else 0.0)


async def acknowledge(desk: Desk, draw: Random) -> None:
    """Take the broker's word about shares, as somebody saw them: mostly nothing differs, and it is refused."""
    symbol = draw.choice(SYMBOLS)
    ours = sum(held for _, name, _, held in desk.open_positions() if name == symbol)
    desk.wish("AcknowledgeDifference", row=f"position:{symbol}", ours=ours, theirs=ours + draw.choice((0.0, 1.0)), reason=WHY)


async def resolve(desk: Desk, draw: Random) -> None:
    """Decide about whatever is in doubt; the desk refuses what its lists contradict."""
    for order, _ in desk.doubtful()[:1]:
        desk.wish("ResolveDoubt", order_id=order, verdict=draw.choice(("over", "never_sent")), reason=WHY)


async def wait(desk: Desk, draw: Random) -> None:
    await asyncio.sleep(draw.uniform(2, 12))


def take_back(desk: Desk, symbol: str, stop: float) -> None:
    """Adopt shares that are held elsewhere, with a stop; without one, close them."""
    held = desk.held_elsewhere().get(symbol, 0.0)
    if held and stop:
        desk.wish("AdoptHolding", symbol=symbol, quantity=held, stop_loss=stop, reason=WHY)
    elif held:
        desk.wish("CloseHolding", symbol=symbol, quantity=held, reason=WHY)
