"""Position words and position events."""

from enum import StrEnum


class PositionStatus(StrEnum):
    PLANNED = "planned"
    OPENING = "opening"
    OPEN = "open"
    ADJUSTING = "adjusting"
    CLOSING = "closing"
    CLOSED = "closed"
