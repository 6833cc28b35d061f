"""The numbers beside a refusal have names and units a person knows; what is for programs is left out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from signals.figures import NAMES, figures_of


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"age": 190_220.0, "limit": 60}, [["age", "2 days"], ["limit", "60 s"]]),
        ({"drift_pct": 1.005, "limit_pct": 0.5}, [["moved", "1.01%"], ["limit", "0.50%"]]),
        ({"risk": 400.005, "limit": 300.0}, [["at risk", "$400.01"], ["limit", "$300.00"]]),
        ({"count": 20, "limit": 20}, [["now", "20"], ["limit", "20"]]),
        ({"day_pnl": -500.0, "limit": 400.0}, [["today", "−$500.00"], ["limit", "$400.00"]]),
        ({"order_id": "7b1c9d2e-1111-4222-8333-000000000000", "field": "stop_loss", "data_type": 3, "until": None, "ok": True}, []),
    ],
)
def test_values_become_figures(values: dict[str, Any], shown: list[list[str]]) -> None:
    assert figures_of(values) == shown


def test_no_figure_is_called_by_a_name_of_the_program() -> None:
    for name, (called, write) in NAMES.items():
        assert not re.search(r"_|\bpct\b|\bid\b", called), name
        assert write(1.0)
