"""History and fills of positions in rows of their own: what new and old events bring, and what old rows leave behind."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime

import pytest
from django.apps import apps

from positions import store
from positions.domain import position_events
from positions.domain.position_events import Before
from positions.domain.stock import StockPosition
from positions.models import PositionChange, PositionEntry, PositionRecord

pytestmark = pytest.mark.django_db
MIGRATION = "positions.migrations.0011_growing"
NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)


def held() -> StockPosition:
    position = StockPosition("AAPL", "p-1", account="DUSIM001", now=lambda: NOON)
    position.plan(100, stop_loss=95.0)
    position.apply_fill(100, 100.0, fill_id="0001.01", order_id="o-1", at=NOON)
    return position


def test_events_bring_what_is_new_and_rows_hold_all_of_it() -> None:
    position = held()
    store.project([(position_events.opened(position), 1)], 1)
    before = Before.of(position)
    position.add_commission("0001.01", 1.25)
    event = position_events.updated(position, before, reason="commission")
    assert [line["type"] for line in event.position_data["new_history"]] == ["commission"]
    store.project([(event, 2)], 1)
    assert set(PositionRecord.objects.get().data) == set(position.state())
    [row] = store.load_positions("DUSIM001")
    assert StockPosition.from_dict(row).to_dict() == position.to_dict()


def test_an_event_of_before_that_carries_everything_makes_the_same_rows() -> None:
    position = held()
    event = position_events.opened(position)
    old = event.from_dict(event.to_dict() | {"position_data": position.to_dict()})
    store.project([(old, 1), (old, 2)], 1)
    [row] = store.load_positions("DUSIM001")
    assert StockPosition.from_dict(row).to_dict() == position.to_dict()


def test_the_migration_moves_history_and_fills_out_of_the_rows() -> None:
    position = held()
    columns = store.position_columns(position.state(), 1)
    PositionRecord.objects.create(**columns | {"data": position.to_dict()})
    importlib.import_module(MIGRATION).move_out(apps, None)
    assert PositionChange.objects.count() == len(position.history)
    assert PositionEntry.objects.count() == 1
    [row] = store.load_positions("DUSIM001")
    assert StockPosition.from_dict(row).to_dict() == position.to_dict()
