"""Lists of the admin over big tables: what is searched, filtered and drilled into, and that no table is read whole for it."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from events import admin_lists, keyset
from events.admin_lists import BigListAdmin, distinct_values
from events.models import CommandRecord, EventRecord

pytestmark = pytest.mark.django_db
EVENTS, COMMANDS = "/admin/events/eventrecord/", "/admin/events/commandrecord/"


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def stored(symbol: str = "NVDA", event_type: str = "FillEvent", **ids: str) -> EventRecord:
    at, event_id = datetime(2026, 3, 4, 15, tzinfo=UTC), str(uuid.uuid4())
    return EventRecord.objects.create(event_id=event_id, event_type=event_type, symbol=symbol, timestamp=at, data={}, **ids)


def wish(at: datetime, name: str = "HaltTrading") -> int:
    return CommandRecord.objects.create(key=uuid.uuid4().hex, name=name, created_at=at).pk


def shown(answer: Any) -> list[Any]:
    return [row.pk for row in answer.context["cl"].result_list]


@pytest.mark.parametrize("term", ["nvda", "NVDA", " NVDA "])
def test_a_search_for_a_symbol_finds_it_however_it_is_written(reader: Client, term: str) -> None:
    wanted = stored("NVDA")
    stored("AMD")
    assert shown(reader.get(EVENTS, {"q": term})) == [wanted.seq]


def test_a_search_for_an_id_finds_what_any_column_of_ids_holds(reader: Client) -> None:
    by_order, by_signal = stored(order_id="o-1"), stored(signal_id="o-1")
    stored(position_id="p-1")
    assert shown(reader.get(EVENTS, {"q": "o-1"})) == [by_signal.seq, by_order.seq]
    assert shown(reader.get(EVENTS, {"q": by_order.event_id})) == [by_order.seq]


@pytest.mark.parametrize("term", ["NVD", "o-", "%", "_", "x" * 5000, "9" * 40])
def test_a_part_of_a_word_finds_nothing_and_says_what_would(reader: Client, term: str) -> None:
    stored("NVDA", order_id="o-1")
    answer = reader.get(EVENTS, {"q": term})
    assert shown(answer) == []
    assert "A whole symbol, event id, signal id, order id or position id." in answer.content.decode()


def test_a_search_asks_columns_for_the_whole_term_alone(reader: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        reader.get(EVENTS, {"q": "zzzz"})
    about = [query["sql"] for query in asked if "events_eventrecord" in query["sql"]]
    assert about
    assert not any(word in sql.upper() for sql in about for word in ("LIKE", "UPPER("))


def test_dates_are_drilled_into_by_the_calendar_of_the_exchange(reader: Client) -> None:
    late = wish(datetime(2026, 3, 5, 3, 30, tzinfo=UTC))  # 22:30 on the 4th in New York
    other = wish(datetime(2024, 12, 31, 15, tzinfo=UTC))
    page = reader.get(COMMANDS)
    assert shown(page) == [other, late]
    for label in ("2026", "March 2026", "Wed, Mar 4, 2026"):
        links = re.findall(rf'href="(\?[^"]*)"[^>]*>\s*{label}\s*<', page.content.decode())
        page = reader.get(COMMANDS + unescape(links[0]))
        assert shown(page) == [late], label
    assert shown(reader.get(COMMANDS, {"created_at_on": "2026-03-05"})) == []
    assert shown(reader.get(COMMANDS, {"created_at_on": "2024"})) == [other]


@pytest.mark.parametrize("word", ["x", "2026-13", "2026-02-30", "0000", "99999", "9999-12-31", "2026-3-4"])
def test_a_date_that_is_none_filters_nothing(reader: Client, word: str) -> None:
    made = wish(datetime(2026, 3, 5, 3, 30, tzinfo=UTC))
    assert shown(reader.get(COMMANDS, {"created_at_on": word})) == [made]


def test_a_list_counts_no_further_than_it_must_and_says_so(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (keyset, admin_lists):
        monkeypatch.setattr(module, "MOST_COUNTED", 3)
    for _ in range(5):
        stored()
    page = reader.get(EVENTS).content.decode()
    assert re.search(r"more than 3\s+events", page)
    assert not re.search(r"(?<!more than )\b[345]\s+events", page)


def test_different_values_are_sought_in_the_index_in_their_order() -> None:
    assert distinct_values(EventRecord, "event_type") == []
    for kind in ("B", "A", "B", "C", "A"):
        stored(event_type=kind)
    assert distinct_values(EventRecord, "event_type") == ["A", "B", "C"]


# What people edit stays small.
SMALL = ("risklimits", "scopedlimitrecord", "protectionsettings", "watchlistentry", "signalsettings")


def big_lists() -> list[type[Any]]:
    return [model for model, page in admin.site._registry.items() if model._meta.app_label in ("events", "positions", "signals")]


@pytest.mark.parametrize("model", big_lists(), ids=lambda model: model._meta.label_lower)
def test_every_list_of_the_record_is_made_for_millions_of_rows(model: type[Any]) -> None:
    page = admin.site._registry[model]
    assert page.date_hierarchy is None, "it reads every date there is"
    assert isinstance(page, BigListAdmin) or model._meta.model_name in SMALL
