"""Back-filling asks until nothing can have been cut: against the demo API, whose days have 1440 predictions."""

import asyncio
from datetime import date
from itertools import pairwise

from signals import backfill
from signals.demo.faults import Fault

MINUTE = 60_000


def asking(make_client, ticker="AAPL"):
    """`ask(first, last, limit)` of the demo; `asked` collects the windows."""
    asked = []

    async def conversation(first, last, limit):
        async with make_client() as client:
            return await client.prediction.get_predictions_async(ticker, limit=limit, start_date=first, end_date=last)

    def ask(first, last, limit):
        asked.append((first.day, last.day, limit))
        return asyncio.run(conversation(first, last, limit))

    ask.asked = asked
    return ask


def timestamps(answers):
    return sorted(prediction.timestamp for answer in answers for prediction in backfill.read_history("AAPL", answer))


def test_windows_that_may_be_cut_are_split_until_every_minute_is_there(demo, make_client):
    ask = asking(make_client)
    found = timestamps(backfill.collect(ask, date(2026, 6, 2), date(2026, 6, 4)))
    assert len(found) == len(set(found))
    assert {later - earlier for earlier, later in pairwise(found)} == {MINUTE}
    assert len(found) == 2 * 1440 + 11 * 60 + 31  # two whole days, and this one until 11:30 Eastern
    assert ask.asked == [(2, 4, 500), (2, 3, 500), (2, 2, 500), (2, 2, 5000), (3, 3, 500), (3, 3, 5000), (4, 4, 500), (4, 4, 5000)]


def test_a_window_that_fits_is_asked_for_once(demo, make_client, monkeypatch):
    monkeypatch.setattr(backfill, "LIMIT", 1000)
    ask = asking(make_client)
    assert timestamps(backfill.collect(ask, date(2026, 6, 4), date(2026, 6, 4)))
    assert ask.asked == [(4, 4, 1000)]


def test_a_day_that_stays_cut_is_kept_and_told(demo, make_client, monkeypatch, caplog):
    monkeypatch.setattr(backfill, "MOST", 600)
    ask = asking(make_client)
    assert len(timestamps(backfill.collect(ask, date(2026, 6, 3), date(2026, 6, 3)))) == 600
    assert "may be incomplete" in caplog.text


def test_an_answer_without_rows_ends_the_asking(demo, make_client):
    demo.provider.faults.set(Fault.RAW, '{"status":"success","data":{"predictions":null}}')
    ask = asking(make_client)
    assert timestamps(backfill.collect(ask, date(2026, 6, 1), date(2026, 6, 4))) == []
    assert len(ask.asked) == 1
