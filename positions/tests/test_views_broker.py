"""The Broker page: what it shows of the last comparison, what it lets people file, and statements given to it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from events.accounts import SIMULATED_ACCOUNT
from events.clock import utc_now
from events.models import CommandRecord, SetAside
from positions.models import BrokerCheck, FillRecord, StatementCheck
from positions.statement_check import _ours
from positions.statements.matching import with_realized
from positions.tests.people import logged_in
from positions.tests.rows import NOON, Trip, make_position

pytestmark = pytest.mark.django_db
KEY = "a-fresh-key-123"


def row(kind, key, state, **more):
    empty = {"symbol": "AAPL", "what": "shares", "cause": "", "blocks": False, "ours": 0, "theirs": 0, "difference": 0, "detail": ""}
    return {"id": f"{kind}:{key}", "kind": kind, "state": state, "order_id": "", "position_id": "", **empty, **more}


def compared(*rows, age=5, blocked=""):
    at = utc_now() - timedelta(seconds=age)
    data = {"id": "check", "v": 0, "at": at.isoformat(), "rows": list(rows), "blocked": blocked}
    return BrokerCheck.objects.create(account=SIMULATED_ACCOUNT, first_at=at, at=at, kind="light", blocked=blocked, data=data)


EXTERNAL = row("position", "AAPL", "external", theirs=60, elsewhere=60, cause="Made elsewhere.")


def test_without_a_comparison_the_page_says_so_and_shows_no_numbers():
    answer = logged_in("viewer").get(reverse("positions:broker"))
    assert answer.status_code == 200
    assert b"has not compared the books yet" in answer.content


def test_rows_are_shown_with_ours_theirs_difference_and_cause():
    compared(
        row("position", "AAPL", "differs", ours=100, theirs=40, difference=-60, cause="nobody knows", blocks=True), blocked="AAPL differs"
    )
    answer = logged_in("trader").get(reverse("positions:broker")).content.decode()
    for text in ("nobody knows", "AAPL differs", "Entries are refused", "\u221260", "Acknowledge"):
        assert text in answer
    assert "This comparison is old" in answer.split("data-books-old hidden>")[1]


def test_an_old_comparison_is_called_old():
    compared(EXTERNAL, age=600)
    assert b"data-books-old>This comparison is old" in logged_in("viewer").get(reverse("positions:broker")).content


def test_a_viewer_sees_the_rows_and_cannot_resolve_them():
    compared(EXTERNAL)
    viewer = logged_in("viewer")
    assert b"Resolve</summary>" not in viewer.get(reverse("positions:broker")).content
    wish = {"key": KEY, "symbol": "AAPL", "quantity": "60", "reason": "x"}
    assert viewer.post(reverse("positions:broker_close"), wish).status_code == 403
    assert viewer.post(reverse("positions:broker_statement_check")).status_code == 403


@pytest.mark.parametrize(
    ("address", "fields", "name", "payload"),
    [
        (
            "broker_adopt",
            {"symbol": "AAPL", "quantity": "60.0", "stop_loss": "140.5", "take_profit": ""},
            "AdoptHolding",
            {"symbol": "AAPL", "quantity": 60.0, "stop_loss": 140.5, "take_profit": None},
        ),
        ("broker_close", {"symbol": "AAPL", "quantity": "-60"}, "CloseHolding", {"symbol": "AAPL", "quantity": -60.0}),
        ("broker_release", {"position_id": "p1", "quantity": "100"}, "ReleasePosition", {"position_id": "p1", "quantity": 100.0}),
        (
            "broker_acknowledge",
            {"row": "cash:USD", "ours": "1.5", "theirs": "2.5", "kind": "dividend"},
            "AcknowledgeDifference",
            {"row": "cash:USD", "ours": 1.5, "theirs": 2.5, "kind": "dividend"},
        ),
    ],
)
def test_a_resolution_is_filed_once_with_who_and_why(address, fields, name, payload):
    trader = logged_in("trader")
    for _ in range(2):
        answer = trader.post(reverse(f"positions:{address}"), {**fields, "key": KEY, "reason": "I know"})
        assert answer.status_code == 302
    record = CommandRecord.objects.get()
    assert (record.name, record.payload) == (name, {**payload, "reason": "I know"})
    assert record.created_by.username == "trader"
    assert "I know" in trader.get(reverse("positions:broker")).content.decode()


@pytest.mark.parametrize(
    "broken", [{"reason": ""}, {"stop_loss": ""}, {"stop_loss": "NaN"}, {"quantity": "0"}, {"symbol": "<b>"}, {"key": ""}]
)
def test_a_broken_resolution_is_refused_in_words(broken):
    good = {"key": KEY, "symbol": "AAPL", "quantity": "60", "stop_loss": "140", "reason": "mine"}
    answer = logged_in("trader").post(reverse("positions:broker_adopt"), good | broken)
    assert answer.status_code == 400
    assert not CommandRecord.objects.exists()


def test_an_order_in_doubt_offers_the_word_its_evidence_allows_and_files_it_once():
    compared(row("order", "TD1-E", "in_doubt", order_id="o-1", verdict="never_sent", cause="The link broke."))
    trader = logged_in("trader")
    page = trader.get(reverse("positions:broker")).content.decode()
    assert "It never reached IB" in page
    assert "It is over at IB" not in page
    assert "broker/acknowledge" not in page
    wish = {"key": KEY, "order_id": "o-1", "verdict": "never_sent", "reason": "not in TWS"}
    for _ in range(2):
        assert trader.post(reverse("positions:broker_doubt"), wish).status_code == 302
    record = CommandRecord.objects.get()
    assert (record.name, record.order_id, record.payload["verdict"]) == ("ResolveDoubt", "o-1", "never_sent")
    assert "An order in doubt never reached IB" in trader.get(reverse("positions:broker")).content.decode()
    assert trader.post(reverse("positions:broker_doubt"), wish | {"verdict": "gone", "key": KEY + "2"}).status_code == 400
    assert logged_in("viewer").post(reverse("positions:broker_doubt"), wish).status_code == 403


def test_an_order_made_elsewhere_can_be_acknowledged_and_says_who_may_cancel_it():
    foreign = row("order", "ext-7", "external", order_id="ext-7", ours=None, theirs=10, cause="IB lets only that hand")
    compared(foreign)
    trader = logged_in("trader")
    page = trader.get(reverse("positions:broker")).content.decode()
    assert "IB lets only that hand" in page
    assert "broker/acknowledge" in page
    compared(foreign | {"accepted": True}, age=1)
    assert "broker/acknowledge" not in trader.get(reverse("positions:broker")).content.decode()


def test_what_was_set_aside_is_shown_with_reason_and_content_as_text():
    SetAside.objects.create(
        key="execution 1.2", kind="cause", at=utc_now(), epoch=3, reason="ended the worker 3 times", content="<b>raw</b>"
    )
    SetAside.objects.create(key="section tick", kind="cause", at=utc_now(), until=utc_now(), epoch=3, reason="over")
    page = logged_in("viewer").get(reverse("positions:broker")).content.decode()
    for text in ("execution 1.2", "ended the worker 3 times", "&lt;b&gt;raw&lt;/b&gt;"):
        assert text in page
    assert "section tick" not in page


# --- statements -------------------------------------------------------------------------------------------------------


def flex_of_the_books(**changed):
    """A Flex statement that says exactly what our fills say, or with something changed."""
    trades = ""
    for fill in with_realized([_ours(record) for record in FillRecord.objects.all()]):
        said = {
            "symbol": fill.symbol, "ibExecID": fill.exec_id, "dateTime": "20260304;120000", "quantity": fill.quantity,
            "tradePrice": fill.price,
            "ibCommission": -(fill.commission or 0), "fifoPnlRealized": fill.realized, "levelOfDetail": "EXECUTION",
        } | changed  # fmt: skip
        trades += "<Trade " + " ".join(f'{name}="{value}"' for name, value in said.items()) + "/>"
    head = '<FlexQueryResponse><FlexStatements><FlexStatement accountId="DUSIM001" fromDate="20260304" toDate="20260304">'
    return f"{head}<Trades>{trades}</Trades></FlexStatement></FlexStatements></FlexQueryResponse>".encode()


def give(data, name="day.xml"):
    return logged_in("trader").post(reverse("positions:broker_statement_check"), {"file": SimpleUploadedFile(name, data)}, follow=True)


def test_a_statement_that_says_the_same_agrees_to_the_cent():
    make_position(Trip(opened=NOON, closed=NOON + timedelta(minutes=30)))
    answer = give(flex_of_the_books())
    check = StatementCheck.objects.get()
    assert (check.ok, check.matched, check.created_by.username) == (True, 2, "trader")
    assert b"Agrees to the cent" in answer.content


def test_a_cent_of_commission_is_found_and_shown():
    make_position(Trip(exit=None))
    answer = give(flex_of_the_books(ibCommission="-1.01"), name="../../<b>evil</b>.xml").content.decode()
    check = StatementCheck.objects.get()
    assert (check.ok, check.differs, check.file_name) == (False, 1, "b>.xml")
    assert "statement 1.01" in answer
    assert "another commission" in answer


def test_a_hostile_file_is_refused_on_the_page_and_nothing_is_stored():
    answer = give(b'<!DOCTYPE x [<!ENTITY a "b">]><FlexQueryResponse/>')
    assert answer.status_code == 400
    assert b"defines entities" in answer.content
    assert not StatementCheck.objects.exists()


def test_another_accounts_statement_is_refused():
    make_position(Trip(exit=None))
    assert b"another account" in give(flex_of_the_books().replace(b"DUSIM001", b"U7654321")).content


def test_the_statement_of_an_account_that_is_not_shown_opens_and_names_it():
    make_position(Trip(exit=None))
    FillRecord.objects.update(account="DU7654321")
    answer = give(flex_of_the_books().replace(b"DUSIM001", b"DU7654321"))
    assert (answer.status_code, StatementCheck.objects.get().account) == (200, "DU7654321")
    assert "DU***321 · day.xml" in answer.content.decode()


def test_the_command_compares_a_file_and_says_what_differs(tmp_path, capsys):
    make_position(Trip(exit=None))
    file = tmp_path / "day.xml"
    file.write_bytes(flex_of_the_books())
    call_command("import_statement", str(file))
    assert "1 match, 0 differ" in capsys.readouterr().out
    file.write_bytes(flex_of_the_books(tradePrice="1"))
    with pytest.raises(SystemExit):
        call_command("import_statement", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_statement", str(tmp_path / "none.xml"))
