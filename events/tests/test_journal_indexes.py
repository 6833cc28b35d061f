"""Every question the pages ask of the journal is answered from an index, however long it has become."""

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from events.models import EventRecord
from events.views import Filters

pytestmark = pytest.mark.django_db


def plan(rows: QuerySet[EventRecord]) -> str:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # a small table is quicker read whole; it will not stay small
    return rows.explain()


@pytest.fixture(autouse=True)
def some_rows() -> None:
    EventRecord.objects.bulk_create(
        EventRecord(event_id=f"e{n}", event_type="FillEvent", symbol="NVDA", order_id=f"o{n}", timestamp=timezone.now()) for n in range(300)
    )


@pytest.mark.parametrize(
    "filters",
    [Filters(type="FillEvent"), Filters(type="orders"), Filters(symbol="NVDA"), Filters(id="o7"), Filters(symbol="NVDA", type="FillEvent")],
    ids=str,
)
@pytest.mark.parametrize("part", [{}, {"seq__lt": 200}, {"seq__gt": 200}], ids=["newest", "older", "newer"])
def test_a_filtered_page_of_the_journal_reads_no_more_than_an_index_gives(filters: Filters, part: dict[str, int]) -> None:
    rows = filters.apply(EventRecord.objects.filter(**part))
    chosen = plan(rows.order_by("seq" if "seq__gt" in part else "-seq")[:50])
    assert "Seq Scan" not in chosen
    assert "events_even" in chosen, chosen  # an index of its own, not the rows in order of seq


@pytest.mark.parametrize("column", ["signal_id", "order_id", "position_id", "event_id", "cause"])
def test_what_belongs_to_one_id_is_found_by_an_index(column: str) -> None:
    chosen = plan(EventRecord.objects.filter(**{column: "o7"}).order_by("-seq")[:50])
    assert "Seq Scan" not in chosen
    assert "SCAN" not in chosen
