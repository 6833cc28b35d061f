"""A statement file against stored fills: which account and day, cash and positions too, and a bad file changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from positions.models import EquityPoint, FillRecord, StatementCheck
from positions.statement_check import check_statement
from positions.statements.statement import BadStatement

pytestmark = pytest.mark.django_db

FILES = Path(__file__).parent / "statements" / "files"
DAY = date(2026, 3, 2)


def fill(exec_id: str, shares: int, fee: str, *, second: int = 0, order: str = "o1") -> FillRecord:
    at = datetime(2026, 3, 2, 15, 30, second, tzinfo=UTC)
    words: dict[str, Any] = {"account": "U7654321", "order_id": order, "symbol": "AAPL", "side": "buy", "received_at": at}
    base = exec_id.rpartition(".")[0]
    return FillRecord.objects.create(
        exec_id=exec_id, exec_base=base, revision=1, quantity=Decimal(shares), price=Decimal("150.25"), commission=Decimal(fee),
        fill_time=at, **words,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def books() -> None:
    fill("0000e0c2.69a5a101.01.01", 60, "0.63")
    fill("0000e0c2.69a5a102.01.01", 40, "0.42", second=1)


def point(cash: str) -> None:
    at = datetime(2026, 3, 2, 21, 5, tzinfo=UTC)
    EquityPoint.objects.create(account="U7654321", at=at, equity=Decimal(100_000), cash=Decimal(cash))


def check(name: str, day: date | None = DAY) -> StatementCheck:
    return check_statement((FILES / name).read_bytes(), file_name=name, day=day)


@pytest.mark.parametrize("name", ["flex_by_day.xml", "activity_consolidated.csv"])
def test_executions_positions_and_cash_of_a_day_agree_to_the_cent(name: str) -> None:
    point("84973.95")
    found = check(name)
    assert found.ok, found.data
    assert (found.account, found.matched) == ("U7654321", 2 if name.endswith("xml") else 1)
    assert found.data["balance"] == {"ours": 84973.95, "theirs": 84973.95, "difference": 0.0}
    assert [row["ok"] for row in found.data["positions"]] == [True]


def test_a_cent_of_cash_is_a_difference_and_without_a_point_of_ours_nothing_is_said_of_it() -> None:
    assert check("flex_by_day.xml").data["balance"] is None
    point("84973.94")
    found = check("flex_by_day.xml")
    assert (found.ok, found.data["balance"]["difference"]) == (False, 0.01)
    assert (found.differs, found.missing_here, found.missing_there) == (0, 0, 0)


def test_an_assignment_without_an_execution_is_missing_here_and_the_day_must_be_named() -> None:
    with pytest.raises(BadStatement, match="2026-03-02, 2026-03-03"):
        check("flex_by_day.xml", None)
    found = check("flex_by_day.xml", date(2026, 3, 3))
    assert {row["key"]: row["state"] for row in found.data["rows"]} == {
        "0000e0c2.69a6f0aa.01.01": "missing_here",
        "BookTrade 5550011": "missing_here",
    }


def test_the_lines_of_a_csv_are_matched_without_ids_and_that_is_said() -> None:
    found = check("activity_consolidated.csv")
    assert any("no execution ids" in note and "price" in note for note in found.data["notes"])


@pytest.mark.parametrize("data", [b"", b"<a/>", b"\x00" * 50, b"x" * (10 * 1024 * 1024 + 1), b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_a_bad_file_changes_nothing_of_what_was_imported(data: bytes) -> None:
    kept = check("flex_by_day.xml")
    with pytest.raises(BadStatement):
        check_statement(data, file_name="bad", day=DAY)
    assert list(StatementCheck.objects.values_list("pk", "sha256")) == [(kept.pk, kept.sha256)]
