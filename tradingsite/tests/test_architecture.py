"""The floors hold: imports point downward, the trading code is pure, one module knows the IB library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradingsite.testing.processes import ROOT

APPS = ("events", "positions", "signals", "tradingsite")
PURE = (
    *("positions/domain", "positions/broker", "positions/gateway", "signals/domain", "signals/backtest"),
    *("events/base.py", "events/bus.py", "events/market.py", "events/order.py", "events/position.py"),
    *("events/api.py", "events/system.py", "events/commands.py", "events/clock.py"),
)
FRAMEWORKS = {"django", "channels", "celery", "asgiref"}


def test_the_import_contracts_of_pyproject_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("place", PURE)
def test_pure_code_imports_no_framework_and_no_models_even_inside_a_function(place: str) -> None:
    for path in _files(place):
        for module in _imports(path):
            assert module.split(".")[0] not in FRAMEWORKS, f"{path} imports {module}"
            assert not module.endswith(".models"), f"{path} imports {module}"


@pytest.mark.parametrize("place", PURE)
def test_pure_code_needs_no_django_setup(place: str) -> None:
    """In a fresh interpreter whose settings do not exist."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in _files(place)]
    program = "import asyncio, importlib, sys; asyncio.set_event_loop(asyncio.new_event_loop())\n"
    program += f"for name in {modules!r}: importlib.import_module(name)\n"
    program += f"print(sorted({FRAMEWORKS!r} & set(sys.modules)))"
    environment = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "no.such.settings", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_only_one_module_imports_the_ib_library() -> None:
    for app in APPS:
        for path in _files(app):
            if "tests" in path.parts or path.name == "ib_library.py":
                continue
            assert not {module.split(".")[0] for module in _imports(path)} & {"ib_insync", "ib_async", "eventkit", "ibapi"}, path


def test_nobody_imports_the_wiring() -> None:
    for app in ("events", "positions", "signals"):
        for path in _files(app):
            if "tests" not in path.parts:
                assert not any(module.split(".")[0] == "tradingsite" for module in _imports(path)), path


def test_only_the_known_folders_stand_at_the_top() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(APPS)


def _files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
