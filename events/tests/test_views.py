"""The stored journal and the live trace as pages."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from events.clock import utc_now
from events.models import EventRecord

pytestmark = pytest.mark.django_db


def stored(event_type: str = "FillEvent", symbol: str = "NVDA", **fields: str) -> EventRecord:
    at, event_id = utc_now(), str(uuid.uuid4())
    data = {"event_type": event_type, "event_id": event_id, "timestamp": at.isoformat(), "symbol": symbol}
    return EventRecord.objects.create(event_id=event_id, event_type=event_type, symbol=symbol, timestamp=at, data=data, **fields)


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(User.objects.create_user("reader"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def shown(client: Client, **query: object) -> list[int]:
    page = client.get(reverse("events:journal"), query).content.decode()
    return [int(seq) for seq in re.findall(r'event-seq num">(\d+)<', page)]


def test_the_newest_event_comes_first(reader: Client) -> None:
    first, second = stored(), stored()
    assert shown(reader) == [second.seq, first.seq]


def test_new_events_do_not_shift_a_page_being_read(reader: Client) -> None:
    rows = [stored() for _ in range(3)]
    before = shown(reader, before=rows[2].seq)
    stored()
    assert shown(reader, before=rows[2].seq) == before == [rows[1].seq, rows[0].seq]


def test_the_journal_filters_by_type_group_symbol_and_id(reader: Client) -> None:
    fill = stored("FillEvent", "NVDA", order_id="o-1")
    reject = stored("RejectEvent", "AMD", order_id="o-2")
    opened = stored("PositionOpenEvent", "NVDA", position_id="p-1")
    assert shown(reader, type="FillEvent") == [fill.seq]
    assert shown(reader, type="orders") == [reject.seq, fill.seq]
    assert shown(reader, symbol="nvda") == [opened.seq, fill.seq]
    assert shown(reader, id="p-1") == [opened.seq]
    assert shown(reader, type="orders", symbol="AMD", id="o-2") == [reject.seq]


@pytest.mark.parametrize(
    "query",
    [
        {"before": "abc"},
        {"before": "-1"},
        {"before": "9" * 40},
        {"after": "1.5"},
        {"before": "٣"},
        {"type": "x" * 5000, "symbol": "<script>", "id": "' OR 1=1 --"},
        {"before": str(2**63)},
    ],
)
def test_a_mangled_address_never_breaks_the_journal(reader: Client, query: dict[str, str]) -> None:
    stored()
    for name in ("events:journal", "events:trace"):
        assert reader.get(reverse(name), query).status_code == 200


def test_every_event_can_be_unfolded_to_its_whole_state(reader: Client) -> None:
    stored(order_id="o-77")
    page = reader.get(reverse("events:journal")).content.decode()
    assert "&quot;event_type&quot;: &quot;FillEvent&quot;" in page
    assert "o-77" in page


def test_an_empty_journal_and_an_empty_filter_say_different_things(reader: Client) -> None:
    assert "The journal is empty" in reader.get(reverse("events:journal")).content.decode()
    stored()
    assert "Nothing matches" in reader.get(reverse("events:journal"), {"symbol": "ZZZ"}).content.decode()


def test_the_trace_leaves_out_what_changed_nothing_until_asked(reader: Client) -> None:
    as_before = {"ok": True, "filled": 0, "differences": [], "opened": 3}
    rows = [("EquityEvent", {}), ("ReconcileEvent", as_before), ("ReconcileEvent", as_before | {"filled": 2}), ("FillEvent", {})]
    seqs = []
    for event_type, fields in rows:
        row = stored(event_type)
        row.data |= fields
        row.save()
        seqs.append(row.seq)

    def traced(**query: str) -> list[int]:
        page = reader.get(reverse("events:trace"), query).content.decode()
        return [int(seq) for seq in re.findall(r'data-seq="(\d+)"', page)]

    assert traced() == [seqs[3], seqs[2]]
    assert traced(quiet="1") == seqs[::-1]
    assert traced(type="EquityEvent") == [seqs[0]]
    assert shown(reader) == seqs[::-1]  # the journal keeps everything


def test_the_pages_are_read_only(reader: Client) -> None:
    for name in ("events:journal", "events:trace"):
        assert reader.post(reverse(name)).status_code == 405
