"""What goes wrong in a world: processes, the line, the gateway's answers, the database, the clock."""

from __future__ import annotations

import asyncio
from random import Random

from events import failpoints
from events.failpoints import POINTS
from tradingsite.chaos.simulation import wishes
from tradingsite.chaos.simulation.world import SYMBOLS, Desk

STEPS_OF_AN_ENTRY = 150  # about so many steps has a worker between an approval and its last report


# --- processes ---


async def kill(desk: Desk, draw: Random) -> None:
    desk.kill_worker()
    desk.at_crash += desk.examine(settled=False)
    await asyncio.sleep(draw.uniform(0.5, 4))
    desk.revive()


async def kill_anywhere(desk: Desk, draw: Random) -> None:
    """Between any two steps of what it does about a wish."""
    desk.kill_after(draw.randint(0, STEPS_OF_AN_ENTRY))
    await _some_wish(desk, draw)


async def freeze_anywhere(desk: Desk, draw: Random) -> None:
    """Perhaps for so long that the wish is too old afterwards."""
    desk.freeze_after(draw.randint(0, STEPS_OF_AN_ENTRY), draw.choice((draw.uniform(0.5, 20), draw.uniform(30, 50))))
    await _some_wish(desk, draw)


async def _some_wish(desk: Desk, draw: Random) -> None:
    await draw.choice((wishes.approve, wishes.approve, wishes.close, wishes.steer))(desk, draw)


async def fail(desk: Desk, draw: Random) -> None:
    """Arms a failure in the living worker; a dead one is revived a little later."""
    point, kind = draw.choice(sorted(POINTS)), draw.choice(("exit", "exit", "cut", "raise", "stall"))
    failpoints.arm(f"{point}:{kind}:{draw.randint(1, 4)}", {})


async def sleep(desk: Desk, draw: Random) -> None:
    await desk.sleep_worker(draw.uniform(1, 20))


async def restart_gateway(desk: Desk, draw: Random) -> None:
    await desk.restart_gateway(draw.uniform(0.2, 3))


async def daily_restart(desk: Desk, draw: Random) -> None:
    desk.control(fault="daily_restart", seconds=draw.uniform(0.5, 6))


# --- the database and the clock ---


async def bad_disk(desk: Desk, draw: Random) -> None:
    """A full disk, or somebody who keeps the write lock, from any write on."""
    word = draw.choice((desk.world.disk.LOCKED, desk.world.disk.FULL))
    desk.world.disk.fail(word, after=draw.randint(0, 40), seconds=draw.choice((0.2, 2.0, 10.0)))


async def wrong_clock(desk: Desk, draw: Random) -> None:
    """The wall clock of the worker's machine jumps by up to an hour, and back."""
    desk.set_clock_off(draw.choice((-1, 1)) * draw.choice((3.0, 60.0, 3600.0)))
    await asyncio.sleep(draw.uniform(0.1, 8))
    if draw.random() < 0.7:
        desk.set_clock_off(0.0)


async def night(desk: Desk, draw: Random) -> None:
    """All is told; then the gateway's lists begin a new day."""
    if await desk.until(lambda: desk.ready() and not desk.examine(), 15):
        desk.control(fault="forget_day")


# --- the line ---


async def cut(desk: Desk, draw: Random) -> None:
    desk.control(fault="drop_socket")


async def bad_line(desk: Desk, draw: Random) -> None:
    desk.control(fault="transport", mode=draw.choice(("split", "merge", "trickle", "half_open")))
    await asyncio.sleep(draw.uniform(0.5, 12))
    desk.control(fault="transport", mode="normal")


async def upstream(desk: Desk, draw: Random) -> None:
    """1100, then 1101 or 1102; perhaps what is sent meanwhile never arrives."""
    lost, kept = draw.random() < 0.3, draw.random() < 0.5
    desk.control(fault="upstream_lost", seconds=draw.uniform(0.5, 8), data_kept=kept, drop_orders=lost)
    if lost:
        desk.swallowed = True


async def flap(desk: Desk, draw: Random) -> None:
    desk.control(fault="farm_flap", seconds=draw.uniform(0.2, 4))


