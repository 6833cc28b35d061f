"""Every exception of the positions domain.

    PositionsError
    ├── IllegalTransition        an object was asked to go where its state table does not lead
    │   └── PositionClosed       … because it is closed for good
    ├── InvalidPrice             not finite, not positive, or on the wrong side of the market
    ├── InvalidQuantity          not finite, zero, or a sign that makes no sense here
    ├── DuplicateId              a position of that id exists already
    ├── UnknownId                nothing is known under that id
    │   ├── UnknownPosition
    │   └── UnknownOrder
    └── CannotCalculate          a formula lacks one of its inputs

They are for bugs and bad input. What a person can cause by an ordinary wish is a `Denied` value (`intent.py`).
A raising call has changed nothing, and is told to the log at DEBUG.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


class PositionsError(Exception):
    """Root of the tree."""

    def __init__(self, *words: object) -> None:
        super().__init__(*words)
        log.debug("refused: %s: %s", type(self).__name__, self)


class IllegalTransition(PositionsError):
    """The state table has no such row."""

    def __init__(self, what: str, source: str, target: str) -> None:
        super().__init__(f"{what} cannot go from {source} to {target}")
        self.source = source
        self.target = target


class PositionClosed(IllegalTransition):
    """A closed position takes no price, no fill and no second close."""


class InvalidPrice(PositionsError, ValueError):
    """A price that is not finite, not positive, or on the wrong side of the market."""


class InvalidQuantity(PositionsError, ValueError):
    """A quantity that is not finite, is zero, or has a sign that makes no sense here."""


class DuplicateId(PositionsError, ValueError):
    """A position of that id exists already, open or closed."""


class UnknownId(PositionsError, LookupError):
    """Nothing is known under that id."""


class UnknownPosition(UnknownId):
    """No position has that id."""


class UnknownOrder(UnknownId):
    """No order has that id."""


class CannotCalculate(PositionsError, ValueError):
    """A formula lacks one of its inputs."""
