"""The weekly review: what limits and people did, from the rows, as a page and as a file."""

from __future__ import annotations

import csv
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.commands import ClosePosition
from events.inbox import file_command
from events.models import CommandRecord, EventRecord
from positions import limit_changes
from positions.models import AlarmRecord, ErrorTrade, LimitChange, RiskLock
from tradingsite.review import KINDS, lines_of, monday_of, week_word
from tradingsite.switching import switch_to
from tradingsite.tests.page_data import pending_signal, person, working_order

pytestmark = pytest.mark.django_db
EASTERN = ZoneInfo("America/New_York")
AT = datetime(2026, 3, 4, 11, tzinfo=EASTERN)


@pytest.fixture
def client_of_week() -> Client:
    """A week with one of every kind in it."""
    admin = person("admin", name="chief")
    limit_changes.note("risk limits", {"max_order_quantity": "5"}, {"max_order_quantity": "9"}, by="chief", reason="=more")
    LimitChange.objects.update(at=AT)
    file_command(ClosePosition(position_id="p1"), account=SIMULATED_ACCOUNT, user=admin, key="k")
    CommandRecord.objects.update(created_at=AT, state="refused", code="no_position", reason="Nothing is held.")
    signal = pending_signal()
    decision = {"edited": ["quantity"], "quantity": 7}
    type(signal).objects.update(state="approved", decided_at=AT, decided_by="ann", decision=decision)
    order = working_order(state="rejected")
    type(order).objects.update(updated_at=AT, code="201", message="No margin.")
    switch_to("halted", reason="smoke", by="ann")
    EventRecord.objects.update(timestamp=AT)
    RiskLock.objects.create(
        account="DUSIM001", cause="c", code="drawdown", scope="book", reason="Deep.", since=AT, cleared_at=AT, cleared_by="chief"
    )
    ErrorTrade.objects.create(account=SIMULATED_ACCOUNT, position_id="p1", symbol="AAPL", note="wrong", marked_at=AT, marked_by="ann")
    AlarmRecord.objects.create(kind="link", about="broker", text="Link down.", first_seen=AT, last_seen=AT)
    client = Client()
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_week_lists_every_kind_and_only_its_own(client_of_week):
    assert {line.kind for line in lines_of(SIMULATED_ACCOUNT, date(2026, 3, 2))} == set(KINDS)
    assert lines_of(SIMULATED_ACCOUNT, date(2026, 2, 23)) == []
    page = client_of_week.get(reverse("review", args=["2026-W10"])).content.decode()
    for said in (
        "Deep.",
        "smoke",
        "META approved with quantity 7",
        "no such position: Nothing is held.",
        "201: No margin.",
        "wrong",
        "Link down.",
    ):
        assert said in page


def test_the_file_has_the_same_lines_and_no_formulas(client_of_week):
    answer = client_of_week.get(reverse("review_csv", args=["2026-W10"]))
    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    assert len(rows) == len(lines_of(SIMULATED_ACCOUNT, date(2026, 3, 2))) == 9
    [limit] = [row for row in rows if row["kind"] == "limit change"]
    assert (limit["who"], limit["why"]) == ("chief", "'=more")
    assert limit["at_utc"] == "2026-03-04T16:00:00+00:00"


@pytest.mark.parametrize("week", ["2026-W60", "2026-10", "nonsense", "1900-W01"])
def test_no_such_week_is_not_found(client_of_week, week):
    assert client_of_week.get(f"/review/{week}/").status_code == 404


def test_weeks_begin_on_monday_and_cross_the_year():
    assert monday_of("2026-W53") == date(2026, 12, 28)
    assert week_word(date(2027, 1, 3)) == "2026-W53"
