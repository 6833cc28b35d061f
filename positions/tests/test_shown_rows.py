"""Rows for pages come from the database without their long parts, and are what the record itself would show."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from positions.models import OrderRecord, PositionRecord
from positions.shown_rows import shown_rows
from positions.tests.rows import Trip, make_order, make_position

pytestmark = pytest.mark.django_db
LONG = [{"time": "2026-03-04T17:00:00+00:00", "type": "stop moved", "reason": "x" * 100} for _ in range(500)]


def test_the_rows_are_those_of_the_records_in_their_order() -> None:
    for n in range(3):
        make_position(Trip(symbol=f"S{n}", exit=None, stop=145.0, last=151.25), f"p-{n}")
    make_order("o-1")
    held = PositionRecord.objects.order_by("-symbol")
    assert shown_rows(held) == [record.as_row() for record in held]
    assert [row["symbol"] for row in shown_rows(held.all()[:2])] == ["S2", "S1"]
    assert shown_rows(OrderRecord.objects.all()) == [OrderRecord.objects.get().as_row()]


def test_a_row_of_nothing_is_empty() -> None:
    record = make_position(Trip(exit=None, stop=145.0), "p")
    PositionRecord.objects.filter(pk=record.pk).update(data={})
    assert shown_rows(PositionRecord.objects.all()) == [{}]


def test_long_histories_stay_in_the_database(client, django_user_model) -> None:
    record = make_position(Trip(exit=None, stop=145.0, last=151.0), "p")
    PositionRecord.objects.filter(pk=record.pk).update(data=record.data | {"history": LONG})
    client.force_login(django_user_model.objects.create(username="ann"), backend="django.contrib.auth.backends.ModelBackend")
    for path in ("/", "/positions/", "/live/positions"):
        with CaptureQueriesContext(connection) as seen:
            assert client.get(path).status_code == 200
        whole = [query["sql"] for query in seen if re.search(r'(?<!\()"positions_positionrecord"\."data"', query["sql"])]
        assert not whole, path
