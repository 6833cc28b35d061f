"""What is measured, in the order of the table. Each measure runs in a child process (see `runner`) and returns rows."""

from __future__ import annotations

from collections.abc import Callable

from events import benchmarks as events
from positions import benchmarks as positions
from positions.domain import benchmarks as domain
from tradingsite.bench import desk, ib_ticks, page_times
from tradingsite.bench.runner import Part, Place, on_a_desk, on_a_gateway, on_postgres, on_redis, on_sqlite
from tradingsite.bench.table import Row


def in_memory() -> list[Row]:
    """The bus, events and the domain: no server at all."""
    return [*events.bus(), *events.making(), *events.encoding(), *domain.rows()]


HOURS = 3 * 3600
MEASURES: dict[str, Callable[[], list[Row]]] = {
    "memory": in_memory,
    "ib_ticks": ib_ticks.rows,
    "journal": events.journal,
    "sockets": events.fan_out,
    "equity": positions.rows,
    "desk": desk.rows,
    "years": page_times.rows,
}

PARTS = (
    Part(name="bus, events and domain", measure="memory", place=on_sqlite),
    Part(name="IB ticks", measure="ib_ticks", place=on_a_gateway),
    Part(name="journal on SQLite", measure="journal", place=on_sqlite, suffix=", SQLite"),
    Part(name="journal on PostgreSQL", measure="journal", place=on_postgres, suffix=", PostgreSQL"),
    Part(name="pages", measure="sockets", place=on_redis),
    Part(name="equity curve", measure="equity", place=on_sqlite),
    Part(name="the whole desk", measure="desk", place=on_a_desk),
)


def years_parts(scale: float) -> tuple[Part, ...]:
    """Every page over five years of data, `scale` times the whole size, on either database."""
    places: tuple[tuple[str, Place], ...] = (("SQLite", on_sqlite), ("PostgreSQL", on_postgres))
    more = {page_times.SCALE: str(scale)}
    return tuple(
        Part(name=f"pages over years on {name}", measure="years", place=place, suffix=f", {name}", environment=more, seconds=HOURS)
        for name, place in places
    )
