"""Statements in the shapes that IB's query settings and account kinds give them; the files are invented, their shapes are not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from positions.statements.moments import Calendar
from positions.statements.reading import read_statement
from positions.statements.statement import BadStatement, Statement

FILES = Path(__file__).parent / "files"
OURS = "U7654321"


def flex(change: tuple[str, str] = ("", ""), *, account: str = OURS) -> Statement:
    text = (FILES / "flex_by_day.xml").read_text()
    assert change[0] in text
    return read_statement(text.replace(*change).encode() if change[0] else text.encode(), account)


def activity(change: tuple[str, str] = ("", ""), *, account: str = OURS) -> Statement:
    text = (FILES / "activity_consolidated.csv").read_text()
    assert change[0] in text
    return read_statement(text.replace(*change).encode() if change[0] else text.encode(), account)


def test_a_period_broken_out_by_day_is_one_statement_of_executions_alone() -> None:
    statement = flex()
    assert (statement.account, statement.first, statement.last) == (OURS, date(2026, 3, 2), date(2026, 3, 3))
    assert [(t.symbol, t.day.day, t.quantity, t.commission) for t in statement.trades] == [
        ("AAPL", 2, Decimal(60), Decimal("0.63")),
        ("AAPL", 2, Decimal(40), Decimal("0.42")),
        ("AAPL", 3, Decimal(-100), Decimal("1.20")),
        ("TSLA", 3, Decimal(100), Decimal(0)),
    ]
    assert statement.skipped == 1  # euros
    assert statement.trades[-1].exec_id == "BookTrade 5550011"  # an assignment: no execution, and not lost


def test_positions_cash_and_balances_are_told_once_whatever_the_levels_of_detail() -> None:
    statement = flex()
    assert [(p.symbol, p.quantity, p.day) for p in statement.positions] == [("AAPL", Decimal(100), date(2026, 3, 2))]
    assert [(c.kind, c.amount, c.day) for c in statement.cash] == [("Dividends", Decimal(26), date(2026, 3, 2))]
    assert [(b.amount, b.day) for b in statement.balances] == [(Decimal("84973.95"), date(2026, 3, 2))]


def test_lots_are_added_up_where_a_query_gives_nothing_else() -> None:
    statement = flex(('position="100" markPrice="150.4" side="Long" levelOfDetail="SUMMARY"', 'position="0" levelOfDetail="LOT"'))
    assert [(p.symbol, p.quantity) for p in statement.positions] == [("AAPL", Decimal(100))]


@pytest.mark.parametrize(
    ("gone", "kept"),
    [
        ('origTradeID="5550003"', 'origTradeID="5550003"'),
        ('origTradeID="5550003"', 'origTradeID="0"'),
        ('transactionType="TradeCancel"', 'transactionType="ExchTrade"'),
        ('notes="Ca" fifoPnlRealized="-12.5" origTradeID="5550003" buySell="SELL (Ca.)"', 'notes="Ca;P" origTradeID="" buySell="SELL"'),
    ],
)
def test_a_cancelled_trade_and_its_cancellation_go_however_they_are_marked(gone: str, kept: str) -> None:
    assert "MSFT" not in {trade.symbol for trade in flex((gone, kept)).trades}


def test_a_commission_in_another_currency_is_unknown_not_wrong() -> None:
    statement = flex(('ibCommission="-0.63" ibCommissionCurrency="USD"', 'ibCommission="-0.58" ibCommissionCurrency="EUR"'))
    assert [trade.commission for trade in statement.trades[:2]] == [None, Decimal("0.42")]


def test_of_several_accounts_the_traded_one_is_read() -> None:
    two = ('<FlexStatement accountId="U7654321" fromDate="20260303"', '<FlexStatement accountId="U7654322" fromDate="20260303"')
    assert len(flex(two).trades) == 2
    assert len(flex(two, account="U7654322").trades) == 2
    with pytest.raises(BadStatement, match="2 accounts and none of them"):
        flex(two, account="U9")


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("20260302;103000", (15, 30)),
        ("20260302;10:30:00", (15, 30)),
        ("2026-03-02;10:30:00", (15, 30)),
        ("2026-03-02, 10:30:00", (15, 30)),
        ("2026-03-02 10:30:00", (15, 30)),
        ("2026-03-02T103000", (15, 30)),
        ("20260302;103000 EST", (15, 30)),
        ("20260302;10:30:00 US/Eastern", (15, 30)),
        ("20260302;153000 UTC", (15, 30)),
        ("20260302,163000 Europe/Berlin", (15, 30)),
        ("02-Mar-26;103000", (15, 30)),
        ("20260302", (5, 0)),
    ],
)
def test_a_time_is_read_as_any_query_setting_writes_it(written: str, utc: tuple[int, int]) -> None:
    assert Calendar([written]).moment(written) == datetime(2026, 3, 2, *utc, tzinfo=UTC)


def test_dates_with_slashes_are_read_as_the_whole_file_shows_they_are_meant() -> None:
    assert Calendar(["25/03/2026", "02/03/2026"]).day("02/03/2026;103000") == date(2026, 3, 2)
    assert Calendar(["03/25/26", "03/02/26"]).day("03/02/26") == date(2026, 3, 2)
    with pytest.raises(BadStatement, match="day first or month first"):
        Calendar(["02/03/2026", "04/03/2026"])
    with pytest.raises(BadStatement, match="day first or month first"):
        Calendar(["25/03/2026", "03/25/2026"])


def test_a_zone_nobody_knows_is_refused_not_guessed() -> None:
    with pytest.raises(BadStatement, match="zone that is not known"):
        Calendar(()).moment("20260302;103000 XYZ")


def test_a_consolidated_activity_statement_is_read_for_one_account() -> None:
    statement = activity()
    assert (statement.account, statement.first, statement.last) == (OURS, date(2026, 3, 2), date(2026, 3, 2))
    assert [(t.symbol, t.quantity, t.price, t.commission) for t in statement.trades] == [
        ("AAPL", Decimal(100), Decimal("150.25"), Decimal("1.05")),
    ]
    assert statement.skipped == 1  # currencies
    assert [(p.symbol, p.quantity) for p in statement.positions] == [("AAPL", Decimal(100))]
    assert [b.amount for b in statement.balances] == [Decimal("84973.95")]
    assert [(c.kind, c.amount) for c in statement.cash] == [("Dividends", Decimal(26))]
    assert [t.quantity for t in activity(account="U7654322").trades] == [Decimal(1000)]


def test_executions_are_preferred_to_orders_so_that_nothing_counts_twice() -> None:
    order = 'Trades,Data,Order,Stocks,USD,U7654321,AAPL,"2026-03-02, 10:30:01",100,150.25,150.4,"-15,025",-1.05,"15,026.05",0,15,O;P'
    trade = order.replace("Data,Order", "Data,Trade")
    parts = trade.replace(",100,", ",60,").replace("-1.05", "-0.63"), trade.replace(",100,", ",40,").replace("-1.05", "-0.42")
    assert [t.quantity for t in activity((order, "\n".join([order, *parts]))).trades] == [Decimal(60), Decimal(40)]


def test_a_day_without_trades_has_no_trades_section_and_is_a_statement_all_the_same() -> None:
    text = (FILES / "activity_consolidated.csv").read_text()
    quiet = "\n".join(line for line in text.splitlines() if not line.startswith("Trades,"))
    statement = read_statement(quiet.encode(), OURS)
    assert (statement.trades, statement.days) == ((), [date(2026, 3, 2)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<FlexStatementResponse timestamp="x"><Status>Fail</Status></FlexStatementResponse>', "not ready or was refused"),
        ('<FlexQueryResponse type="TCF"><FlexStatements/></FlexQueryResponse>', "Trade Confirmation"),
        ('<FlexQueryResponse type="AF"><FlexStatements count="0"/></FlexQueryResponse>', "holds no statement"),
        ('<FlexQueryResponse><FlexStatements><FlexStatement accountId="U1"/></FlexStatements></FlexQueryResponse>', "no Trades section"),
        ("Estado de cuenta,Header,Nombre del campo,Valor del campo\nOperaciones,Header,a,b\n", "in English"),
        ("Statement,Header,Field Name,Field Value\nStatement,Data,Title,MTM Summary\nStatement,Data,Period,x\n", "in English"),
    ],
)
def test_what_is_no_statement_of_trades_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(BadStatement, match=words) as refused:
        read_statement(text.encode(), OURS)
    assert str(refused.value).endswith(".")


def test_a_missing_commission_column_is_refused_not_read_as_nothing() -> None:
    with pytest.raises(BadStatement, match="commission of a AAPL trade"):
        activity(("Proceeds,Comm/Fee,", "Proceeds,Something,"))
