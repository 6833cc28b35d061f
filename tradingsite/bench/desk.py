"""The whole desk, as it runs: its idle memory, frames and ticks to many pages, and the way from approval to the wire.

Runs beside a desk on the same DATA_DIR; every time is read from one machine's clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import uuid
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from channels.layers import get_channel_layer
from django.conf import settings

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.commands import ApproveSignal
from events.feed import encode, group_of
from events.inbox import file_command
from events.models import CommandRecord, WorkerLease
from positions.models import RiskLimits
from tradingsite.bench.pages import open_pages, sign_in
from tradingsite.bench.table import Row, limit, unmeasured
from tradingsite.testing.network import LOOPBACK
from tradingsite.testing.patience import eventually

PORT = int(os.environ.get("PORT", "8000"))
FRAME_PAGES, FRAMES_PER_SECOND, FRAME_SECONDS = 200, 10, 10
TICK_PAGES, TICK_SECONDS = 50, 15
ORDER_PAGES, ORDERS = 100, 60
FINAL = ("done", "refused", "expired")


def rows() -> list[Row]:
    """All rows about the running desk."""
    eventually(_fit_to_trade, every=0.5, what="the desk is fit to trade")
    time.sleep(5)
    memory = _memory()
    _lift_limits()
    cookie = sign_in(PORT, "demo", os.environ["DEMO_PASSWORD"])
    symbols = eventually(_quoted, what="the worker has quotes")
    for symbol in symbols[:3]:
        _answered(_approve(symbol, through=0.005))
    return [*asyncio.run(_live(cookie, symbols[3:])), memory]


async def _live(cookie: str, symbols: list[str]) -> list[Row]:
    return [*await _frames(cookie), *await _ticks(cookie), *await _orders(cookie, symbols)]


# --- frames and ticks to pages ----------------------------------------------------------------------------------------


async def _frames(cookie: str) -> list[Row]:
    delays: list[float] = []

    def heard(frame: dict[str, Any]) -> None:
        for one in frame.get("rows", ()):
            if one.get("id") == "bench":
                delays.append(time.time() - one["sent"])

    count = FRAMES_PER_SECOND * FRAME_SECONDS
    async with open_pages(FRAME_PAGES, PORT, cookie, ["bars"], heard):
        layer = get_channel_layer()
        for _ in range(count):
            text = encode("bars", [{"id": "bench", "sent": time.time()}, *({"id": f"p{n}", "last": 150.0 + n} for n in range(10))])
            await layer.group_send(group_of("bars"), {"type": "desk.frame", "topic": "bars", "text": text})
            await asyncio.sleep(1 / FRAMES_PER_SECOND)
        await asyncio.sleep(2)
    delivered = 100 * len(delays) / (count * FRAME_PAGES)
    what = f"{FRAME_PAGES} pages × {FRAMES_PER_SECOND} frames/s"
    whole = {
        "name": f"{what}, delivered",
        "unit": "%",
        "ours": delivered,
        "peer": 100.0,
        "peer_name": "limit",
        "ratio": delivered / 100,
        "aim": 1.0,
    }
    return [limit(f"{what}, p99", "ms", _percentile(delays, 99), 50.0), whole]


async def _ticks(cookie: str) -> list[Row]:
    seen: dict[tuple[str, str], float] = {}  # (position, time of its price) → how late a page first heard of it

    def heard(frame: dict[str, Any]) -> None:
        for one in frame.get("rows", ()):
            if one.get("last_at"):
                late = (utc_now() - datetime.fromisoformat(one["last_at"])).total_seconds()
                seen.setdefault((one["id"], one["last_at"]), late)

    async with open_pages(TICK_PAGES, PORT, cookie, ["positions", "health"], heard):
        seen.clear()
        await asyncio.sleep(TICK_SECONDS)
    return [limit(f"tick → frame on a socket, p99, {TICK_PAGES} pages", "ms", _percentile(list(seen.values()), 99), 300.0)]


def _percentile(seconds: list[float], percent: int) -> float:
    """In milliseconds. Raises when nothing was measured: a silent zero would look like success."""
    if not seconds:
        raise RuntimeError("nothing arrived at the pages")
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


# --- from approval to the wire ----------------------------------------------------------------------------------------


async def _orders(cookie: str, symbols: list[str]) -> list[Row]:
    delays = []
    async with open_pages(ORDER_PAGES, PORT, cookie, ["positions", "orders", "signals", "health", "tape", "commands"], lambda frame: None):
        for symbol, _ in zip(cycle(symbols), range(ORDERS), strict=False):
            delays.append(await asyncio.to_thread(_approve_and_watch, symbol))
            await asyncio.sleep(0.05)
    what = f"approve → order on the gateway's wire, {ORDER_PAGES} pages"
    return [limit(f"{what}, p50", "ms", _percentile(delays, 50), 60.0), limit(f"{what}, p99", "ms", _percentile(delays, 99), 300.0)]


def _approve_and_watch(symbol: str) -> float:
    """Seconds from filing the approval to its entry order, by the gateway's own record of what it received."""
    before = max((one["sequence"] for one in _received(0)), default=0)
    start = time.time()
    record = _approve(symbol, through=-0.005)  # a little below the market, so that it rests
    _answered(record)
    placed = [one["at"] for one in _received(before) if _is_entry(one)]
    return min(placed) - start


