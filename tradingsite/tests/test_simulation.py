"""The desk in virtual time: the same seed is the same journal, no seed violates an invariant, and a planted defect is found."""

import re

from tradingsite.chaos.simulation.run import command

SEEDS = 20
PLANTED = ("send_twice", "lose_fills", "record_fills_twice", "halve_stops", "never_answer")


def test_no_world_of_these_seeds_violates_an_invariant_and_a_seed_played_twice_is_the_same_journal() -> None:
    done = command(1, SEEDS)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert re.search(rf"^{SEEDS} seeds", done.stdout, re.MULTILINE)
    assert "2 seeds played twice, 0 gave another journal" in done.stdout
    assert "violations: none; broken: 0" in done.stdout


def test_planted_defects_are_found_within_a_few_seeds() -> None:
    done = command(1, 5, defect=",".join(PLANTED), sabotage=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{len(PLANTED)} of {len(PLANTED)} defects caught" in done.stdout


def test_prices_come_back_after_a_cut_although_an_order_is_in_doubt() -> None:
    """The link dies as an entry is sent; the books agree only after a second reading, and another approval works then."""
    done = command(1, 2, steps="silence,approve,wait")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