async def busy(desk: Desk, draw: Random) -> None:
    """The gateway holds the client id for a while, or greets nobody, or throws us out for talking too much."""
    kind = draw.choice(("stuck_client_id", "client_busy", "no_greeting", "pacing"))
    if kind == "stuck_client_id":
        desk.control(fault=kind, client_id=17, seconds=draw.uniform(1, 8))
        desk.control(fault="drop_socket")
    elif kind == "pacing":
        desk.control(fault=kind)
    else:
        desk.control(fault=kind, times=1)
        desk.control(fault="drop_socket")


async def notice(desk: Desk, draw: Random) -> None:
    desk.control(fault="notice", code=draw.choice((1100, 1102, 2103, 2104, 2110, 1300, 10182, 9999)), text="said by the story")
    desk.control(fault="notice", code=1102, text="said by the story")


# --- what becomes of orders ---


async def silence(desk: Desk, draw: Random) -> None:
    desk.control(fault="ack_lost", match={"kind": draw.choice(("LMT", "STP", "MKT"))}, times=1)


async def refuse(desk: Desk, draw: Random) -> None:
    fault = draw.choice(("reject", "inactive", "locate", "silent_drop", "cancel_race", "cancel_ignored"))
    match = {"kind": draw.choice(("LMT", "STP", "MKT"))}
    if fault == "locate":  # short sales only; the shares are found soon, late or not at all
        desk.control(fault=fault, match={"kind": "LMT", "side": "SELL", "parent_id": 0}, seconds=draw.choice((0.5, 5.0, 3600.0)), times=1)
    else:
        desk.control(fault=fault, match=match, times=1)


async def take_away(desk: Desk, draw: Random) -> None:
    """IB cancels what rests there, unasked."""
    desk.control(fault="unsolicited_cancel", match={"kind": draw.choice(("LMT", "STP")), "symbol": draw.choice(SYMBOLS)})


async def partials(desk: Desk, draw: Random) -> None:
    """The next entry fills in pieces, perhaps not to its end."""
    sizes = [float(draw.randint(1, 6)) for _ in range(draw.randint(1, 6))]
    desk.control(fault="partials", match={"kind": "LMT", "symbol": draw.choice(SYMBOLS)}, sizes=sizes, delay=draw.uniform(0.05, 2))


async def late_fill(desk: Desk, draw: Random) -> None:
    """An entry that was cancelled is filled all the same."""
    cancelled = desk.rows("SELECT order_ref FROM positions_orderrecord WHERE role = 'entry' AND state = 'canceled' ORDER BY 1")
    if cancelled:
        desk.control(fault="late_fill", match={"order_ref": draw.choice(cancelled)[0]}, quantity=1.0)


# --- what is told of executions ---


async def disorder(desk: Desk, draw: Random) -> None:
    modes = ("status_first", "exec_only", "commission_first", "duplicate", "stale_submitted", "no_commission")
    desk.control(fault="disorder", mode=draw.choice(modes), times=draw.randint(1, 3))


async def omit(desk: Desk, draw: Random) -> None:
    """The stream leaves out some executions, its heartbeat goes on."""
    desk.control(fault="omit", match={"symbol": draw.choice(SYMBOLS)}, every=draw.randint(1, 4), times=draw.randint(1, 3))


async def revise(desk: Desk, draw: Random) -> None:
    """The last execution had another price or size, or none at all; or all of the day are told once more."""
    kind = draw.choice(("price", "price", "quantity", "bust", "again"))
    if kind == "again":
        desk.control(fault="repeat_executions")
    elif kind == "bust":
        desk.control(fault="bust")
    elif kind == "quantity":
        desk.control(fault="correction", quantity=float(draw.randint(1, 3)))
    else:
        desk.control(fault="correction", price=round(draw.uniform(90, 400), 2))


# --- the market ---


async def shift(desk: Desk, draw: Random) -> None:
    """A move through stops and targets."""
    seconds = draw.uniform(0.5, 4)
    desk.control(shift=draw.choice(SYMBOLS), pct=draw.uniform(-7, 7), seconds=seconds)
    desk.moves_until = max(desk.moves_until, desk.loop.time() + seconds + 1.0)


async def bad_prices(desk: Desk, draw: Random) -> None:
    modes = ("stale", "halted", "none", "zero_size", "crossed", "delayed", "refused", "competing")
    desk.control(fault="data", symbol=draw.choice(SYMBOLS), mode=draw.choice(modes), seconds=draw.uniform(1, 10))
