"""Paging by key: every row once in either direction, whatever arrives meanwhile, and counts that are true."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events import keyset
from events.keyset import Page, is_first, keyset_page
from events.models import CommandRecord, EventRecord

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 4, 17, tzinfo=UTC)
BY = ("created_at", "id")


def wishes(*seconds: float) -> list[int]:
    """Commands made so many seconds after noon; their ids in the order of the list pages show."""
    for after in seconds:
        CommandRecord.objects.create(key=uuid.uuid4().hex, name="HaltTrading", created_at=NOON + timedelta(seconds=after))
    return list(CommandRecord.objects.order_by("-created_at", "-id").values_list("id", flat=True))


def page_of(size: int = 3, **asked: str) -> Page[CommandRecord]:
    return keyset_page(CommandRecord.objects.all(), BY, asked, size=size)


def ids(page: Page[CommandRecord]) -> list[int]:
    return [row.pk for row in page.rows]


class TestWalking(TestCase):
    @given(seconds=st.lists(st.sampled_from([0, 0, 0.5, 1, 2.000001, 3]), max_size=23), size=st.integers(1, 9))
    def test_walking_to_older_and_back_visits_every_row_once_also_among_equal_times(self, seconds: list[float], size: int) -> None:
        CommandRecord.objects.all().delete()
        everything = wishes(*seconds)

        page = page_of(size)
        down = ids(page)
        while page.older:
            page = page_of(size, before=page.older)
            down += ids(page)
        assert down == everything

        up = ids(page)
        while page.newer:
            page = page_of(size, after=page.newer)
            up = ids(page) + up
        assert up == everything

    @given(count=st.integers(0, 12), size=st.integers(1, 5))
    def test_the_oldest_page_is_reached_at_once_and_leads_back_to_the_newest(self, count: int, size: int) -> None:
        CommandRecord.objects.all().delete()
        everything = wishes(*range(count))
        page = page_of(size, end="1")
        assert not page.older
        up = ids(page)
        while page.newer:
            page = page_of(size, after=page.newer)
            up = ids(page) + up
        assert up == everything


def test_new_rows_do_not_shift_a_page_being_read() -> None:
    wishes(1, 2, 3, 4)
    older = page_of(2).older
    before = ids(page_of(2, before=older))
    wishes(5)
    assert ids(page_of(2, before=older)) == before


@pytest.mark.parametrize("cursor", ["", "x", "~", "1~2~3", "1~", "-1~2", "9" * 79 + "~1", "9" * 200, "1\x00~1", "٣~1", "1e9~1"])
def test_a_cursor_that_is_none_shows_the_first_page(cursor: str) -> None:
    everything = wishes(1, 2, 3, 4)
    assert ids(page_of(2, before=cursor)) == ids(page_of(2, after=cursor)) == everything[:2]


def test_a_key_beyond_64_bits_is_no_crash() -> None:
    assert keyset_page(EventRecord.objects.all(), ("seq",), {"before": "9" * 30}, size=5).rows == []


def test_a_count_beyond_the_most_says_more_than(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "MOST_COUNTED", 3)
    wishes(1, 2, 3)
    assert (page_of().count_text, page_of().is_one_of_many) == ("3", False)
    wishes(4, 5)
    assert page_of().count_text == "more than 3"


def test_a_page_in_the_middle_costs_the_same_statements_however_far_it_is() -> None:
    wishes(*range(30))
    costs = []
    page = page_of(5)
    while page.older:
        with CaptureQueriesContext(connection) as asked:
            page = page_of(5, before=page.older)
        costs.append(len(asked))
        assert not any("OFFSET" in query["sql"] for query in asked)
    assert set(costs) == {3}


def test_only_a_list_without_a_place_is_the_first_page() -> None:
    assert is_first({"symbol": "SPY", "before": ""})
    assert not any(is_first({name: "1"}) for name in ("before", "after", "end"))
