"""Files in the wrong form or packing: opened where that is safe, else refused in the sentence that leads to the right file."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date
from decimal import Decimal

import pytest

from positions.statements.reading import LARGEST_FILE, read_statement
from positions.statements.statement import BadStatement
from positions.tests.statements.test_reading import ACTIVITY, flex, trade

FLEX = flex(trade())


def zipped(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def encrypted(data: bytes) -> bytes:
    """The flag of an encrypted member, in both of its headers."""
    changed = bytearray(data)
    changed[6] |= 1
    changed[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "data",
    [gzip.compress(FLEX), zipped(("day.xml", FLEX)), zipped(("__MACOSX/._day.xml", b"x"), ("day.xml", FLEX))],
    ids=["gz", "zip", "zip of a Mac"],
)
def test_a_packed_file_is_simply_opened(data: bytes) -> None:
    assert read_statement(data) == read_statement(FLEX)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"x" * (LARGEST_FILE + 1)), "larger than 10 MB"),
        (zipped(("day.xml", b"x" * (LARGEST_FILE + 1))), "larger than 10 MB"),
        (gzip.compress(gzip.compress(FLEX)), "another archive"),
        (zipped(("inner.zip", zipped(("day.xml", FLEX)))), "another archive"),
        (zipped(("a.xml", FLEX), ("b.xml", FLEX)), r"2 files \('a.xml', 'b.xml'\)"),
        (zipped(("[Content_Types].xml", b"x"), ("xl/workbook.xml", b"x")), "spreadsheet"),
        (zipped(), "zip archive is empty"),
        (encrypted(zipped(("day.xml", FLEX))), "encrypted"),
        (gzip.compress(FLEX)[:-20], "damaged or cut short"),
        (zipped(("day.xml", FLEX))[:-30], "cannot be opened"),
        (gzip.compress(b""), "empty"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "spreadsheet"),
        (b"<!DOCTYPE html><html><body>Activity Statement</body></html>", "web page"),
        (b"\n<!-- saved --><html>x</html>", "web page"),
        (b'"ClientAccountID","CurrencyPrimary","Symbol"\n"U1","USD","AAPL"\n', "Flex Query delivered as CSV"),
        (b'"BOF","U1","Desk","1"\n"HEADER","TRNT","ClientAccountID"\n', "Flex Query delivered as CSV"),
        (ACTIVITY.replace(",", ";").encode(), "semicolons"),
        (ACTIVITY.replace(",150.25,", ',"150,25",').encode(), "decimal comma"),
        (flex(trade(price="150,25")), "decimal comma"),
        (flex(trade(price="1.150,25")), "decimal comma"),
        (
            b"Statement,Header,Field Name,Field Value\nStatement,Data,Title,Transaction History\nTransaction History,Header,Date,Account\n",
            "Transaction History",
        ),
        (ACTIVITY.replace("Account,U1", "Account,U***4321").encode(), r"hides its account number \(U\*\*\*4321\)"),
        (FLEX.replace(b'accountId="U1"', b'accountId="U***4321"'), "hides its account number"),
        (ACTIVITY.replace("Account Information,Data,Account,U1\n", "").encode(), "does not say of which account"),
        (ACTIVITY.replace("T. Price,", "Something,").encode(), "no column T. Price"),
        (ACTIVITY.replace("DataDiscriminator,", "Something,").encode(), "no column DataDiscriminator"),
        (flex(trade().replace('ibCommission="-1.05"', "")), r"lacks the field IBCommission \(ibCommission\)"),
        (flex(trade().replace('tradePrice="150.25"', "")), r"lacks the field TradePrice \(tradePrice\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # a packed file holds the time of packing
)
def test_every_wrong_file_gets_the_sentence_that_leads_to_the_right_one(data: bytes, words: str) -> None:
    with pytest.raises(BadStatement, match=words) as refused:
        read_statement(data)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 250


def test_a_query_without_a_section_says_what_could_not_be_compared() -> None:
    bare = FLEX.replace(b"<OpenPositions>", b"<!--").replace(b"</OpenPositions>", b"-->")
    assert any("no Open Positions section: add it" in note for note in read_statement(bare).notes)


BOOKING = (
    '<Trade currency="USD" assetCategory="{kind}" symbol="TSLA" tradeID="7" dateTime="20260302;162000" tradeDate="20260302" '
    'transactionType="BookTrade" quantity="100" tradePrice="200" ibCommission="0" notes="{note}" buySell="BUY" ibExecID=""/>'
)


def test_a_day_of_assignments_or_expiries_alone_is_read_and_not_blamed_on_the_query() -> None:
    [one] = read_statement(flex(BOOKING.format(kind="STK", note="A"))).trades
    assert (one.symbol, one.booked, one.exec_id) == ("TSLA", "assigned", "BookTrade 7")
    expiry = read_statement(flex(BOOKING.format(kind="OPT", note="Ep")))
    assert (expiry.trades, expiry.skipped) == ((), 1)


@pytest.mark.parametrize("written", ["BRK B", "BRK.B", "BRK-B", "BRK/B", "brk b"])
def test_a_share_class_is_one_symbol_however_it_is_written(written: str) -> None:
    assert read_statement(flex(trade().replace("AAPL", written))).trades[0].symbol == "BRK.B"


def evening(**more: str) -> bytes:
    said = " ".join(f'{name}="{value}"' for name, value in more.items())
    return flex(trade(more=said).replace("20260302;103000", "20260301;203000"))


def test_an_evenings_trade_belongs_to_the_next_trade_date_and_keeps_its_time() -> None:
    for data in (evening(), evening(tradeDate="20260302", reportDate="20260302")):
        statement = read_statement(data)
        [one] = statement.trades
        assert (one.day, one.at.isoformat(), statement.days) == (date(2026, 3, 2), "2026-03-01T20:30:00-05:00", [date(2026, 3, 2)])


# --- cancellations ----------------------------------------------------------------------------------------------------

CANCEL = (
    '<Trade currency="USD" assetCategory="STK" symbol="AAPL" transactionType="TradeCancel" origTradeID="{of}" transactionID="{booked}" '
    'dateTime="{at}" tradeDate="{day}" reportDate="20260302" quantity="-100" tradePrice="150.25" ibCommission="{fee}" '
    'fifoPnlRealized="0" notes="Ca" buySell="BUY (Ca.)" ibExecID=""/>'
)


def cancel(of: str = "", day: str = "20260302", at: str = "20260302;103000", fee: str = "0", booked: str = "") -> str:
    return CANCEL.format(of=of, day=day, at=at, fee=fee, booked=booked)


def test_the_fee_that_a_cancellation_does_not_give_back_is_kept() -> None:
    statement = read_statement(flex(trade(), cancel()))
    assert statement.trades == ()
    assert [(t.quantity, t.commission, t.lines) for t in statement.cancelled] == [(0, Decimal("1.05"), (1, 2))]


def test_a_correction_pays_what_its_first_form_cost() -> None:
    first = trade(more='tradeID="9" transactionID="100"')
    again = trade(quantity="60", more='tradeID="9" transactionID="102"')
    statement = read_statement(flex(first, cancel(of="9", booked="101"), again))
    assert [(t.quantity, t.commission, t.lines) for t in statement.trades] == [(Decimal(60), Decimal("2.10"), (3, 1, 2))]
    assert (statement.cancelled, statement.cancels) == ((), ())


@pytest.mark.parametrize("booked", ["", "101"])
@pytest.mark.parametrize("of", ["", "9"])
def test_a_cancellation_of_an_earlier_day_takes_nothing_of_this_day_and_is_not_lost(of: str, booked: str) -> None:
    today = trade(more='tradeID="8" transactionID="100"')
    statement = read_statement(flex(today, cancel(of=of, day="20260227", at="20260227;103000", booked=booked)))
    assert len(statement.trades) == 1
    assert [(c.symbol, c.day, c.quantity) for c in statement.cancels] == [("AAPL", date(2026, 2, 27), Decimal(-100))]


@pytest.mark.parametrize("price", ["150.25", "150.30"])
def test_the_replacement_of_an_earlier_days_trade_is_not_taken_for_the_trade_it_replaces(price: str) -> None:
    replaced = trade(price=price, more='tradeID="9" tradeDate="20260227" reportDate="20260302"').replace(
        "20260302;103000", "20260227;103000"
    )
    statement = read_statement(flex(cancel(of="9", day="20260227", at="20260227;103000"), replaced))
    assert [(t.day, t.price, t.lines) for t in statement.trades] == [(date(2026, 2, 27), Decimal(price), (2, 1))]
    assert statement.trades[0].commission is None  # the first form's stands on an earlier statement


def test_the_same_execution_listed_twice_counts_once() -> None:
    statement = read_statement(flex(trade(), trade()))
    assert len(statement.trades) == 1
    assert [(left.reason, left.lines) for left in statement.left_out if left.section == "Trades"] == [("repeats row 1", (2,))]


def test_every_row_of_a_file_is_in_one_list() -> None:
    for data in (FLEX, flex(trade(), cancel(), trade(quantity="7").replace("STK", "OPT")), ACTIVITY.encode()):
        statement = read_statement(data)
        lists = (statement.trades, statement.cancelled, statement.cancels, statement.cash, statement.actions, statement.positions)
        lines = [line for rows in (*lists, statement.balances, statement.left_out) for row in rows for line in row.lines]
        assert sorted(lines) == list(range(1, statement.rows + 1))
