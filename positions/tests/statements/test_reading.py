"""Statement files from outside: what is read, and what is refused in one clear sentence."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.statements.reading import LARGEST_FILE, read_statement
from positions.statements.statement import BadStatement

TRADE = (
    '<Trade accountId="U1" currency="USD" assetCategory="STK" symbol="AAPL" ibExecID="0001.a.01.01" dateTime="20260302;103000" '
    'quantity="{quantity}" tradePrice="{price}" ibCommission="-1.05" fifoPnlRealized="{realized}" levelOfDetail="EXECUTION" {more}/>'
)


def flex(*trades: str, head: str = "") -> bytes:
    body = "".join(trades)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<FlexQueryResponse type="AF"><FlexStatements><FlexStatement accountId="U1" '
        f'fromDate="20260302" toDate="20260302"><Trades>{body}</Trades><CashTransactions><CashTransaction type="Dividends" amount="12.5" '
        'description="AAPL dividend" currency="USD" dateTime="20260302"/></CashTransactions><OpenPositions><OpenPosition symbol="AAPL" '
        'position="100" reportDate="20260302"/></OpenPositions></FlexStatement></FlexStatements></FlexQueryResponse>'
    ).encode()


def trade(**changed: str) -> str:
    return TRADE.format(**({"quantity": "100", "price": "150.25", "realized": "0", "more": ""} | changed))


def test_a_flex_statement_is_read_in_our_signs_and_exact_amounts() -> None:
    statement = read_statement(flex(trade()))
    [one] = statement.trades
    assert (one.quantity, one.price, one.commission, one.realized) == (Decimal(100), Decimal("150.25"), Decimal("1.05"), Decimal(0))
    assert one.at == datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
    assert [(c.kind, c.amount) for c in statement.cash] == [("Dividends", Decimal("12.5"))]
    assert [(p.symbol, p.quantity, p.day) for p in statement.positions] == [("AAPL", Decimal(100), date(2026, 3, 2))]


def test_a_cancelled_trade_counts_for_nothing() -> None:
    cancel = trade(quantity="-100", more='transactionType="TradeCancel"')
    assert read_statement(flex(trade(), cancel)).trades == ()


def test_options_and_other_currencies_are_counted_and_left_out() -> None:
    option = trade().replace('assetCategory="STK"', 'assetCategory="OPT"')
    statement = read_statement(flex(option, trade()))
    assert (len(statement.trades), statement.skipped) == (1, 1)


ACTIVITY = """Statement,Header,Field Name,Field Value
Statement,Data,Period,"March 2, 2026"
Account Information,Header,Field Name,Field Value
Account Information,Data,Account,U1
Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,C. Price,Proceeds,Comm/Fee,Basis,Realized P/L
Trades,Data,Order,Stocks,USD,AAPL,"2026-03-02, 10:30:00","1,000",150.25,151,-150250,-5,150255,0
Trades,SubTotal,,Stocks,USD,AAPL,,1000,,,-150250,-5,150255,0
"""


def test_an_activity_statement_is_read_with_its_thousands_separators() -> None:
    statement = read_statement(ACTIVITY.encode())
    [one] = statement.trades
    assert (statement.account, statement.days, one.quantity, one.commission) == ("U1", [date(2026, 3, 2)], Decimal(1000), Decimal(5))


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"  \n ", "empty"),
        (flex(trade(), head=BOMB), "entities"),
        (flex(trade(symbol="&f;"), head=OUTSIDE), "entities"),
        (flex(trade(), head='<!DOCTYPE x SYSTEM "http://example.com/x.dtd">'), "document type"),
        (flex(trade())[:-30], "not well-formed"),
        (b"<html><body>Log in</body></html>", "not a Flex Query response"),
        (flex(trade(quantity="NaN")), "can be true"),
        (flex(trade(price="Infinity")), "can be true"),
        (flex(trade(price="1e400")), "can be true"),
        (flex(trade(realized="abc")), "not a number"),
        (flex(trade().replace("20260302;103000", "yesterday")), "time cannot be read"),
        (flex(trade().replace('ibExecID="0001.a.01.01"', "")), "no IB execution id"),
        (flex(trade().replace("EXECUTION", "ORDER")), "lists orders, not executions"),
        (flex(trade()).decode().encode("utf-16"), "not UTF-8"),
        (flex(trade().replace("AAPL", "caf\u00e9")).decode().encode("latin-1"), "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
        (b"PK\x03\x04 a spreadsheet", "not an IB activity statement"),
        (b"a,b,c\n1,2,3\n", "not an IB activity statement"),
        (ACTIVITY.replace("150.25", "nan").encode(), "can be true"),
        (b"x" * (LARGEST_FILE + 1), "larger than 10 MB"),
    ],
)
def test_a_hostile_or_wrong_file_is_refused_in_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(BadStatement, match=words) as refused:
        read_statement(data)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 250


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode())
    | st.text(max_size=80).map(lambda t: flex(trade(more=t)))
)
def test_garbage_is_a_statement_or_a_bad_statement_and_nothing_else(data: bytes) -> None:
    try:
        read_statement(data)
    except BadStatement:
        pass


def test_deep_nesting_is_survived() -> None:
    with pytest.raises(BadStatement):
        read_statement(b"<a>" * 200_000 + b"</a>" * 200_000)
