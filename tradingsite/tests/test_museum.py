"""Twelve defects that cost others money: each is told again on real processes, on four desks side by side."""

import subprocess
import sys

import pytest

from tradingsite.chaos.museum import SCENARIOS
from tradingsite.chaos.museum_defects import PATCHES
from tradingsite.testing.processes import ROOT, clean_environment

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the museum said of all scenarios."""
    folder = tmp_path_factory.mktemp("museum")
    command = [sys.executable, str(ROOT / "manage.py"), "chaos", "--museum", "--lanes", "4"]
    environment = clean_environment({"DATA_DIR": str(folder / "var"), "SECRET_KEY": "x" * 60})
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_went_wrong_elsewhere_ends_well_here(told, scenario):
    assert f"ok     {scenario.name:4} {scenario.words}" in told.stdout, told.stdout[-6000:] + told.stderr[-2000:]


def test_the_museum_is_whole_and_each_scenario_names_its_mistake():
    assert {scenario.name for scenario in SCENARIOS} == {f"B{number}" for number in range(1, 13)}
    assert all(scenario.defect in PATCHES for scenario in SCENARIOS)
