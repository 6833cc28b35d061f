"""The server and the browser write figures and times alike: one table of cases, asked of both."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils.html import strip_tags

from events import wording
from events.templatetags import desk

CASES: dict[str, list[list[Any]]] = json.loads((Path(__file__).parent / "figures.json").read_text())
NOW = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)
SERVER = {
    "money": desk.money,
    "quantity": desk.quantity,
    "price": desk.price,
    "typed_price": desk.typed_price,
    "pct": desk.pct,
    "age_words": wording.age_words,
    "left_words": wording.left_words,
}
IN_THE_BROWSER = """async ([cases, now]) => {
  const { money, quantity, price, typedPrice, pct, ageWords, leftText, et, setClock } = await import("/js/format.js");
  setClock(() => Date.parse(now));
  const writers = { money, quantity, price, typed_price: typedPrice, pct, age_words: ageWords, left_words: leftText, times: et };
  return Object.fromEntries(Object.entries(cases).map(([kind, rows]) => [kind, rows.map((row) => writers[kind](...row.slice(0, -1)))]));
}"""


def plainly(text: str) -> str:
    """Thin spaces are spaces here."""
    return re.sub(r"[\u202f\u00a0]", " ", text)


def test_the_browser_writes_every_case_as_the_table_says(page: Any) -> None:
    def serve(route: Any) -> None:
        path = route.request.url.removeprefix("http://desk.test/")
        if path.startswith("js/"):
            route.fulfill(body=(settings.BASE_DIR / "static" / path).read_text(), content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>Figures</title>", content_type="text/html")

    page.route("http://desk.test/**", serve)
    page.goto("http://desk.test/")
    written = page.evaluate(IN_THE_BROWSER, [CASES, NOW.isoformat()])
    for kind, rows in CASES.items():
        assert [plainly(text) for text in written[kind]] == [row[-1] for row in rows], kind


@pytest.mark.parametrize(("kind", "value", "text"), [(kind, *row) for kind in SERVER for row in CASES[kind]])
def test_the_server_writes_every_figure_as_the_table_says(kind: str, value: Any, text: str) -> None:
    assert plainly(SERVER[kind](value)) == text


@pytest.mark.parametrize(("at", "shape", "text"), CASES["times"])
def test_the_server_writes_every_time_as_the_table_says(monkeypatch: pytest.MonkeyPatch, at: str, shape: str, text: str) -> None:
    monkeypatch.setattr(desk, "utc_now", lambda: NOW)
    assert strip_tags(desk.et(at, shape)).strip() == text
