"""What a statement says of other days, of shares we never bought and of itself: nothing of a file is passed over in silence."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from positions.models import EquityPoint, FillRecord, StatementCheck
from positions.statement_check import check_statement
from positions.tests.people import logged_in

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 2)
HEAD = (
    '<FlexQueryResponse type="AF"><FlexStatements><FlexStatement accountId="DUSIM001" fromDate="20260302" toDate="20260302">'
    "<Trades>{trades}</Trades>{more}</FlexStatement></FlexStatements></FlexQueryResponse>"
)
TRADE = {
    "currency": "USD", "assetCategory": "STK", "symbol": "AAPL", "ibExecID": "0001.a.01.01", "dateTime": "20260302;103000",
    "tradeDate": "20260302", "reportDate": "20260302", "quantity": "100", "tradePrice": "150.25", "ibCommission": "-1",
    "fifoPnlRealized": "0", "levelOfDetail": "EXECUTION",
}  # fmt: skip
CANCEL = TRADE | {
    "ibExecID": "", "quantity": "-100", "transactionType": "TradeCancel", "notes": "Ca", "buySell": "BUY (Ca.)", "ibCommission": "0",
}  # fmt: skip
EARLIER = {"dateTime": "20260227;103000", "tradeDate": "20260227"}


def element(name: str, said: dict[str, str]) -> str:
    return f"<{name} " + " ".join(f'{key}="{value}"' for key, value in said.items()) + "/>"


def flex(*trades: dict[str, str], more: str = "") -> bytes:
    return HEAD.format(trades="".join(element("Trade", trade) for trade in trades), more=more).encode()


def fill(exec_id: str = "0001.a.01.01", shares: int = 100, at: datetime | None = None, **more: Any) -> FillRecord:
    at = at or datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
    base, _, revision = exec_id.rpartition(".")
    words = {"account": "DUSIM001", "order_id": exec_id, "symbol": "AAPL", "price": Decimal("150.25"), "commission": Decimal(1)} | more
    return FillRecord.objects.create(
        exec_id=exec_id, exec_base=base, revision=int(revision), side="buy" if shares > 0 else "sell", quantity=abs(shares), fill_time=at,
        received_at=at, **words,
    )  # fmt: skip


def friday(**more: Any) -> FillRecord:
    return fill("0001.f.01.01", at=datetime(2026, 2, 27, 15, 30, tzinfo=UTC), **more)


def check(data: bytes, day: date | None = None) -> StatementCheck:
    return check_statement(data, file_name="day.xml", day=day)


def printed(data: bytes, tmp_path: Path) -> tuple[int, str]:
    """(exit code, what the command wrote)."""
    file, out = tmp_path / "day.xml", StringIO()
    file.write_bytes(data)
    try:
        call_command("import_statement", str(file), stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def states(found: StatementCheck) -> list[tuple[str, str]]:
    return [(row.get("day", "today"), row["state"]) for row in found.data["rows"]]


# --- earlier days -----------------------------------------------------------------------------------------------------


def test_a_cancellation_of_an_earlier_day_differs_while_our_books_count_that_trade(tmp_path: Path) -> None:
    friday()
    fill()
    code, text = printed(flex(TRADE, CANCEL | EARLIER), tmp_path)
    assert code == 1
    assert "differs: AAPL 0001.f.01.01 of 2026-02-27" in text
    assert "1 match, 1 differ" in text


def test_a_cancellation_of_an_earlier_day_matches_what_was_busted_here_and_names_the_day(tmp_path: Path) -> None:
    friday(superseded=True)
    fill()
    found = check(flex(TRADE, CANCEL | EARLIER))
    assert (found.ok, states(found)) == (True, [("2026-02-27", "match"), ("today", "match")])
    assert "compared (2026-02-27): 1 of Trades, rows 2" in printed(flex(TRADE, CANCEL | EARLIER), tmp_path)[1]


def test_a_correction_of_an_earlier_day_under_the_same_id_is_compared_with_that_days_fill() -> None:
    friday()
    ids = {"tradeID": "9", "ibExecID": "0001.f.01.01"}
    data = flex(CANCEL | EARLIER | {"origTradeID": "9"}, TRADE | EARLIER | ids | {"quantity": "60"})
    found = check(data)
    assert (found.ok, states(found)) == (False, [("2026-02-27", "differs")])
    FillRecord.objects.update(superseded=True)
    fill("0001.f.01.02", shares=60, at=datetime(2026, 2, 27, 15, 30, tzinfo=UTC))
    assert check(data).ok


def test_the_fee_of_a_trade_taken_back_is_a_difference_when_our_books_do_not_have_it() -> None:
    fill(superseded=True)
    found = check(flex(TRADE, CANCEL))
    assert not found.ok
    assert "kept a fee" in found.data["findings"][0]
    assert check(flex(TRADE, CANCEL | {"ibCommission": "1"})).ok


# --- days and times ---------------------------------------------------------------------------------------------------


def test_an_evenings_trade_is_of_the_next_trade_date_on_both_sides() -> None:
    fill(at=datetime(2026, 3, 2, 1, 30, tzinfo=UTC))  # Sunday evening
    found = check(flex(TRADE | {"dateTime": "20260301;203000"}))
    assert (found.day, found.ok, states(found)) == (DAY, True, [("today", "match")])
    assert found.data["rows"][0]["at"].startswith("2026-03-02T01:30")


def test_a_fill_of_the_evening_is_not_missing_in_the_statement_of_the_day_before_it() -> None:
    fill()
    fill("0001.e.01.01", at=datetime(2026, 3, 3, 1, 30, tzinfo=UTC))
    listed = (
        "<OpenPositions>" + element("OpenPosition", {"symbol": "AAPL", "position": "100", "reportDate": "20260302"}) + "</OpenPositions>"
    )
    assert check(flex(TRADE, more=listed)).ok


# --- what only one side can know --------------------------------------------------------------------------------------

SALE = TRADE | {"quantity": "-100", "fifoPnlRealized": "512.40"}


@pytest.mark.parametrize("said", [{}, {"openCloseIndicator": "C"}])
def test_the_result_of_shares_we_never_bought_is_unknown_and_not_compared(said: dict[str, str], tmp_path: Path) -> None:
    fill(shares=-100)
    found = check(flex(SALE | said))
    assert found.ok
    realized = found.data["rows"][0]["pairs"][3]
    assert (realized["ours"], realized["theirs"]) == ("unknown", "512.40")
    assert found.data["totals"][2]["difference"] == 0
    assert "unknown" in logged_in("viewer").get(reverse("positions:broker_statement", args=[found.pk])).content.decode()


def test_a_wrong_result_of_shares_that_we_bought_differs() -> None:
    friday()
    fill(shares=-100)
    assert not check(flex(SALE)).ok
    assert check(flex(SALE | {"fifoPnlRealized": "-2"})).ok


def test_an_assignment_says_that_no_execution_will_come(tmp_path: Path) -> None:
    FillRecord.objects.all().delete()
    code, text = printed(flex(TRADE | {"ibExecID": "", "transactionType": "BookTrade", "notes": "A", "tradeID": "7"}), tmp_path)
    assert (code, "without an execution (assigned)" in text, "report was lost" in text) == (1, True, False)


# --- positions, cash, corporate actions -------------------------------------------------------------------------------


def test_a_difference_of_positions_alone_is_printed_with_the_split_that_explains_it(tmp_path: Path) -> None:
    fill(symbol="BRK.B")
    said = {
        "symbol": "BRK B",
        "type": "FS",
        "reportDate": "20260302",
        "quantity": "300",
        "description": "BRK B(US1) SPLIT 4 FOR 1 (BRK B, X, US1)",
    }
    more = (
        "<OpenPositions>" + element("OpenPosition", {"symbol": "BRK B", "position": "400", "reportDate": "20260302"}) + "</OpenPositions>"
        "<CorporateActions>" + element("CorporateAction", said) + "</CorporateActions>"
    )
    code, text = printed(flex(TRADE | {"symbol": "BRK B"}, more=more), tmp_path)
    assert (code, "1 match, 0 differ" in text) == (1, True)
    assert "differs: BRK.B at the end of the day: ours 100, statement 400." in text
    assert "SPLIT 4 FOR 1" in text
    page = logged_in("viewer").get(reverse("positions:broker_statement", args=[StatementCheck.objects.get().pk])).content.decode()
    assert page.count("SPLIT 4 FOR 1") >= 2


def test_shares_that_we_hold_and_an_empty_list_of_positions_differ() -> None:
    fill()
    assert not check(flex(TRADE, more="<OpenPositions/>")).ok


def test_a_difference_of_cash_alone_is_printed_with_the_dividend_that_explains_it(tmp_path: Path) -> None:
    fill()
    at = datetime(2026, 3, 2, 21, tzinfo=UTC)
    EquityPoint.objects.create(account="DUSIM001", at=at, equity=Decimal(1), cash=Decimal(100))
    paid = {"type": "Dividends", "amount": "26", "currency": "USD", "description": "AAPL DIVIDEND", "reportDate": "20260302"}
    more = (
        "<CashReport>" + element("CashReportCurrency", {"currency": "USD", "endingCash": "126", "toDate": "20260302"}) + "</CashReport>"
        "<CashTransactions>" + element("CashTransaction", paid) + "</CashTransactions>"
    )
    code, text = printed(flex(TRADE, more=more), tmp_path)
    assert code == 1
    assert "cash at the end of the day: ours 100.00, statement 126.00, difference 26.00 USD." in text
    assert "AAPL DIVIDEND, +26.00 USD" in text
    assert "; together they are the difference." in text


# --- every row --------------------------------------------------------------------------------------------------------

_trades = st.builds(
    lambda base, day, number, shares, exec_id: (
        base
        | {"dateTime": f"{day};103000", "tradeDate": day, "quantity": str(shares if base is not CANCEL else -shares)}
        | ({"ibExecID": f"0001.{number}.01.01"} if base is not CANCEL and exec_id else {})
    ),
    st.sampled_from([TRADE, CANCEL, TRADE | {"assetCategory": "OPT"}, TRADE | {"currency": "EUR"}, TRADE | {"levelOfDetail": "ORDER"}]),
    st.sampled_from(["20260227", "20260302"]),
    st.integers(0, 5),
    st.sampled_from([60, 100]),
    st.just(True),
)
_others = st.lists(
    st.sampled_from([
        "<OpenPositions>" + element("OpenPosition", {"symbol": "AAPL", "position": "100"}) + "</OpenPositions>",
        "<CashTransactions>" + element("CashTransaction", {"amount": "5", "type": "Fees"}) + "</CashTransactions>",
        "<CorporateActions>" + element("CorporateAction", {"symbol": "AAPL", "reportDate": "20260227"}) + "</CorporateActions>",
        "<AccountInformation accountId='DUSIM001'/>",
        "<MTMPerformanceSummaryInBase>" + element("MTMPerformanceSummaryUnderlying", {"symbol": "AAPL"}) + "</MTMPerformanceSummaryInBase>",
    ]),
    unique=True,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trades=st.lists(_trades, max_size=8), others=_others)
def test_the_rows_printed_add_up_to_the_rows_of_the_file_and_the_exit_code_says_no_more(
    trades: list[dict[str, str]], others: list[str], tmp_path: Path
) -> None:
    FillRecord.objects.all().delete()
    fill()
    kept = [TRADE, *trades]
    code, text = printed(flex(*kept, more="".join(others)), tmp_path)
    rows, compared, elsewhere, not_comparable = map(
        int, re.findall(r"(\d+) rows in the file: (\d+) compared, (\d+) about other days, (\d+) not comparable", text)[0]
    )
    assert rows == len(kept) + len(others) == compared + elsewhere + not_comparable
    assert sum(map(int, re.findall(r"^  .*: (\d+) of ", text, re.MULTILINE))) == rows
    assert code == bool(re.findall(r"^(?:differs|missing here|missing there): ", text, re.MULTILINE))
