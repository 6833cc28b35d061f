"""`manage.py bench`: measure the hot paths beside their peers in one run, print a table, keep it in DATA_DIR/bench.json.

Each app measures its own in `benchmarks.py`: `rows()` → [{name, ours, peer, ratio, unit}]. Only ratios mean anything;
absolute figures drift with the machine.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand

from events.clock import utc_now
from tradingsite.environment import write_private

APPS = ("events", "positions", "signals", "tradingsite")


class Command(BaseCommand):
    help = "Measure the hot paths beside their peers, print a table and write it to DATA_DIR/bench.json."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        rows: list[dict[str, Any]] = []
        for app in APPS:
            if find_spec(f"{app}.benchmarks") is None:
                continue
            self.stderr.write(f"measuring {app} ...")
            rows += [{"app": app, **row} for row in import_module(f"{app}.benchmarks").rows()]
        self._print(rows)
        path = Path(settings.DATA_DIR) / "bench.json"
        write_private(path, orjson.dumps({"at": utc_now().isoformat(), "rows": rows}, option=orjson.OPT_INDENT_2).decode())
        self.stderr.write(f"written to {path}")

    def _print(self, rows: list[dict[str, Any]]) -> None:
        width = max((len(row["name"]) for row in rows), default=10)
        self.stdout.write(f"{'what':<{width}}  {'ours':>12}  {'peer':>12}  {'unit':<8}  {'ratio':>7}")
        for row in rows:
            self.stdout.write(
                f"{row['name']:<{width}}  {_figure(row['ours']):>12}  {_figure(row['peer']):>12}  {row['unit']:<8}  {row['ratio']:>6.2f}x"
            )


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