def _is_entry(request: dict[str, Any]) -> bool:
    return request["name"] == "PLACE_ORDER" and not request["values"].get("what_if")


def _approve(symbol: str, *, through: float) -> CommandRecord:
    price = _quotes()[symbol]["last"]
    command = ApproveSignal(
        signal_id=uuid.uuid4().hex,
        version=1,
        symbol=symbol,
        direction=1,
        action="open_long",
        quantity=1,
        limit_price=round(price * (1 + through), 2),
        stop_loss=round(price * 0.97, 2),
        take_profit=round(price * 1.06, 2),
        reference_price=price,
        decided_by="bench",
    )
    return file_command(command, account=SIMULATED_ACCOUNT, user=None, key=uuid.uuid4().hex)[0]


def _answered(record: CommandRecord) -> None:
    def done() -> bool:
        record.refresh_from_db()
        return record.state in FINAL

    eventually(done, every=0.01, what=f"{record} is answered")
    if record.state != "done":
        raise RuntimeError(f"{record}: {record.code} {record.reason}")


def _received(after: int) -> list[dict[str, Any]]:
    """The requests the gateway got after that one."""
    control = int((Path(settings.DATA_DIR) / "gateway" / "control_port").read_text())
    with socket.create_connection((LOOPBACK, control), timeout=10) as link:
        link.sendall(json.dumps({"query": "received", "after": after}).encode() + b"\n")
        rows: list[dict[str, Any]] = json.loads(link.makefile().readline())["rows"]
    return rows


def _quotes() -> dict[str, dict[str, Any]]:
    quotes: dict[str, dict[str, Any]] = WorkerLease.objects.get().health.get("quotes", {})
    return quotes


def _quoted() -> list[str]:
    """Symbols with a live price, enough of them."""
    symbols = sorted(symbol for symbol, quote in _quotes().items() if quote.get("live") and quote.get("last"))
    return symbols if len(symbols) > 4 else []


def _lift_limits() -> None:
    """So many entries at once are more than a person's limits allow; what is measured is the way, not the refusal."""
    numbers = {field.name for field in RiskLimits._meta.concrete_fields}
    lifted = {
        "max_open_positions": 10_000,
        "max_day_entries": 10_000,
        "max_working_orders": 10_000,
        "max_symbol_repeats": 10_000,
        "max_source_repeats": 10_000,
        "duplicate_window_seconds": 0,
        "max_open_risk": 50_000_000,
        "max_symbol_risk": 50_000_000,
        "max_day_notional": 50_000_000,
        "max_position_notional": 50_000_000,
    }
    RiskLimits.objects.update(**{name: value for name, value in lifted.items() if name in numbers})


# --- memory -----------------------------------------------------------------------------------------------------------


def _fit_to_trade() -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{PORT}/readyz", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _memory() -> Row:
    """Of all processes of the desk; memory they share counts once. Only Linux tells."""
    if not Path("/proc/self/smaps_rollup").exists():
        return unmeasured("memory of the idle stack", "only Linux tells")
    children = [row["pid"] for row in json.loads((Path(settings.DATA_DIR) / "status.json").read_text()) if row["pid"]]
    supervisor = int(Path(f"/proc/{children[0]}/stat").read_text().rpartition(")")[2].split()[1])
    kilobytes = sum(_proportional(pid) for pid in {*children, supervisor})
    return limit(f"memory of the idle stack, {len(children) + 1} processes", "MB", kilobytes / 1000, 400.0)


def _proportional(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
