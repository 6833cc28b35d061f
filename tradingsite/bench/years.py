"""Five years of a busy desk, made in minutes: what pages are measured on. Fills an empty database and never anything else.

A month of simulated trading is replayed by the real parts (`demo_history`). Its stories - a signal with its prediction, orders,
fills, position and events - are cast again and again over the sessions before, as the product wrote them, until the tables
hold what a desk has after five years. Rows that belong to no story (bars, equity, the other books) are made beside them.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import models, transaction

from events.clock import utc_now
from events.models import CommandRecord, EventRecord
from events.position import PositionUpdateEvent
from positions.domain.packing import position_state
from positions.models import EquityPoint, FillRecord, OrderRecord, PositionRecord
from signals.demo.history_rows import make_history, past_sessions
from signals.models import PredictionRecord, SignalRecord, WatchListEntry
from tradingsite.bench import year_rows
from tradingsite.bench.bulk import Table, finish_bulk, prepare_for_bulk
from tradingsite.bench.multiply import MOST, TABLES, multiply
from tradingsite.bench.stories import KINDS, Rows, Story, stories_of, timed_id

DAYS = 5 * 365
REPLAYED_DAYS = 30
CAST_POSITIONS = 2_000  # and all that belongs to them are cast one by one; what goes beyond is copied
OPEN_POSITIONS = 12  # times as many copies
WAITING_SIGNALS = 50
OTHER_STATES = {"expired": 60, "filtered": 25, "rejected": 12, "superseded": 3}
SYMBOLS = (  # noqa: SIM905 - readable
    "AAPL MSFT NVDA SPY QQQ TSLA AMZN META AMD GOOGL NFLX AVGO COST JPM BAC XOM CVX WMT HD UNH LLY JNJ PG KO PEP DIS INTC MU CRM "
    "ORCL ADBE CSCO QCOM TXN IBM GE CAT BA DE HON GS MS WFC C V MA AXP PYPL SQ SHOP UBER ABNB COIN PLTR SNOW PANW CRWD NOW IWM DIA"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many rows; the journal has about two million at the whole size."""

    positions: int = 20_000
    signals: int = 295_000
    predictions: int = 500_000
    equity_points: int = 1_000_000
    bars: int = 2_000_000
    commands: int = 40_000

    @classmethod
    def of(cls, scale: float) -> Size:
        """The whole size times `scale`, at least a handful of everything."""
        return cls(**{name: max(int(getattr(cls(), name) * scale), 60) for name in cls.__dataclass_fields__})

    def part(self, times: int) -> Size:
        """A `times`-th of it."""
        return Size(**{name: getattr(self, name) // times for name in self.__dataclass_fields__})


class NotEmpty(RuntimeError):
    """The database holds something already; made-up years must not mix with it."""


def make_years(size: Size, *, seed: int = 11, now: datetime | None = None, say: Callable[[str], None] = lambda text: None) -> None:
    """Fill the database of the settings. Raises NotEmpty. A whole size is cast in part and multiplied inside the database."""
    times = min(MOST, max(1, size.positions // CAST_POSITIONS))
    prepare_for_bulk()
    cast_years(size.part(times), seed=seed, now=now, say=say)
    say(f"the same {times} times")
    multiply(times)
    still_waiting(now or utc_now())
    finish_bulk([*TABLES, *year_rows.WRITTEN])


def cast_years(
    size: Size,
    *,
    seed: int = 11,
    now: datetime | None = None,
    replayed: int = REPLAYED_DAYS,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """The same without copies, on a session as it is: from a replay of so many days. Raises NotEmpty."""
    if OrderRecord.objects.exists() or SignalRecord.objects.exists() or EquityPoint.objects.exists():
        raise NotEmpty("the database holds orders, signals or equity points already")
    now = now or utc_now()
    chance = random.Random(seed)  # noqa: S311 - made-up rows
    WatchListEntry.objects.bulk_create([WatchListEntry(symbol=symbol) for symbol in SYMBOLS], ignore_conflicts=True)
    stories = _replayed(seed, replayed, now, say)
    kinds: list[type[models.Model]] = [*KINDS.values(), CommandRecord, EquityPoint]
    tables = {model: Table(model, keyed=model is PredictionRecord) for model in kinds}
    maker = _Maker(size=size, now=now, chance=chance, stories=stories, tables=tables)
    sessions = past_sessions(now, DAYS)
    for number, session in enumerate(sessions):
        with transaction.atomic():
            maker.day(number, len(sessions), session.opens, session.closes)
            if number == len(sessions) - 1:
                maker.still_open(session.opens)
            for table in tables.values():
                table.flush()
        if number % 250 == 0:
            say(f"{number} of {len(sessions)} sessions")
    say("bars and the other books")
    with transaction.atomic():
        year_rows.bars(size.bars, SYMBOLS, sessions, chance)
        year_rows.others(size.positions / Size().positions, SYMBOLS, sessions, now, chance)


def still_waiting(now: datetime) -> None:
    """Signals that wait for a decision while the pages are measured: the newest that lapsed, of WAITING_SIGNALS symbols at most."""
    lapsed = SignalRecord.objects.filter(state=SignalRecord.State.EXPIRED).order_by("-created_at")
    for symbol in SYMBOLS[:WAITING_SIGNALS]:
        newest = lapsed.filter(symbol=symbol).values_list("pk", flat=True).first()
        SignalRecord.objects.filter(pk=newest).update(state=SignalRecord.State.PENDING, reason="", expires_at=now + timedelta(days=1))


def _replayed(seed: int, days: int, now: datetime, say: Callable[[str], None]) -> list[Story]:
    """The moulds, of a replayed month whose rows are then taken away again."""
    with tempfile.TemporaryDirectory(prefix="desk-years-") as folder:
        make_history(seed=seed, state_dir=Path(folder), days=days, client_id=17, now=now, say=say)
    stories = stories_of(SignalRecord.objects.all())
    for model in (SignalRecord, PredictionRecord, PositionRecord, OrderRecord, FillRecord, EventRecord, EquityPoint):
        model._default_manager.all().delete()
    return stories


class _Maker:
    """Makes one session after the other; the newest lies before `now`."""

    def __init__(
        self, *, size: Size, now: datetime, chance: random.Random, stories: list[Story], tables: dict[type[models.Model], Table]
    ) -> None:
        self._size = size
        self._now = now
        self._chance = chance
        self._traded = [story for story in stories if _has_position(story)]
        self._passed = [story for story in stories if not _has_position(story)]
        self._tables = tables
        self._predictions = 0
        self._equity = 250_000.0
        self._weights = [1 / (rank + 3) for rank in range(len(SYMBOLS))]

    def day(self, number: int, days: int, opens: int, closes: int) -> None:
        """Everything of one session, its events in the order of time."""
        events: list[dict[str, Any]] = []
        for story, start in self._starts(self._traded, _share(self._size.positions, number, days), opens, closes):
            rows = story.cast(start=start, symbol=self._symbol(), chance=self._chance)
            self._store(rows, events, start)
            self._approve(rows, start)
        for story, start in self._starts(self._passed, _share(self._size.signals - self._size.positions, number, days), opens, closes):
            self._store(self._passed_over(story, start), events, start)
        events += self._worth(_share(self._size.equity_points, number, days), opens, closes)
        for start in self._times(_share(self._size.predictions - self._size.signals, number, days), opens, closes):
            self._tables[PredictionRecord].add(year_rows.idle_prediction(self._next_prediction(), self._symbol(), start, self._chance))
        for start in self._times(_share(self._size.commands - self._size.positions, number, days), opens, closes):
            self._tables[CommandRecord].add(year_rows.command(start, self._chance))
        for event in sorted(events, key=lambda row: row["timestamp"]):
            self._tables[EventRecord].add(event)

    def still_open(self, opens: int) -> None:
        """Positions of the last session that were not closed: their stories end before the exit."""
        for symbol in SYMBOLS[:OPEN_POSITIONS]:
            story, start = self._chance.choice(self._traded), datetime.fromtimestamp(opens + 1800, UTC)
            rows = _unfinished(story.cast(start=start, symbol=symbol, chance=self._chance))
            events: list[dict[str, Any]] = []
            self._store(rows, events, start)
            for event in events:
                self._tables[EventRecord].add(event)

    def _starts(self, stories: list[Story], count: int, opens: int, closes: int) -> Iterator[tuple[Story, datetime]]:
        for _ in range(count):
            story = self._chance.choice(stories)
            latest = max(opens + 60, closes - story.seconds)
            yield story, datetime.fromtimestamp(self._chance.uniform(opens, latest), UTC)

    def _times(self, count: int, opens: int, closes: int) -> Iterator[datetime]:
        for at in sorted(self._chance.uniform(opens, closes) for _ in range(count)):
            yield datetime.fromtimestamp(at, UTC)

    def _symbol(self) -> str:
        return self._chance.choices(SYMBOLS, self._weights)[0]

    def _next_prediction(self) -> int:
        self._predictions += 1
        return self._predictions

    def _passed_over(self, story: Story, start: datetime) -> Rows:
        """A signal that nothing was bought on, in one of the ends that a signal has."""
        rows = story.cast(start=start, symbol=self._symbol(), chance=self._chance)
        state = self._chance.choices(list(OTHER_STATES), list(OTHER_STATES.values()))[0]
        rows["signal"][0] |= {"state": state, "reason": year_rows.REASONS[state]}
        rows["event"].append(year_rows.signal_end(rows["signal"][0], start, self._chance))
        return rows

    def _store(self, rows: Rows, events: list[dict[str, Any]], start: datetime) -> None:
        number = self._next_prediction()
        for prediction in rows["prediction"]:
            prediction |= {"id": number, "timestamp": int(start.timestamp() * 1000) * 10 + number % 10}
        for signal in rows["signal"]:
            signal["prediction_id"] = number
        for kind in ("prediction", "signal", "position", "order", "fill"):
            for row in rows[kind]:
                self._tables[KINDS[kind]].add(row)
        events += rows["event"]

    def _approve(self, rows: Rows, start: datetime) -> None:
        self._tables[CommandRecord].add(year_rows.approval(rows["signal"][0], start, self._chance))

    def _worth(self, count: int, opens: int, closes: int) -> Iterator[dict[str, Any]]:
        """The account's worth, noted evenly over the session: the point, and the event it came in."""
        began = self._equity
        for number in range(count):
            at = datetime.fromtimestamp(int(opens + (closes - opens) * (number + 1) / count), UTC)
            self._equity = round(self._equity + self._chance.gauss(0.4, 45), 2)
            point = year_rows.worth(self._equity, began, at)
            self._tables[EquityPoint].add(point | {"resolution": "minute" if self._now - at < timedelta(days=400) else "hour"})
            yield year_rows.worth_event(point, timed_id(int(at.timestamp() * 1000), self._chance), at)


def _has_position(story: Story) -> bool:
    example = story.cast(start=datetime(2026, 1, 5, 15, tzinfo=UTC), symbol="SPY", chance=random.Random(0))  # noqa: S311 - made-up rows
    return bool(example["position"])


def _share(total: int, number: int, days: int) -> int:
    """How many of `total` fall on day `number` of `days`, so that the days add up to it."""
    return total * (number + 1) // days - total * number // days


def _unfinished(rows: Rows) -> Rows:
    """The story up to the moment its position was open: newest states of then, resting exits, no exit fill."""
    opened = next(event for event in rows["event"] if event["event_type"] == "PositionUpdateEvent" and _status(event) == "open")
    kept = rows["event"][: rows["event"].index(opened) + 1]
    state = position_state(PositionUpdateEvent.from_dict(opened["data"]))
    for position in rows["position"]:
        position |= {"status": "open", "quantity": state["quantity"], "close_time": None, "exit_price": None, "realized_pnl": "0"}
        position |= {"unrealized_pnl": str(state["unrealized_pnl"]), "stop_state": "resting", "reason": "", "data": state}
    for order in rows["order"]:
        if order["role"] in ("stop", "target"):
            order |= {"state": "working", "filled_quantity": "0", "average_price": None, "finished_at": None}
            order["data"] |= {"state": "working", "filled_quantity": 0, "average_price": None, "finished_at": None}
    entries = {order["order_id"] for order in rows["order"] if order["role"] == "entry"}
    fills = [fill for fill in rows["fill"] if fill["order_id"] in entries]
    return rows | {"event": kept, "fill": fills, "order": [order for order in rows["order"] if order["role"] != "exit"]}


def _status(event: dict[str, Any]) -> str:
    return str(event["data"].get("status", ""))
