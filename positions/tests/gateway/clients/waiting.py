"""How long a client waits for an answer: as long as the tests that start it, which say so by the environment."""

import os
import time
from collections.abc import Callable

PATIENCE = float(os.environ["PATIENCE"])  # seconds


def until(check: Callable[[], object], pause: Callable[[float], None], what: Callable[[], str]) -> None:
    """Pauses until `check` gives something true; an AssertionError that says what never came."""
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, f"never: {what()}"
        pause(0.02)
