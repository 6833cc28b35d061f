"""The papers keep up with the product: every command and every setting is in the README, every picture exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "tradingsite" / "settings.py").read_text()


def settings_read() -> set[str]:
    """Every variable that settings.py asks the environment for."""
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', SETTINGS))


def commands() -> list[str]:
    files = ROOT.glob("*/management/commands/*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")


@pytest.mark.parametrize("name", sorted(settings_read()))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", commands())
def test_every_command_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", README)


@pytest.mark.parametrize("target", ["run", "test", "check", "bench"])
def test_every_make_target_a_person_types_is_documented(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("picture", re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README))
def test_every_picture_exists(picture: str) -> None:
    assert (ROOT / picture).is_file()


def test_the_architecture_fits_in_one_reading() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 150
