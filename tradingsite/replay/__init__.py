"""Proof that the journal is the whole truth: fold it and compare the result, row for row, with the live tables.

The fold is the worker's own projection (`positions.store.project`). What it makes of each object is remembered in a sealed
checkpoint, so that a night folds only what is new and compares a part of the rest; `manage.py replay --verify` folds everything
from empty. Each stretch is read in a short snapshot of its own: a running worker neither waits nor disturbs.
"""

from tradingsite.replay.equity import KEPT_WHOLE
from tradingsite.replay.tables import Difference, Replay
from tradingsite.replay.verification import WORK, advance, remember, renew, verify

__all__ = ["KEPT_WHOLE", "WORK", "Difference", "Replay", "advance", "remember", "renew", "verify"]
