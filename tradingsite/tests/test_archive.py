"""Rows whose life is over move to files that can be read again; whatever breaks in between, each is in the table or in a file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from events.clock import utc_now
from events.models import CommandRecord
from positions.models import MinuteBar
from signals.models import PredictionRecord
from tradingsite import archive
from tradingsite.tasks import archive_old_rows

pytestmark = pytest.mark.django_db
OLD = timedelta(days=2000)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    monkeypatch.setattr(archive, "BATCH", 5)
    return tmp_path


@pytest.fixture
def bars() -> list[dict[str, Any]]:
    began = utc_now() - OLD
    rows = [MinuteBar(symbol="A", at=began + timedelta(minutes=n), open=n, high=n, low=n, close=n) for n in range(12)]
    MinuteBar.objects.bulk_create([*rows, MinuteBar(symbol="A", at=utc_now(), open=1, high=1, low=1, close=1)])
    return [row for row in MinuteBar.objects.order_by("pk").values() if row["at"] < utc_now() - timedelta(days=1)]


def archived(table: str) -> list[dict[str, Any]]:
    return [row for file in archive.files(table) for row in archive.read(file)]


def as_told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [orjson.loads(orjson.dumps(row)) for row in rows]


def test_old_rows_are_in_files_value_by_value_and_young_ones_stay(bars: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert archive_old_rows() == {"minutebar": 12, "predictionrecord": 0, "commandrecord": 0}
    assert MinuteBar.objects.count() == 1
    assert archived("minutebar") == as_told(bars)
    assert archive_old_rows() == {"minutebar": 0, "predictionrecord": 0, "commandrecord": 0}
    call_command("archive", "--export", "minutebar")
    assert [orjson.loads(line) for line in capsys.readouterr().out.splitlines()] == as_told(bars)


def test_what_somebody_may_still_need_is_never_moved() -> None:
    at = utc_now() - OLD
    for number, signal_id in enumerate(("", "s1")):
        said: dict[str, Any] = {"source": "x", "ticker": "T", "timestamp": number, "received_at": at, "verdict": "filtered"}
        PredictionRecord.objects.create(**said, signal_id=signal_id)
    for state in CommandRecord.State.values:
        CommandRecord.objects.create(key=state, name="approve", state=state, created_at=at)
    archive_old_rows()
    assert list(PredictionRecord.objects.values_list("signal_id", flat=True)) == ["s1"]
    assert set(CommandRecord.objects.values_list("state", flat=True)) == {"pending", "claimed"}


def test_a_crash_between_the_file_and_the_deletion_neither_loses_nor_doubles_a_row(bars: list[dict[str, Any]]) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        archive.archive(crash)
    assert MinuteBar.objects.count() == 13
    archive_old_rows()
    assert archived("minutebar") == as_told(bars)


def test_a_file_that_does_not_read_back_keeps_its_rows(bars: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive.gzip, "compress", lambda content, **_: b"not what was written")
    with pytest.raises(archive.BadArchive, match="cannot be read"):
        archive_old_rows()
    assert MinuteBar.objects.count() == 13


def test_a_file_that_was_changed_is_told(bars: list[dict[str, Any]]) -> None:
    archive_old_rows()
    file = archive.files()[0]
    content = archive.gzip.decompress(file.read_bytes())
    file.write_bytes(archive.gzip.compress(content.replace(b'"A"', b'"B"', 1)))
    with pytest.raises(CommandError, match="is not what was written"):
        call_command("archive", "--list")
