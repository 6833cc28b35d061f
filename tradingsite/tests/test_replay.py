"""The journal folded from empty gives the tables row for row, and says so when it does not."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.test import Client

from events.clock import utc_now
from events.encoding import to_row
from events.journal import insert_rows
from events.models import EventRecord, JournalCheck
from events.system import EquityEvent
from positions.domain.packing import position_state
from positions.domain.position_events import opened
from positions.domain.stock import StockPosition
from positions.models import EquityPoint, FillRecord, OrderRecord, PositionRecord
from positions.store import project, save_marks
from tradingsite.celery import app
from tradingsite.replay import remember, verify
from tradingsite.tasks import verify_journal
from tradingsite.tests.page_data import person

pytestmark = pytest.mark.django_db


def test_a_week_of_trading_folds_to_the_live_rows(week):
    replay = verify()
    assert replay.differences == []
    assert replay.equal
    assert replay.rows["FillRecord"] == FillRecord.objects.count()
    assert replay.rows["OrderRecord"] == OrderRecord.objects.count()
    assert replay.events == EventRecord.objects.count()


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (OrderRecord, {"state": "working"}),
        (FillRecord, {"price": Decimal("1.23")}),
        (FillRecord, {"commission": Decimal("99")}),
        (PositionRecord, {"realized_pnl": Decimal("1000000")}),
        (PositionRecord, {"data": {"id": "somebody else's"}}),
        (EquityPoint, {"equity": Decimal("1")}),
    ],
)
def test_a_tampered_row_is_found(week, model, change):
    victim = model.objects.order_by("pk")[2]
    model.objects.filter(pk=victim.pk).update(**change)
    replay = verify()
    assert not replay.equal
    assert {d.table for d in replay.differences} == {model.__name__}
    assert {d.column.partition(".")[0] for d in replay.differences} == set(change)


def test_a_row_too_many_and_a_row_too_few_are_found(week):
    gone = FillRecord.objects.order_by("pk")[0]
    FillRecord.objects.filter(pk=gone.pk).delete()
    FillRecord.objects.filter(pk=FillRecord.objects.order_by("pk")[0].pk).update(exec_id="made-up.01")
    found = {(d.key, d.column, d.live) for d in verify().differences}
    assert (gone.exec_id, "row", "missing") in found
    assert ("made-up.01", "row", "there") in found


def test_a_changed_event_is_found(week):
    event = EventRecord.objects.filter(event_type="FillEvent").order_by("seq")[0]
    event.data["fill_price"] += 1
    EventRecord.objects.filter(pk=event.pk).update(data=event.data)
    assert any(d.column == "price" for d in verify().differences)


def test_marks_of_an_open_position_are_no_difference_but_everything_else_is(week):
    closed = PositionRecord.objects.order_by("pk")[0]
    trail = {"kind": "percent", "value": 3.0, "best": None, "distance": None, "moved_at": None, "moves": 0}
    row = closed.data | {"id": "open", "status": "open", "v": 1, "exit_rules": {"trail": trail}}
    position = StockPosition.from_dict(row)
    event = opened(position)
    project([(event, insert_rows([to_row(event)], epoch=0)[0])], 0)
    save_marks([position_state(event) | {"v": 99, "last": 1.0, "unrealized_pnl": -5.0, "mfe": 3.0}], 0)
    assert PositionRecord.objects.get(pk="open").version == 99
    assert verify().equal
    live = PositionRecord.objects.get(pk="open")
    live.data["exit_rules"]["trail"] |= {"best": 103.0, "distance": 3.09}  # as far as a price alone may go
    live.save()
    assert verify().equal
    live.data["exit_rules"]["trail"]["value"] = 4.0
    live.save()
    assert [d.column for d in verify().differences] == ["data.exit_rules"]
    live.data["exit_rules"]["trail"]["value"] = 3.0
    live.stop_loss = Decimal("0.01")
    live.save()
    assert [d.column for d in verify().differences] == ["stop_loss"]


def test_only_old_equity_points_may_have_been_thinned():
    now = utc_now()
    for ago in (timedelta(days=5), timedelta(days=5, seconds=-30), timedelta(seconds=40)):
        event = EquityEvent(account="A", equity=1.0, cash=1.0, timestamp=now - ago)
        project([(event, insert_rows([to_row(event)], epoch=0)[0])], 0)
    EquityPoint.objects.filter(at=now - timedelta(days=5)).delete()
    replay = verify()
    assert (replay.equal, replay.thinned) == (True, 1)
    EquityPoint.objects.filter(at=now - timedelta(seconds=40)).delete()
    assert not verify().equal


def test_the_command_says_equal_and_ends_with_1_when_it_is_not(week, capsys):
    call_command("replay", "--verify")
    assert "EQUAL: " in capsys.readouterr().out
    equal_at = JournalCheck.objects.get().equal_at
    OrderRecord.objects.filter(pk=OrderRecord.objects.order_by("pk")[0].pk).update(symbol="FORGED")
    with pytest.raises(SystemExit) as ended:
        call_command("replay", "--verify")
    assert ended.value.code == 1
    assert "FORGED in the table" in capsys.readouterr().out
    last = JournalCheck.objects.get()
    assert (last.equal, last.equal_at) == (False, equal_at)


def test_the_nightly_task_keeps_the_time_and_the_overview_shows_it(client: Client):
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    assert verify_journal() is True
    checks = {check["id"]: check for check in client.get("/overview/health").json()["checks"]}
    assert checks["journal"]["state"] == "ok"
    assert checks["journal"]["at"]
    assert "Journal replay" in client.get("/").content.decode()


def test_it_is_compared_every_night_on_the_schedule_of_beat():
    entry = app.conf.beat_schedule["verify-journal"]
    assert entry["task"] == verify_journal.name
    assert (entry["schedule"].hour, entry["schedule"].minute, entry["schedule"].day_of_week) == ({7}, {40}, set(range(7)))


def test_a_difference_is_an_event_and_so_is_its_end_but_an_equal_night_is_none(client: Client):
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    assert verify_journal() is True
    assert not EventRecord.objects.exists()
    EquityPoint.objects.create(account="A", at=utc_now(), equity=1, cash=1)
    assert verify_journal() is False
    told = EventRecord.objects.get(event_type="JournalCheckedEvent")
    assert (told.data["equal"], told.data["differences"]) == (False, 1)
    assert "1 value differs" in client.get("/events/journal/").content.decode()
    EquityPoint.objects.all().delete()
    assert verify_journal() is True
    assert [event.data["equal"] for event in EventRecord.objects.order_by("seq")] == [False, True]


def test_a_difference_is_shown_but_does_not_make_the_desk_unfit_to_trade(client: Client):
    client.force_login(person("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    replay = verify()
    EquityPoint.objects.create(account="A", at=utc_now(), equity=1, cash=1)
    remember(verify())
    body = client.get("/overview/health").json()
    assert replay.equal
    assert [check["state"] for check in body["checks"] if check["id"] == "journal"] == ["down"]
    assert "journal" not in {check["id"] for check in client.get("/readyz").json()["checks"]}
